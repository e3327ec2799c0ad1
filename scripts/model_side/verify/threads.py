"""Several threads at once in a loaded model: each gets the answer that it gets alone.

Import it in the model environment only.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Barrier, Lock
from types import FrameType
from typing import Any

from ..base.errors import StepError
from ..output.arrays import Arrays
from ..output.comparison import Tolerance
from .others import other_requests
from .routes import Route, compared, failed
from .scene import Payload, Scene, distance

THREADS = 4  # as many as MLflow's server may well run at once
_ROUNDS_SECONDS = 0.5
_SWITCH_SECONDS = 1e-5  # between threads, so that they meet inside the model
_LINES = 200  # of the model's code in one call, after which each other threads go on
_INSTALLING = Lock()


def ask_at_once(scene: Scene) -> Iterator[Route]:
    """Ask one question after the other, then all at once for half a second; keep the answer that is furthest off."""
    name, tolerance, ask = f"{THREADS} threads at once", Tolerance.of(scene.files.metadata), scene.witness.model.predict
    worst = Route(name)
    scene.asking(name)
    os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))  # the world may have taken all but one away
    sys.setswitchinterval(_SWITCH_SECONDS)  # this process ends with the trials
    try:
        alone = [(scene.payload, ask(scene.payload)), *_answered(ask, other_requests(scene))]
        questions, serial = zip(*alone, strict=True)
        until = time.monotonic() + _ROUNDS_SECONDS
        with ThreadPoolExecutor(THREADS) as pool:
            for turn in count():
                found = _at_once(pool, ask, questions, turn, scene.directory)
                trials = [compared(name, serial[number], got, tolerance) for number, got in found]
                worst = max([*trials, *([worst] if turn else [])], key=distance)
                if not worst.agrees or time.monotonic() >= until:
                    break
    except StepError as error:
        worst = failed(name, error)
    again = scene.holds(f"the same again, after {name}", scene.payload, scene.first) if worst.differs else worst
    if again is not worst and again.differs:  # each call changes what later ones read, whether at once or not
        scene.history = again
    else:
        yield worst


def _answered(ask: Callable[[Payload], Arrays], questions: Sequence[Payload]) -> Iterator[tuple[Payload, Arrays]]:
    """Yield questions with their answers, but for those that are refused: whether these may be, `rows` says."""
    for question in questions:
        with suppress(StepError):
            yield question, ask(question)


def _at_once(
    pool: ThreadPoolExecutor, ask: Callable[[Payload], Arrays], questions: Sequence[Payload], turn: int, model: Path
) -> list[tuple[int, Arrays]]:
    """Return the answers of several threads, each to another question than before, by the question's number."""
    barrier = Barrier(THREADS)

    def ask_one(thread: int) -> tuple[int, Arrays]:
        number = (thread + turn) % len(questions)
        barrier.wait()
        if turn % 2:
            return number, ask(questions[number])
        with giving_way(model):
            return number, ask(questions[number])

    return list(pool.map(ask_one, range(THREADS)))


@contextmanager
def giving_way(model: Path) -> Iterator[None]:
    """Let other threads go on after each line of the model's code: what two of them share, they then meet in."""
    lines = count()

    def at_line(frame: FrameType, event: str, _: Any) -> Any:
        if next(lines) > _LINES:
            _trace(None)
        elif event == "line":
            time.sleep(_SWITCH_SECONDS)
        return at_line

    _trace(lambda frame, *_: at_line if frame.f_code.co_filename.startswith(f"{model}/") else None)
    try:
        yield
    finally:
        _trace(None)


def _trace(function: Callable[..., Any] | None) -> None:
    with _INSTALLING:  # where there is an audit hook, CPython 3.11 refuses two at once
        sys.settrace(function)
