"""Which processes of a group still run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.01  # seconds; the system has no event for the end of a group


def left_running(group: int, seconds: float) -> list[str]:
    """Return the names of the processes in a group that still run when a time is over; at once when none does."""
    return _wait(lambda: running(group), seconds)


def runs_still(pid: int, seconds: float) -> bool:
    """Tell whether a process still runs when a time is over; at once when it does not."""
    return _wait(lambda: _name_if_running(Path(f"/proc/{pid}/stat"))[1] != 0, seconds)


def _wait(left: Callable[[], T], seconds: float) -> T:
    until = time.monotonic() + seconds
    while (found := left()) and time.monotonic() < until:
        time.sleep(_POLL)
    return found


def running(group: int) -> list[str]:
    """Return the names of the processes in a group that run, where the system tells."""
    states = map(_name_if_running, Path("/proc").glob("[0-9]*/stat"))
    return [name for name, of in states if of == group]


def _name_if_running(stat: Path) -> tuple[str, int]:
    """Return the name and the group of a process that runs; no group, 0, of one that has ended."""
    try:
        name, _, rest = stat.read_text(errors="replace").partition("(")[2].rpartition(")")
    except OSError:  # it has just ended
        return "", 0
    state, _, group, *_ = rest.split()
    return name, 0 if state in "ZX" else int(group)
