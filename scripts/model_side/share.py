"""Give a file a second name without a second copy of its bytes, where the file system can."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

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
