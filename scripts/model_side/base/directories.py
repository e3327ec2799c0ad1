"""Directories that belong to a process while it runs; the next one removes what a killed one left."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StepError

_YOUNG = 60  # seconds, in which a directory may be there and not locked yet


def make_work_directory(target: Path) -> Path:
    """Make a directory beside a target, this process's own while it runs, and remove what a killed process left.

    Parameters
    ----------
    target : Path
        What is to be made in it, and then moved here.

    Returns
    -------
    Path
        The new directory.

    Raises
    ------
    StepError
        If another process is making the same target.
    """
    prefix = f".{target.name}.part-"
    for leftover in sorted(path for path in target.parent.iterdir() if path.name.startswith(prefix)):
        if not _lock(leftover):
            advice = "Wait for it, or give another --out-dir."
            raise StepError(target.name, "another process is making it", got=leftover.name, advice=advice)
        _remove(leftover)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    _lock(work)
    return work


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """Give a temporary directory, and remove what killed processes of this user left of that name.

    Parameters
    ----------
    prefix : str
        What its name starts with: no other program's may.
    """
    oldest = time.time() - _YOUNG
    for leftover in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # another process removes it as well
            status = leftover.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if is_own and status.st_mtime < oldest and _lock(leftover):
                _remove(leftover)
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    _lock(directory)
    try:
        yield directory
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    """Remove a directory, read-only ones in it, too."""
    for place, _, _ in os.walk(directory):
        Path(place).chmod(0o700)
    shutil.rmtree(directory)


def _lock(directory: Path) -> bool:
    """Lock a directory until this process and its children have ended; return False where another has locked it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True
