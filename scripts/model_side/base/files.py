"""Write a text file whole or not at all, remove files, and check beforehand that files are as they must be."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
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
        raise UsageError(str(path), "cannot be read", got=str(error), advice=advice) from error


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
    """Read a file from end to end and return what it is."""
    with path.open("rb") as stream:
        value = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileEntry(os.fstat(stream.fileno()).st_size, value)


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


def publish_directory(made: Path, target: Path) -> None:
    """Put the directory `made` at `target`; what was there is removed after that.

    Parameters
    ----------
    made, target : Path
        On one file system.

    Raises
    ------
    OSError
        If it cannot be put there; then the old one is at `target`.
    """
    if not target.exists():
        made.rename(target)
        return
    if not _exchange(made, target):
        aside = made.with_name(f"{made.name}.old")
        target.rename(aside)
        made.rename(target)
        aside.rename(made)
    shutil.rmtree(made)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places at once; return False where the C library or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(done == 0)


_FICLONE = 0x40049409  # linux/fs.h: make one file share the blocks of another, copied on write


def share(source: Path, target: Path) -> None:
    """Make `target` a reflink of `source`, else a hard link, else a copy. It must not exist.

    A hard link and its source are one file: both become read-only, so that no editor changes both by accident.

    Raises
    ------
    OSError
        If none of them can be made; nothing is left at `target`.
    """
    if reflink(source, target):
        return
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        _copy(source, target)
    else:
        target.chmod(0o444)


def reflink(source: Path, target: Path) -> bool:
    """Make `target` share the blocks of `source`, copied on write; return False where that is not possible."""
    try:
        with source.open("rb") as origin, target.open("xb") as clone:
            fcntl.ioctl(clone.fileno(), _FICLONE, origin.fileno())
    except FileExistsError:
        raise
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    if shutil.disk_usage(target.parent).free <= source.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
    try:
        shutil.copyfile(source, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def make_work_directory(target: Path) -> Path:
    """Make a directory beside `target`, this process's own while it runs, and remove what a killed one left.

    Raises
    ------
    StepError
        If another process makes the same target at the moment.
    """
    prefix = f".{target.name}.part-"
    for leftover in sorted(path for path in target.parent.iterdir() if path.name.startswith(prefix)):
        if not _lock(leftover):
            advice = "Wait for it, or give another --out-dir."
            raise StepError(target.name, "another process is making it", got=leftover.name, advice=advice)
        shutil.rmtree(leftover)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    _lock(work)
    return work


def _lock(directory: Path) -> bool:
    """Take hold of a directory until this process and its children have ended; return False where another holds it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True
