"""Processes: which of a group still run, and what a prediction costs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_POLL = 0.01  # seconds; the system has no event for the end of a group


def ended_with(code: int) -> str:
    """Return how a process ended, by its exit code as subprocess has it: negative where a signal ended it."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def advice_on_end(code: int) -> str:
    """Return what may have ended a process that a signal ended, nothing where none did, or where the signal tells."""
    if -code == signal.SIGKILL:
        return "The system, or somebody else, killed it: it may have run out of memory."
    crashed = -code in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
    return "Compiled code of a library that it uses crashed." if crashed else ""


def left_running(group: int, seconds: float) -> list[str]:
    """Wait until no process of a group runs.

    Parameters
    ----------
    group : int
        The group's id.
    seconds : float
        How long to wait at most.

    Returns
    -------
    list of str
        The names of the processes that still run after that time.
    """
    return _wait(lambda: running(group), seconds)


def runs_still(pid: int, seconds: float) -> bool:
    """Wait until a process has ended.

    Parameters
    ----------
    pid : int
    seconds : float
        How long to wait at most.

    Returns
    -------
    bool
        Whether it still runs after that time.
    """
    stat = Path(f"/proc/{pid}/stat")
    return bool(_wait(lambda: [name for name, group in [_name_if_running(stat)] if group], seconds))


def _wait(left: Callable[[], list[str]], seconds: float) -> list[str]:
    until = time.monotonic() + seconds
    while (remaining := left()) and time.monotonic() < until:
        time.sleep(_POLL)
    return remaining


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


_KIB, _MIB = 2**10, 2**20


@dataclass(frozen=True)
class Figures:
    """What a prediction cost.

    Parameters
    ----------
    seconds : float
    peak_memory : int
        Bytes.
    """

    seconds: float
    peak_memory: int

    def entry(self) -> dict[str, Any]:
        """Return the figures as a report has them."""
        return {"seconds": round(self.seconds, 3), "peak_memory": self.peak_memory}

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.peak_memory / _MIB:.0f} MiB"


def figures_of(report: Mapping[str, Any]) -> dict[str, Figures]:
    """Return the figures of each route in a report."""
    return {name: Figures(each["seconds"], each["peak_memory"]) for name, each in report.get("figures", {}).items()}


def peak_memory(process: int | str = "self") -> int:
    """Return the most memory that a process has held, without its children, in bytes, as the kernel reports it."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * _KIB for line in lines if line.startswith("VmHWM:")), 0)
