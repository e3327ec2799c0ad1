"""Where a build is seen: lines as they happen; on a terminal what runs now, below them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, NamedTuple, Self, TextIO

from engine.graph import goal_of, order
from engine.logs import bars_of
from engine.step import Says, Step
from engine.walk import Outcome, Pipeline

from . import report

ANNOUNCED_SECONDS = 5.0
_LOOKS_PER_SECOND, _END_BYTES, _BARS = 5, 4096, 4


class Running(NamedTuple):
    """A step whose command runs: of which model, since when, and where its log is."""

    model: str
    step: Step
    log: Path
    since: float


class Screen:
    """Lines as they happen; a step that takes long is announced.

    Parameters
    ----------
    pipelines : sequence of Pipeline
    goal : str, optional
        The step that they are built up to.
    as_json : bool
        Whether stdout is for a JSON document alone.
    patience : float
        Seconds after which a step that runs is announced.
    """

    is_live = False  # whether it shows what runs, so that no command may write to the terminal itself

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        goal: str | None = None,
        *,
        as_json: bool = False,
        patience: float = ANNOUNCED_SECONDS,
    ) -> None:
        self._pipelines, self._goal, self._as_json, self._patience = pipelines, goal, as_json, patience
        width = max((len(pipeline.name) for pipeline in pipelines), default=0) if len(pipelines) > 1 else 0
        self._names = {pipeline.root: pipeline.name.ljust(width)[:width] for pipeline in pipelines}
        self._running: dict[tuple[Path, str], Running] = {}
        self._guard = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._running.clear()

    def begin(self, root: Path, step: Step, log: Path) -> None:
        """Take note that a step's command runs now."""
        running = Running(self._names[root], step, log, time.monotonic())
        with self._guard:
            self._running[root, step.name] = running
            if not self._as_json:
                self._began(running)

    def tell(self, pipeline: Pipeline, outcome: Outcome) -> None:
        """Say what became of a step."""
        with self._guard:
            running = self._running.pop((pipeline.root, outcome.step), None)
            if running and self.is_live and running.step.runs.says is Says.LIVE and not outcome.error:
                self.say(running.log.read_text(encoding="utf-8", errors="replace").rstrip())
            if not self._as_json:
                self._write(sys.stdout, self._line(outcome, self._names[pipeline.root]))

    def say(self, text: str) -> None:
        """Say on stderr what a person should know."""
        if text:
            self._write(sys.stderr, text)

    def _line(self, outcome: Outcome, model: str) -> str:
        return report.line(outcome, model)

    def _write(self, stream: TextIO, text: str) -> None:
        """Write a line in one piece: models are built in threads, and `print` writes the line's end apart."""
        stream.write(text + "\n")
        stream.flush()

    def _began(self, running: Running) -> None:
        timer = threading.Timer(self._patience, self._announce, [running])
        timer.daemon = True
        timer.start()

    def _announce(self, running: Running) -> None:
        with self._guard:
            if running in self._running.values():
                self._write(sys.stdout, report.running(running.step.name, running.model))


class LiveScreen(Screen):
    """Lines as they happen, and below them what runs, each with its time and what it said last, and what waits."""

    is_live = True
    _live: Any = None  # nothing is imported for it before something runs

    def __init__(self, pipelines: Sequence[Pipeline], goal: str | None = None, *, as_json: bool = False) -> None:
        super().__init__(pipelines, goal, as_json=as_json)
        self._done: set[tuple[Path, str]] = set()

    def __exit__(self, *error: object) -> None:
        super().__exit__()
        if self._live:
            self._live.stop()
            self._live = None

    def tell(self, pipeline: Pipeline, outcome: Outcome) -> None:
        """Say what became of a step."""
        self._done.add((pipeline.root, outcome.step))
        super().tell(pipeline, outcome)

    def _line(self, outcome: Outcome, model: str) -> str:
        return report.line(outcome, model, columns=get_terminal_size().columns)

    def _write(self, stream: TextIO, text: str) -> None:
        if self._live is None:
            super()._write(stream, text)
        else:
            from rich.text import Text

            self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def _began(self, running: Running) -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(transient=True, refresh_per_second=_LOOKS_PER_SECOND, get_renderable=self._view)
            self._live.start()

    def _view(self) -> Any:
        """Return what is below the lines; without a lock, since rich holds its own while it asks."""
        from rich.console import Group
        from rich.text import Text

        rows = max(1, self._live.console.height - 2) if self._live else 1
        lines = report.cut(list(self._view_lines()), rows)
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))

    def _view_lines(self) -> Iterator[str]:
        now = time.monotonic()
        for running in tuple(self._running.values()):
            yield report.running(running.step.name, running.model, now - running.since, _last_line(running.log))
            yield from (f"  {line}" for line in report.cut(_lines(bars_of(running.log)), _BARS))
        for pipeline in self._pipelines:
            steps = () if pipeline.fault else order(pipeline.steps, goal_of(pipeline.steps, self._goal))
            keys = ((pipeline.root, step.name) for step in steps)
            waiting = [name for root, name in keys if not {(root, name)} & (self._done | self._running.keys())]
            if waiting:
                yield report.waiting(waiting, self._names[pipeline.root])


def screen_for(pipelines: Sequence[Pipeline], goal: str, *, plain: bool, as_json: bool) -> Screen:
    """Return a live screen where a person looks at a terminal that can show it, else lines."""
    is_live = not plain and not as_json and is_capable()
    return (LiveScreen if is_live else Screen)(pipelines, goal, as_json=as_json)


def is_capable() -> bool:
    """Tell whether stdout and stderr are a terminal with colours and symbols, and nobody asked for less."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    symbols = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return symbols and sys.stdout.isatty() and sys.stderr.isatty()


def _last_line(log: Path) -> str:
    lines = [line for line in _lines(log) if line[:1].strip()]  # an indented one goes with the line before
    return lines[-1].strip() if lines else ""


def _lines(path: Path) -> list[str]:
    """Return the last lines of a file that somebody else writes, without colours; none where there is no file."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _END_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return report.without_colour(text).replace("\r", "\n").splitlines()
