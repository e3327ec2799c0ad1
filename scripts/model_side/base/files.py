"""Files: written whole or not at all, checked before the work, fingerprinted, shared; and directories likewise."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import StepError, UsageError


def read_text(path: Path, advice: str = "") -> str:
    """Return what a text file holds.

    Parameters
    ----------
    path : Path
    advice : str
        What to do where it cannot be read, as a sentence.

    Raises
    ------
    UsageError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        expected = "UTF-8" if isinstance(error, UnicodeDecodeError) else None
        raise UsageError(str(path), "cannot be read", expected=expected, got=str(error), advice=advice) from error


def publish(text: str, target: Path) -> None:
    """Write a text file in one move; what is there stays until then.

    Parameters
    ----------
    text : str
    target : Path
        In an existing directory.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def remove_files(directory: Path, names: Iterable[str]) -> None:
    """Remove files of a directory, and the directory where it holds nothing else.

    Parameters
    ----------
    directory : Path
        Nothing happens where there is none.
    names : iterable of str
        Relative to the directory.
    """
    if directory.is_dir():
        for name in names:
            (directory / name).unlink(missing_ok=True)
        with suppress(OSError):  # what else is in it is not ours
            directory.rmdir()


def remove(path: Path) -> None:
    """Remove a file, or a directory and what is in it, if it is there."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def require_writable(target: Path) -> None:
    """Check, before the work, that a file can be written after it.

    Parameters
    ----------
    target : Path

    Raises
    ------
    UsageError
        If its directory is missing, or `target` is a directory.
    """
    if target.is_dir() or not target.parent.is_dir():
        got = "a directory" if target.is_dir() else "no such directory"
        raise UsageError(str(target), "cannot be written", expected="a file in an existing directory", got=got)


def require_file(path: Path, flag: str) -> None:
    """Check, before the work, that a flag's file exists.

    Parameters
    ----------
    path : Path
    flag : str
        The error's subject.

    Raises
    ------
    UsageError
        If there is no such file.
    """
    if not path.is_file():
        raise UsageError(flag, "no such file", got=str(path))


@dataclass(frozen=True)
class FileEntry:
    """The content of one file.

    Parameters
    ----------
    size : int
        Bytes.
    sha256 : str
        64 hexadecimal digits.
    """

    size: int
    sha256: str


def file_entry(path: Path) -> FileEntry:
    """Read a file from end to end.

    Parameters
    ----------
    path : Path

    Returns
    -------
    FileEntry
        Its size in bytes and its sha256.
    """
    with path.open("rb") as stream:
        value = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileEntry(os.fstat(stream.fileno()).st_size, value)


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


def move(source: Path, target: Path) -> None:
    """Move a file or a directory, in one rename where the system can: not out of a layer of a container.

    Parameters
    ----------
    source : Path
    target : Path
        Its new place; a file there is replaced.

    Raises
    ------
    StepError
        If the source is a mount point.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno == errno.EBUSY:
            advice = "It is a mount point: mount a directory above it."
            raise StepError(str(source), "cannot be moved", got=error.strerror, advice=advice) from error
        if error.errno != errno.EXDEV:
            raise
        shutil.move(source, target)


def publish_directory(made: Path, target: Path) -> None:
    """Put a directory in its place; what was there is removed after that.

    Parameters
    ----------
    made : Path
        The finished directory, on the file system of `target`.
    target : Path
        Its place.

    Raises
    ------
    OSError
        If it cannot be moved there; then the old one is still at `target`.
    """
    if not target.exists():
        made.rename(target)
        return
    if not _exchange(made, target):
        aside = made.with_name(f"{made.name}.old")
        move(target, aside)
        made.rename(target)
        aside.rename(made)
    shutil.rmtree(made)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; return False where the C library or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(done == 0)


_FICLONE = 0x40049409  # linux/fs.h: make one file share the blocks of another, copied on write


def clone(source: Path, target: Path) -> None:
    """Make a reflink of a file, else a copy: never a hard link, which is one file with its source.

    Parameters
    ----------
    source : Path
        An existing file.
    target : Path
        It must not exist.

    Raises
    ------
    OSError
        If there is no room or no access; nothing is left at `target`.
    """
    if reflink(source, target):
        return
    if shutil.disk_usage(target.parent).free <= source.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
    try:
        shutil.copyfile(source, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def reflink(source: Path, target: Path) -> bool:
    """Make a file that shares the blocks of another, copied on write.

    Parameters
    ----------
    source : Path
        An existing file.
    target : Path
        It must not exist.

    Returns
    -------
    bool
        False where the file system cannot do that; nothing is left at `target` then.
    """
    try:
        with source.open("rb") as origin, target.open("xb") as clone:
            fcntl.ioctl(clone.fileno(), _FICLONE, origin.fileno())
    except FileExistsError:
        raise
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy what a file holds, its blocks shared where the file system can; `target` must not exist."""
    if not reflink(Path(source), Path(target)):
        shutil.copyfile(source, target)
