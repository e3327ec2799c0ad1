"""Which processes of a group still run."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_POLL = 0.01  # seconds; the system has no event for the end of a group


def left_running(group: int, seconds: float) -> list[str]:
    """Return the names of the processes in a group that still run when a time is over; at once when none does."""
    until = time.monotonic() + seconds
    while (left := running(group)) and time.monotonic() < until:
        time.sleep(_POLL)
    return left


def running(group: int) -> list[str]:
    """Return the names of the processes in a group that run, where the system tells."""
    names = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            name, _, rest = path.read_text(errors="replace").partition("(")[2].rpartition(")")
            state, _, of, *_ = rest.split()
            if int(of) == group and state not in "ZX":
                names.append(name)
    return names
