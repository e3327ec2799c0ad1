"""Run commands in alternation and take the ratios of their times, so that a busy machine slows both sides."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
# Bytecode is written, and nothing of this machine's settings of Python counts.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
BLOCK = 512  # bytes, as the system counts what was written
CHUNK = 1 << 26  # bytes


class Figure(NamedTuple):
    """One figure: what was measured, in which unit, and what it must not exceed (None where there is no limit)."""

    name: str
    value: float
    unit: str
    limit: float | None
    how: str

    @property
    def met(self) -> bool:
        """Tell whether the figure is within its limit."""
        return self.limit is None or self.value <= self.limit


class Run(NamedTuple):
    """One run of a command: wall and processor time in seconds, largest resident set and what it wrote in bytes."""

    seconds: float
    processor: float = 0.0
    memory: int = 0
    written: int = 0


def run(command: Sequence[str], directory: Path, environment: Mapping[str, str] = ENVIRONMENT) -> Run:
    """Run a command to its end, without its output; a failure ends the measurement."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.DEVNULL)
    status, usage = os.wait4(process.pid, 0)[1:]
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, usage.ru_oublock * BLOCK)


def settled(command: Sequence[str], directory: Path, environment: Mapping[str, str] = ENVIRONMENT) -> Run:
    """Run a command when the disk has written what the one before has left to it."""
    os.sync()
    return run(command, directory, environment)


def alternate(ways: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run each in turn, round after round, after one round that does not count."""
    taken = [{name: way() for name, way in ways.items()} for _ in range(rounds + 1)][1:]
    return {name: [each[name] for each in taken] for name in ways}


def ratio(ones: Sequence[Run], others: Sequence[Run], of: str = "seconds") -> float:
    """Return the median over rounds of one command's figure, divided by the other's of the same round."""
    return median(getattr(one, of) / getattr(other, of) for one, other in zip(ones, others, strict=True))


def write_noise(path: Path, count: int) -> str:
    """Write a file that nothing can make smaller, and return its sha256."""
    with path.open("w+b") as stream:
        for start in range(0, count, CHUNK):
            stream.write(os.urandom(min(CHUNK, count - start)))
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()
