"""The lock of a pipeline's directory: one build at a time, and who it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StepError
from .ledger import load_json, replace_json
from .step import STATE_DIRECTORY


@contextmanager
def locked(
    root: Path, task: str, say: Callable[[str], None], stopped: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the package's lock; while another process holds it, say who and wait.

    The operating system releases the lock when its holder ends, however that happens.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    task : str
        What this build is called where another one waits for it.
    say : callable
        Told who holds the lock, where one waits.
    stopped : callable
        Tells whether to give up waiting.
    """
    from filelock import FileLock, Timeout  # not on the way to a no-op

    state = root / STATE_DIRECTORY
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{root.name}: waiting for {holder(root) or 'another build of it'}")
        while not lock.is_locked:
            if stopped():
                raise StepError(root.name, "interrupted while it waited") from None
            with suppress(Timeout):
                lock.acquire(timeout=0.5)
    try:
        replace_json(_holder(root), {"pid": os.getpid(), "task": task})
        yield
    finally:
        _holder(root).unlink(missing_ok=True)
        lock.release()


@contextmanager
def making(directory: Path) -> Iterator[None]:
    """Hold the right to make a package in `directory`, which is made if need be; nothing of the lock stays in it.

    Parameters
    ----------
    directory : Path
        Where the package will be; it is made if need be.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(root: Path) -> bool:
    """Tell whether some build of the package at `root` runs, or was killed while it ran.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    return _holder(root).exists()


def holder(root: Path) -> str:
    """Return which build of the package at `root` runs now, by its task and process; empty where nothing is known.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    document = load_json(_holder(root))[0] or {}
    if document.get("pid") == os.getpid() or not Path(f"/proc/{document.get('pid')}").exists():
        return ""
    return f"{document.get('task')} (process {document.get('pid')})"


def _holder(root: Path) -> Path:
    return root / STATE_DIRECTORY / "holder.json"
