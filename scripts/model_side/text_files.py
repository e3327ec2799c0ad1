"""Write a text file whole or not at all, remove files, and check beforehand that files are as they must be."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .errors import UsageError


def publish(text: str, target: Path) -> None:
    """Write the text file `target` in one move; what stood there stays until then."""
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def remove_files(directory: Path, names: Iterable[str]) -> None:
    """Remove these files of a directory, and the directory where it holds nothing else."""
    if directory.is_dir():
        for name in names:
            (directory / name).unlink(missing_ok=True)
        with suppress(OSError):  # what else is in it is not ours
            directory.rmdir()


def require_writable(target: Path) -> None:
    """Check, before the work, that `target` can be written after it.

    Raises
    ------
    UsageError
        If its directory is missing, or `target` is a directory.
    """
    if target.is_dir() or not target.parent.is_dir():
        got = "a directory" if target.is_dir() else "no such directory"
        raise UsageError(str(target), "cannot be written", expected="a file in an existing directory", got=got)


def require_file(path: Path, flag: str) -> None:
    """Check, before the work, that a flag's file is there.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not path.is_file():
        raise UsageError(flag, "no such file", got=str(path))
