"""What sources have brought, or left behind, that model_data.toml no longer declares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from engine.fingerprint import StatCache
from engine.transaction import remove

from .content import look
from .declaration import DATA_DIRECTORY, DESKS, read_declaration
from .desk import EDITED, OLD, alone, desk_name
from .record import Entry, read_record, write_record


def orphans(package: Path, *, every: bool = False) -> list[str]:
    """Return what is in model_data/, by name relative to it, that came from a source which is no longer declared.

    What an author had edited is never one, nor what a killed command has replaced.

    Parameters
    ----------
    package : Path
    every : bool
        Whether what is unfinished or wrong counts also where its source is declared.

    Raises
    ------
    UsageError
        If the declaration is at fault.
    """
    data = package / DATA_DIRECTORY
    undeclared = (entry for entry in _undeclared(package) if not entry.adopted)
    brought = [name for entry in undeclared for name in entry.files if (data / name).exists()]
    return sorted([*brought, *_on_desks(package, every=every)])


def remove_orphans(package: Path, *, every: bool = False, dry_run: bool = False) -> tuple[list[str], list[str]]:
    """Remove the orphans; return what was removed, and what stays because it was edited since.

    Parameters
    ----------
    package : Path
    every : bool
        As of `orphans`.
    dry_run : bool
        Whether to remove nothing, and return what would be removed and what would stay.

    Returns
    -------
    list of str, list of str

    Raises
    ------
    UsageError
        If the declaration is at fault.
    """
    with nullcontext() if dry_run else alone(package, partial(print, file=sys.stderr)):
        names, data = orphans(package, every=every), package / DATA_DIRECTORY
        undeclared, entries = _undeclared(package), read_record(data).values()
        brought = {name: fact for entry in undeclared for name, fact in entry.files.items()}
        found = look(data, brought, StatCache())
        kept = [name for name in names if name in brought and found.get(name) != brought[name]]
        removed = [name for name in names if name not in kept]
        if dry_run:
            return removed, kept
        for name in removed:
            remove(data / name)
        _remove_empty(data, names)
        if undeclared:
            write_record(data, [entry for entry in entries if entry not in undeclared])
    return removed, kept


def adopted(package: Path) -> list[str]:
    """Return the declared paths, by name relative to model_data/, at which lies what an author has put there.

    Parameters
    ----------
    package : Path

    Returns
    -------
    list of str
    """
    return sorted(
        path for entry in read_record(package / DATA_DIRECTORY).values() if entry.adopted for path in entry.paths
    )


def _undeclared(package: Path) -> list[Entry]:
    """Return the recorded sources none of whose files is another source's now."""
    declared = [path for source in read_declaration(package) for path in source.paths]
    return [
        entry
        for entry in read_record(package / DATA_DIRECTORY).values()
        if not any(_touch(path, other) for path in entry.paths for other in declared)
    ]


def _touch(one: str, other: str) -> bool:
    """Tell whether two paths are the same, or one lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _on_desks(package: Path, *, every: bool) -> Iterator[str]:
    """Yield what is unfinished or wrong."""
    declared = {desk_name(source.paths) for source in read_declaration(package)}
    for path in (package / DATA_DIRECTORY / DESKS).glob("*/*"):
        if path.name not in (EDITED, OLD) and (every or path.parent.name not in declared):
            yield f"{DESKS}/{path.parent.name}/{path.name}"


def _remove_empty(data: Path, names: Iterable[str]) -> None:
    parents = {parent for name in names for parent in Path(name).parents if parent != Path()}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        directory = data / parent
        if directory.is_dir() and not directory.is_symlink() and not any(directory.iterdir()):
            directory.rmdir()
