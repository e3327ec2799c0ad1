"""Show how transfers get on: a bar each on a terminal, a line each elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Protocol, TextIO

_PLAIN_EVERY = 30.0


class Bar(Protocol):
    """The progress of one source."""

    def expect_all(self, total: int) -> None:
        """Take note of all bytes of a directory, none here yet; what is expected of its files does not add to them."""

    def file(self, name: str) -> Bar:
        """Return a new bar of one file of a directory, which goes when it is done."""

    def expect(self, total: int, have: int) -> None:
        """Take note of so many bytes to come in all, of which `have` are here; negative ones take back."""

    def advance(self, count: int) -> None:
        """Take note of bytes that arrived."""

    def done(self, what: str) -> None:
        """Say how it ended."""


class Progress(Protocol):
    """Where bars are shown."""

    def bar(self, name: str) -> Bar:
        """Return a new bar."""

    def say(self, line: str) -> None:
        """Print a line."""

    def shown(self) -> AbstractContextManager[object]:
        """Return a context in which bars are seen."""


def progress_on(stream: TextIO) -> Progress:
    """Return bars where `stream` is a terminal, else lines."""
    return RichProgress(stream) if stream.isatty() else PlainProgress(stream)


def amount(count: float) -> str:
    """Return a number of bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


class SilentBar:
    """The progress of what nobody watches."""

    def expect_all(self, total: int) -> None:
        """Do nothing."""

    def expect(self, total: int, have: int) -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

    def file(self, name: str) -> Bar:
        """Return another one."""
        return self

    def done(self, what: str) -> None:
        """Do nothing."""


class PlainProgress:
    """A line for what begins to take long, and one for each end."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def bar(self, name: str) -> Bar:
        """Return a new bar."""
        return _PlainBar(self, name)

    def say(self, line: str) -> None:
        """Print a line."""
        with self._lock:
            print(line, file=self._stream, flush=True)

    def shown(self) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()


class _PlainBar:
    def __init__(self, progress: PlainProgress, name: str) -> None:
        self._progress, self._name = progress, name
        self._total = self._have = self._arrived = 0
        self._is_fixed = False
        self._started = self._said = time.monotonic()

    def expect_all(self, total: int) -> None:
        self._total, self._have, self._is_fixed = total, 0, True

    def expect(self, total: int, have: int) -> None:
        self._total, self._have = self._total + total * (not self._is_fixed), self._have + have
        if have > 0:
            self._progress.say(f"{self._name}: going on from {amount(self._have)}")

    def advance(self, count: int) -> None:
        self._have, self._arrived = self._have + count, self._arrived + max(count, 0)
        now = time.monotonic()
        if now - self._said >= _PLAIN_EVERY:
            self._said = now
            self._progress.say(f"{self._name}: {self._state(now)}")

    def file(self, name: str) -> Bar:
        return SilentBar()

    def done(self, what: str) -> None:
        seconds = time.monotonic() - self._started
        rate = f", {amount(self._arrived / seconds)}/s" if self._arrived > 1e6 and seconds > 0 else ""
        self._progress.say(f"{self._name}: {what}, {seconds:.1f} s{rate}")

    def _state(self, now: float) -> str:
        rate = self._arrived / (now - self._started)
        here = f"{amount(self._have)} of {amount(self._total)}" if self._total else amount(self._have)
        left = f", {(self._total - self._have) / rate:.0f} s left" if self._total and rate else ""
        return f"{here}, {amount(rate)}/s{left}"


class RichProgress:
    """A bar for each source, and for each file of a directory while it comes, with rate and time left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @cached_property
    def _bars(self) -> Any:
        # 0.1 s: not on the way to a no-op.
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        return Bars(TextColumn("{task.description}", markup=False), *columns, console=Console(file=self._stream))

    def bar(self, name: str) -> Bar:
        """Return a new bar."""
        return _RichBar(self._bars, name)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(line, markup=False, highlight=False)

    def shown(self) -> AbstractContextManager[object]:
        """Return a context in which bars are drawn."""
        bars: AbstractContextManager[object] = self._bars
        return bars


class _RichBar:
    def __init__(self, bars: Any, name: str) -> None:
        self._bars, self._name, self._total, self._is_fixed = bars, name, 0, False
        self._task = bars.add_task(name, total=None)

    def expect_all(self, total: int) -> None:
        self._total, self._is_fixed = total, True
        self._bars.update(self._task, total=total or None, completed=0)

    def expect(self, total: int, have: int) -> None:
        self._total += total * (not self._is_fixed)
        self._bars.update(self._task, total=self._total or None, advance=have)

    def advance(self, count: int) -> None:
        self._bars.update(self._task, advance=count)

    def file(self, name: str) -> Bar:
        return _FileBar(self._bars, f"{self._name}/{name}")

    def done(self, what: str) -> None:
        self._bars.update(self._task, visible=False)
        self._bars.console.print(f"{self._name}: {what}", markup=False, highlight=False)


class _FileBar(_RichBar):
    def done(self, what: str) -> None:
        self._bars.remove_task(self._task)
