"""What sources have brought that model_data.toml no longer declares."""

from __future__ import annotations

from pathlib import Path

from pipeline.fingerprint import StatCache

from .content import look
from .declaration import DATA_DIRECTORY, read_declaration
from .record import Entry, read_record, write_record


def orphans(package: Path) -> list[str]:
    """Return the files in model_data/, by name relative to it, that came from a source which is no longer declared.

    Raises
    ------
    UsageError
        If the declaration is at fault.
    """
    data = package / DATA_DIRECTORY
    return sorted(name for entry in _undeclared(package) for name in entry.files if (data / name).exists())


def remove_orphans(package: Path) -> tuple[list[str], list[str]]:
    """Remove the orphans; return what was removed, and what stays because it was edited since.

    Raises
    ------
    UsageError
        If the declaration is at fault.
    """
    data = package / DATA_DIRECTORY
    removed, kept = [], []
    for entry in _undeclared(package):
        found = look(data, entry.files, StatCache())
        for name, fact in found.items():
            if fact == entry.files.get(name):
                (data / name).unlink()
                removed.append(name)
            else:
                kept.append(name)
        _remove_empty(data, entry)
    undeclared = {entry.paths for entry in _undeclared(package)}
    write_record(data, [entry for paths, entry in read_record(data).items() if paths not in undeclared])
    return sorted(removed), sorted(kept)


def _undeclared(package: Path) -> list[Entry]:
    """Return the recorded sources none of whose files is another source's now."""
    declared = [path for source in read_declaration(package) for path in source.paths]
    recorded = read_record(package / DATA_DIRECTORY)
    return [
        entry for entry in recorded.values() if not any(_touch(one, path) for one in entry.paths for path in declared)
    ]


def _touch(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _remove_empty(data: Path, entry: Entry) -> None:
    parents = {parent for name in entry.files for parent in Path(name).parents if parent != Path()}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        directory = data / parent
        if directory.is_dir() and not directory.is_symlink() and not any(directory.iterdir()):
            directory.rmdir()
