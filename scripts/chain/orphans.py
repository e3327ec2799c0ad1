"""What is in model_data/ that came from a source which is no longer declared."""

from __future__ import annotations

from .packages import Package


def orphans(package: Package, *, every: bool = False) -> list[str]:
    """Return what is in model_data/ that came from a source which is no longer declared, or `every` unfinished file."""
    if not any((package.root / "model_data" / name).exists() for name in (".downloads", ".sources.json")):
        return []
    from downloads.orphans import orphans

    return orphans(package.root, every=every)


def adopted(package: Package) -> list[str]:
    """Return the targets in model_data/ that are what an author has put there."""
    from downloads.orphans import adopted

    return [f"model_data/{path}" for path in adopted(package.root)]


def remove_orphans(package: Package, *, every: bool) -> list[str]:
    """Remove the orphans, and return a line for each: removed, or kept because it was edited."""
    from downloads.orphans import remove_orphans

    removed, kept = remove_orphans(package.root, every=every)
    why = "" if every else ": no source declares it"
    lines = [f"{package.name}: removed model_data/{name}{why}" for name in removed]
    return [*lines, *(f"{package.name}: kept model_data/{name}: it was edited, so it may be yours" for name in kept)]
