"""Say where a command has stopped to work, so that nothing hangs in silence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .transaction import processes_of

_UTIME, _STIME = 11, 12  # places of the processor times in /proc/PID/stat, counted behind the process's name


@contextmanager
def watched(run: str, others: Callable[[], list[int]], tell: Callable[[float], None], seconds: float) -> Iterator[None]:
    """Tell, while a run goes on, where none of its processes has used the processor for some time.

    Parameters
    ----------
    run : str
        The run's own name, by which its processes are known.
    others : callable
        Returns further processes that work for it.
    tell : callable
        Told for how many seconds nothing was done, each time that this has doubled.
    seconds : float
        How often to look.
    """
    ended = threading.Event()

    def look() -> None:
        before, quiet, said = None, 0.0, 0.0
        while not ended.wait(seconds):
            now = {pid: _ticks(pid) for pid in (*processes_of(run), *others())}
            quiet = quiet + seconds if now == before else 0.0
            said = said if quiet else 0.0
            if quiet and quiet >= 2 * said:
                said = quiet
                tell(quiet)
            before = now

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _ticks(pid: int) -> int:
    """Return how much of the processor a process has used; 0 where it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[_UTIME]) + int(fields[_STIME])
    return 0
