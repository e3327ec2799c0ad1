"""Show how a batch gets on: a live bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

_EVERY = 30.0  # seconds
_MIB = 2**20


class Progress:
    """How many units are done and failed, how fast, how long still, and the most memory that one took.

    Parameters
    ----------
    total : int
    """

    def __init__(self, total: int) -> None:
        self.total, self.done, self.failed, self.memory = total, 0, 0, 0
        self._since = self._told = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bars

            console = Console(file=sys.stderr)
            self._bar = Bars(BarColumn(), TextColumn("{task.description}"), console=console, transient=True)
            self._bar.add_task(self.line(), total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def count(self, *, ok: bool, memory: int) -> None:
        """Take note of a unit that has ended; `memory` in bytes."""
        self.done, self.failed = self.done + ok, self.failed + (not ok)
        self.memory = max(self.memory, memory)

    def show(self) -> None:
        """Show it, if that is due."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self.done + self.failed, description=self.line())
        elif time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """Return it as text."""
        ended, seconds = self.done + self.failed, time.monotonic() - self._since
        rate = ended / seconds if seconds else 0.0
        left = f"{_time((self.total - ended) / rate)} left" if rate else "time left unknown"
        memory = f"{self.memory / _MIB:.0f} MiB"
        return f"{self.done} done, {self.failed} failed of {self.total}, {rate:.1f}/s, {left}, {memory}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
