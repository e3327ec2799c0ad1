"""Show how transfers get on: a bar each on a terminal, a line each elsewhere."""

from __future__ import annotations

import io
import os
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

_PLAIN_EVERY, _DRAWN_EVERY = 30.0, 0.2  # seconds
BARS_VARIABLE = "STEP_BARS"  # of the engine: names the file from which somebody shows what is drawn there
_COLUMNS = 76


class Bar:
    """How far one source, or one file of a directory, has come; this one shows nothing.

    Parameters
    ----------
    name : str
    above : Bar, optional
        That of the directory, which counts what its files count.
    """

    def __init__(self, name: str, above: Bar | None = None) -> None:
        self.name, self.total, self.have, self.arrived = name, 0, 0, 0
        self._above, self._lock = above, threading.Lock()

    def expect(self, total: int | None, have: int = 0) -> None:
        """Take note of the bytes in all, and of those that are here; what was counted before is forgotten."""
        with self._lock:
            before, self.have, self.total = self.have, have, total or 0
            self.begun()
        if self._above:
            self._above.advance(have - before)

    def advance(self, count: int) -> None:
        """Take note of bytes that arrived; a negative number takes back."""
        with self._lock:
            self.have, self.arrived = self.have + count, self.arrived + max(count, 0)
            self.moved()
        if self._above:
            self._above.advance(count)

    def file(self, name: str) -> Bar:
        """Return a new bar of one file of a directory, which goes when it is done."""
        return Bar(f"{self.name}/{name}", self)

    def begun(self) -> None:
        """Show what is expected."""

    def moved(self) -> None:
        """Show what is here."""

    def done(self, what: str) -> None:
        """Say how it ended."""


class Progress:
    """Where bars are shown: here a line for what begins to take long, and one for each end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._lock = stream, threading.Lock()

    def bar(self, name: str) -> Bar:
        """Return a new bar."""
        return _PlainBar(self, name)

    def say(self, line: str) -> None:
        """Print a line."""
        with self._lock:
            print(line, file=self._stream, flush=True)

    def shown(self) -> AbstractContextManager[object]:
        """Return a context in which bars are seen."""
        return nullcontext()


def progress_on(stream: TextIO) -> Progress:
    """Return bars where `stream` is a terminal, or somebody shows them; else lines."""
    if shown := os.environ.get(BARS_VARIABLE):
        return DrawnProgress(stream, Path(shown))
    return RichProgress(stream) if stream.isatty() else Progress(stream)


def amount(count: float) -> str:
    """Return a number of bytes for people, in powers of 1000.

    Parameters
    ----------
    count : float
        Bytes.

    Returns
    -------
    str
    """
    from rich.filesize import decimal  # not on the way to a no-op

    return decimal(int(count))


class _PlainBar(Bar):
    def __init__(self, progress: Progress, name: str) -> None:
        super().__init__(name)
        self._progress, self._started = progress, time.monotonic()
        self._said = self._started

    def begun(self) -> None:
        if self.have:
            self._progress.say(f"{self.name}: going on from {amount(self.have)}")

    def moved(self) -> None:
        now = time.monotonic()
        if now - self._said >= _PLAIN_EVERY:
            self._said, rate = now, self.arrived / (now - self._started)
            here = f"{amount(self.have)} of {amount(self.total)}" if self.total else amount(self.have)
            left = f", {(self.total - self.have) / rate:.0f} s left" if self.total and rate else ""
            self._progress.say(f"{self.name}: {here}, {amount(rate)}/s{left}")

    def done(self, what: str) -> None:
        seconds = time.monotonic() - self._started
        rate = f", {amount(self.arrived / seconds)}/s" if self.arrived > 1e6 and seconds > 0 else ""
        self._progress.say(f"{self.name}: {what}, {seconds:.1f} s{rate}")


class RichProgress(Progress):
    """A bar for each source, and for each file of a directory while it comes, with rate and time left."""

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

    def text(self, columns: int) -> str:
        """Return the bars as lines of so many columns."""
        from rich.console import Console

        page = io.StringIO()
        Console(file=page, width=columns, color_system=None).print(self._bars.get_renderable())
        return page.getvalue()

    def shown(self) -> AbstractContextManager[object]:
        """Return a context in which bars are drawn."""
        bars: AbstractContextManager[object] = self._bars
        return bars


class DrawnProgress(Progress):
    """Lines on a stream, and bars drawn into a file, which somebody else shows.

    Parameters
    ----------
    stream : TextIO
    place : Path
    """

    def __init__(self, stream: TextIO, place: Path) -> None:
        super().__init__(stream)
        self._place, self._drawn = place, 0.0
        self._bars = RichProgress(io.StringIO())

    def bar(self, name: str) -> Bar:
        """Return a new bar."""
        return _DrawnBar(self, self._bars.bar(name))

    def draw(self) -> None:
        """Draw the bars as they are now, where that was not just done."""
        with self._lock:
            if time.monotonic() - self._drawn >= _DRAWN_EVERY:
                self._drawn = time.monotonic()
                self._place.write_text(self._bars.text(_COLUMNS), encoding="utf-8")


class _DrawnBar(_PlainBar):
    def __init__(self, progress: DrawnProgress, bar: Bar) -> None:
        super().__init__(progress, bar.name)
        self._drawing, self._bar = progress, bar

    def begun(self) -> None:
        super().begun()
        self._bar.expect(self.total, self.have)

    def moved(self) -> None:
        self._bar.expect(self.total, self.have)
        self._drawing.draw()

    def done(self, what: str) -> None:
        super().done(what)
        self._bar.done(what)


class _RichBar(Bar):
    def __init__(self, bars: Any, name: str, above: Bar | None = None) -> None:
        super().__init__(name, above)
        self._bars, self._task = bars, bars.add_task(name, total=None)

    def begun(self) -> None:
        self.moved()

    def moved(self) -> None:
        self._bars.update(self._task, total=self.total or None, completed=self.have)

    def file(self, name: str) -> Bar:
        return _RichBar(self._bars, f"{self.name}/{name}", self)

    def done(self, what: str) -> None:
        if self._above:
            self._bars.remove_task(self._task)
        else:
            self._bars.update(self._task, visible=False)
            self._bars.console.print(f"{self.name}: {what}", markup=False, highlight=False)
