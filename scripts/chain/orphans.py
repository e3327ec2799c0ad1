"""What is in model_data/ that came from a source which is no longer declared."""

from __future__ import annotations

from .packages import Package

UNFINISHED = ".downloads/"


def orphans(package: Package, *, every: bool = False) -> list[str]:
    """Return what is in model_data/ that came from a source which is no longer declared, or `every` unfinished file."""
    if not any((package.root / "model_data" / name).exists() for name in (".downloads", ".sources.json")):
        return []
    from downloads.orphans import orphans

    return orphans(package.root, every=every)


def adopted(package: Package) -> dict[str, str]:
    """Return the targets in model_data/ that are what an author has put there, and what to say of them."""
    from downloads.orphans import adopted

    why = "it was there before its source was declared, so it is yours"
    return {f"model_data/{path}": why for path in adopted(package.root)}


def remove_orphans(package: Package, *, every: bool, dry_run: bool) -> list[str]:
    """Remove the orphans, and return a line for each: removed and why, or kept because it was edited."""
    from downloads.orphans import remove_orphans

    gone, kept = remove_orphans(package.root, every=every, dry_run=dry_run)
    act = "would remove" if dry_run else "removed"
    why = {name: "what a download left unfinished or wrong" for name in gone if every and name.startswith(UNFINISHED)}
    lines = [f"{act} model_data/{name}: {why.get(name, 'no source declares it')}" for name in gone]
    lines += [f"kept model_data/{name}: it was edited, so it may be yours" for name in kept]
    return [f"{package.name}: {line}" for line in lines]
