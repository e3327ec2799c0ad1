"""Processes: which of a group still run, which a run has left behind, and what a prediction costs."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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


def left_running(group: int, seconds: float, known: Collection[int] | None = None) -> list[str]:
    """Wait until no process of a group runs, and none that it has left to this process in another session.

    Parameters
    ----------
    group : int
        The group's id.
    seconds : float
        How long to wait at most.
    known : collection of int, optional
        The children of this process that are no such; by default, none is looked for.

    Returns
    -------
    list of str
        The names of the processes that still run after that time.
    """

    def left() -> list[str]:
        adopted = {each.pid for each in _left_to_this(known, group)} if known is not None else ()
        return [each.name for each in _running() if each.group == group or each.pid in adopted]

    return _wait(left, seconds)


def left_below(seconds: float) -> list[str]:
    """Wait until nothing runs below this process, for so many seconds at most, and return the names of what does."""
    return _wait(lambda: [each.name for each in _left_to_this(())], seconds)


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
    return bool(_wait(lambda: [each.name for each in _running([pid])], seconds))


def _wait(left: Callable[[], list[str]], seconds: float) -> list[str]:
    until = time.monotonic() + seconds
    while (remaining := left()) and time.monotonic() < until:
        time.sleep(_POLL)
    return remaining


def running(group: int) -> list[str]:
    """Return the names of the processes in a group that run, where the system tells."""
    return [each.name for each in _running() if each.group == group]


class _Process(NamedTuple):
    pid: int
    name: str
    parent: int
    group: int


def _running(pids: Iterable[int] | None = None) -> list[_Process]:
    """Return the processes that run, of these or of all; one that has ended and is not waited for runs no more."""
    stats = Path("/proc").glob("[0-9]*/stat") if pids is None else (Path(f"/proc/{pid}/stat") for pid in pids)
    return [each for each in map(_read, stats) if each]


def _read(stat: Path) -> _Process | None:
    try:
        name, _, rest = stat.read_text(errors="replace").partition("(")[2].rpartition(")")
    except OSError:  # it has just ended
        return None
    state, parent, group, *_ = rest.split()
    return None if state in "ZX" else _Process(int(stat.parent.name), name, int(parent), int(group))


_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Become, from now on, the parent of every descendant whose own parent ends, also in a session of its own."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    """Return the children of this process that run."""
    return {each.pid for each in _running() if each.parent == os.getpid()}


def descendants(pid: int) -> list[_Process]:
    """Return what a process has started and what that has, as far as it runs."""
    everything, found = _running(), [pid]
    for parent in found:
        found += [each.pid for each in everything if each.parent == parent]
    return [each for each in everything if each.pid in found[1:]]


def _left_to_this(known: Collection[int], child: int | None = None) -> list[_Process]:
    """Return what runs below this process, but for the children that it knows, and for one child without its own."""
    own = [each for each in _running() if each.parent == os.getpid() and each.pid not in known]
    family = [*own, *(below for each in own for below in descendants(each.pid))]
    return [each for each in family if each.pid != child]


def end_family(pid: int, known: Collection[int]) -> None:
    """End a child, its group, and all that it has started, also in sessions of their own.

    Parameters
    ----------
    pid : int
        The child; who waits for it is told how it ended.
    known : collection of int
        The other children of this process.
    """
    _kill(os.killpg, pid)
    end_left(known, pid)


def end_left(known: Collection[int] = (), child: int | None = None) -> None:
    """End all that runs below this process, but for the children that it knows, and for one child without its own."""
    while left := _left_to_this(known, child):
        for each in left:
            _kill(os.kill, each.pid)
            if each.parent == os.getpid():
                with suppress(ChildProcessError):
                    os.waitpid(each.pid, 0)
        time.sleep(_POLL)


def _kill(send: Callable[[int, int], None], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        send(number, signal.SIGKILL)


def ask_where(pids: Iterable[int], seconds: float) -> None:
    """End processes, each after what the one before it says: Python's faulthandler, where it is on, tells where it is.

    Parameters
    ----------
    pids : iterable of int
        They leave no file of their memory.
    seconds : float
        How long to wait at most, for all of them.
    """
    until = time.monotonic() + seconds
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGABRT)
        runs_still(pid, until - time.monotonic())


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


def held(peak: int) -> str:
    """Return, as a sentence, how much memory a process has held at most, in bytes."""
    return f"It held {peak / _MIB:.0f} MiB at most."


def out_of_memory(peak: int) -> str:
    """Return what to know of a process that had not enough memory.

    Parameters
    ----------
    peak : int
        The most that it has held, in bytes.
    """
    limit = min(resource.getrlimit(kind)[0] % 2**63 for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    allowed = f"; RLIMIT_AS or RLIMIT_DATA allows it {limit / _MIB:.0f} MiB" if limit < 2**62 else ""
    return f"It ran out of memory: it held {peak / _MIB:.0f} MiB at most{allowed}."
