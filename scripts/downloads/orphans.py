"""What sources have brought, or left behind, that model_data.toml no longer declares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from engine.fingerprint import StatCache

from .content import look
from .declaration import DATA_DIRECTORY, read_declaration
from .exclusive import alone
from .leftovers import is_still, read_leftovers, settle, unfinished
from .place import remove
from .record import Entry, read_record, write_record


def orphans(package: Path, *, every: bool = False) -> list[str]:
    """Return what is in model_data/, by name relative to it, that came from a source which is no longer declared.

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
    return sorted([*brought, *_unfinished(package, every=every), *_bad(package, every=every)])


def remove_orphans(package: Path, *, every: bool = False) -> tuple[list[str], list[str]]:
    """Remove the orphans; return what was removed, and what stays because it was edited since.

    Raises
    ------
    UsageError
        If the declaration is at fault.
    """
    with alone(package, partial(print, file=sys.stderr)):
        names, data = orphans(package, every=every), package / DATA_DIRECTORY
        kept = {*_edited(package), *_edited_bad(package, every=every)} & set(names)
        removed = sorted(set(names) - kept)
        for name in removed:
            remove(data / name)
        _remove_empty(data, names)
        undeclared = {entry.paths for entry in _undeclared(package)}
        entries = read_record(data)
        if undeclared:
            write_record(data, [entry for paths, entry in entries.items() if paths not in undeclared])
        settle(package, {})
    return removed, sorted(kept)


def adopted(package: Path) -> list[str]:
    """Return the declared paths, by name relative to model_data/, at which lies what an author has put there."""
    return sorted(
        path for entry in read_record(package / DATA_DIRECTORY).values() if entry.adopted for path in entry.paths
    )


def _undeclared(package: Path) -> list[Entry]:
    """Return the recorded sources none of whose files is another source's now."""
    is_free = _Free(package)
    return [entry for entry in read_record(package / DATA_DIRECTORY).values() if all(map(is_free, entry.paths))]


class _Free:
    """Tell whether no source declares a path, or what is in or above it."""

    def __init__(self, package: Path) -> None:
        self._declared = [path for source in read_declaration(package) for path in source.paths]

    def __call__(self, path: str) -> bool:
        return not any(_touch(path, other) for other in self._declared)


def _touch(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _unfinished(package: Path, *, every: bool) -> Iterator[str]:
    is_free, data = _Free(package), package / DATA_DIRECTORY
    for path in read_leftovers(package).begun:
        if every or is_free(path):
            yield from unfinished(data, path)


def _bad(package: Path, *, every: bool) -> Iterator[str]:
    is_free, data = _Free(package), package / DATA_DIRECTORY
    for name, (path, _) in read_leftovers(package).bad.items():
        if (every or is_free(path)) and (data / name).exists():
            yield name


def _edited(package: Path) -> Iterator[str]:
    data = package / DATA_DIRECTORY
    for entry in _undeclared(package):
        found = look(data, entry.files, StatCache())
        yield from (name for name, fact in found.items() if fact != entry.files.get(name))


def _edited_bad(package: Path, *, every: bool) -> Iterator[str]:
    data, known = package / DATA_DIRECTORY, read_leftovers(package).bad
    yield from (name for name in _bad(package, every=every) if not is_still(data, name, known[name][1]))


def _remove_empty(data: Path, names: Iterable[str]) -> None:
    parents = {parent for name in names for parent in Path(name).parents if parent != Path()}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        directory = data / parent
        if directory.is_dir() and not directory.is_symlink() and not any(directory.iterdir()):
            directory.rmdir()
