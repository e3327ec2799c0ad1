"""The directory beside a target in which its replacement is made."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from .errors import StepError


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
