"""Put staged bytes in their place in model_data/ with one rename, and never over what an author put there."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Collection
from itertools import count
from pathlib import Path

from model_side.base.errors import StepError, UsageError

from .declaration import DATA_DIRECTORY, RESERVED_SUFFIXES
from .faults import foreign


def part_of(target: Path) -> Path:
    """Return where the bytes of `target` are staged: beside it, on the same file system."""
    return target.with_name(f"{target.name}.part")


def beside(target: Path, what: str) -> Path:
    """Return a further unfinished name beside `target`; no other source's path can be it."""
    return target.with_name(f"{target.name}.part.{what}.part")


def tidy(target: Path) -> None:
    """Remove whatever is unfinished beside `target`, also what killed runs have left."""
    for path in list(target.parent.iterdir()):
        is_ours = f"{path.name}.".startswith(f"{target.name}.part.")
        if is_ours and path.name.endswith(RESERVED_SUFFIXES):
            remove(path)


def check_inside(data: Path, path: str) -> Path:
    """Return the place of `path` in model_data/, with its parent directory made.

    Raises
    ------
    UsageError
        If a link or a file on the way leads it out of model_data/ or ends it.
    """
    target = data / path
    name = f"{DATA_DIRECTORY}/{path}"
    inside = data.resolve()
    if not target.parent.resolve().is_relative_to(inside):
        raise UsageError(name, f"a link on the way leads out of {DATA_DIRECTORY}/", advice="Remove the link.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(name, "a file is where its directory should be", advice="Move it away.") from error
    return target


def install(staged: Path, target: Path, *, owned: bool, keep_aside: bool, known: Collection[str] = ()) -> None:
    """Rename `staged` to `target`.

    Parameters
    ----------
    staged, target : Path
        On one file system.
    owned : bool
        Whether what is at `target` came from a source and may be replaced.
    keep_aside : bool
        Whether what is at `target` is kept as ``.bad``.
    known : collection of str
        Members of the directory at `target` that came from a source, relative to it.

    Raises
    ------
    StepError
        If something at `target` is the author's own.
    """
    if target.is_dir() and not target.is_symlink():
        own = sorted(_members(target) - set(known))
        if own:
            raise StepError(
                str(target),
                "it holds files that came from no source",
                got=", ".join(own[:5]) + (" ..." if len(own) > 5 else ""),
                advice="Move them away; a source never replaces an author's files.",
            )
    elif target.exists() and not owned:
        raise foreign(target)
    if keep_aside:
        keep_as_bad(target, target)
    replace(staged, target)


def replace(staged: Path, target: Path) -> None:
    """Rename `staged` over `target`; a directory in the way is moved aside first and removed after."""
    old = beside(target, "old")
    remove(old)
    if target.is_symlink() or not target.is_dir():
        if staged.is_dir():
            target.unlink(missing_ok=True)
        staged.replace(target)
        return
    target.replace(old)
    staged.replace(target)
    remove(old)


def keep_as_bad(path: Path, target: Path) -> Path:
    """Rename `path` to the ``.bad`` of `target`, and return the new name.

    An earlier one of the same bytes gives way. One of other bytes may be an author's work: the new one gets a number.
    """
    for number in count(1):
        bad = target.with_name(f"{target.name}.{number}.bad" if number > 1 else f"{target.name}.bad")
        if not os.path.lexists(bad) or _same(path, bad):
            remove(bad)
            break
    return path.replace(bad)


def remove(path: Path) -> None:
    """Remove a file, a link or a directory; nothing where there is nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    """Tell whether two files, or all files of two directories, hold the same bytes."""
    if one.is_file() and other.is_file():
        return filecmp.cmp(one, other, shallow=False)
    if not (one.is_dir() and other.is_dir()) or _members(one) != _members(other):
        return False
    return all(_same(one / name, other / name) for name in _members(one))


def _members(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}
