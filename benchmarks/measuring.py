"""Run commands in alternation and take the ratios of their times, so that a busy machine slows both sides."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
# Bytecode is written, and nothing of this machine's settings of Python counts.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


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
    """One run of a command: wall time and processor time in seconds, largest resident set in bytes."""

    seconds: float
    processor: float
    memory: int


def run(command: Sequence[str], directory: Path, environment: Mapping[str, str] = ENVIRONMENT) -> Run:
    """Run a command to its end, without its output; a failure ends the measurement."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.DEVNULL)
    status, usage = os.wait4(process.pid, 0)[1:]
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def alternate(commands: Mapping[str, Sequence[str]], directory: Path, rounds: int) -> dict[str, list[Run]]:
    """Run the commands in turn, round after round, after one round that does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = run(command, directory)
            runs[name] += [taken] * (number > 0)
    return runs


def ratio(ones: Sequence[Run], others: Sequence[Run], of: str = "seconds") -> float:
    """Return the median over rounds of one command's figure, divided by the other's of the same round."""
    return median(getattr(one, of) / getattr(other, of) for one, other in zip(ones, others, strict=True))
