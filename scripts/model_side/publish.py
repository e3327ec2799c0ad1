"""Put a finished directory in the place of the old one, in one rename where the system can."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

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
