"""Keep two downloads of one package apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.step import STATE_DIRECTORY


@contextmanager
def alone(package: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the package's download lock; the operating system ends it with its holder.

    It is not the pipeline's lock, which is held already when the pipeline runs a download.
    """
    from filelock import FileLock, Timeout

    state = package / STATE_DIRECTORY
    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{package.name}: waiting for another download of it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
