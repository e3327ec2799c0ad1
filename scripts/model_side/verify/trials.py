"""Predict again with a loaded model: the same once more, each row alone, several at once. The answers must not change.

Import it in the model environment only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Barrier
from typing import Any

from ..base.errors import ReportedError, StepError
from ..base.processes import Figures, peak_memory
from ..model.model import ModelFiles, disable_tracing, whole_model
from ..model.settings import settings_of
from ..output.arrays import Arrays, nulled
from ..output.comparison import Tolerance
from ..payload.inputs import read_only_places
from ..payload.payload import rows_alone
from ..run.child import run_in_child
from ..run.clock import AHEAD, Clock, movable_clock
from ..run.direct import call_directly
from ..run.in_process import load_in_process
from .routes import REFERENCE, Route

ROWS = 8  # that are asked for alone
THREADS = 4  # as many as MLflow's server may well run at once
_SWITCH_SECONDS = 1e-5  # between threads, so that they meet inside the model

Payload = Mapping[str, Any]
Trials = Mapping[str, Sequence[Route]]  # by the check that they are of
Ask = Callable[[Payload], Arrays]


def direct_route(package: Path, payload: Payload, files: ModelFiles, seconds: float) -> Route:
    """Call the author's code in a package, for so many seconds at most.

    Parameters
    ----------
    package : Path
        Its directory.
    payload : mapping
    files : ModelFiles
        Of the MLflow Model that was made from it.
    seconds : float
    """
    try:
        found = call_directly(package, payload, files, seconds)
    except ReportedError as error:
        return _failed("direct", error)
    return Route("direct", nulled(found.output), figures=found.figures)


def predicted_again(
    model_uri: str, payload: Payload, files: ModelFiles, before: Route, seconds: float
) -> tuple[Route, Trials]:
    """Load a model and let it predict again, for so many seconds at most, as often as its settings ask for.

    Parameters
    ----------
    model_uri : str
    payload : mapping
    files : ModelFiles
    before : Route
        What it gave in another process.
    seconds : float

    Returns
    -------
    Route
        The one before, with what loading and the first prediction cost.
    mapping of str to sequence of Route
        What it gave, by the check that it is for.
    """
    try:
        first, trials = _asked(model_uri, payload, files, "predict again", seconds, again=True)
    except ReportedError as error:
        failed = [_failed("in a process of its own", error)]
        return before, {"repeatable": failed, "concurrent": failed}
    if "repeatable" in trials and before.output is not None and first.output is not None:
        other = compared("in two processes", before.output, first.output, Tolerance.of(files.metadata))
        trials = {**trials, "repeatable": [trials["repeatable"][0], other, *trials["repeatable"][1:]]}
    return replace(before, figures=first.figures), trials


def example_route(model_uri: str, files: ModelFiles, seconds: float) -> Route:
    """Load a model and let it predict its stored example, for so many seconds at most.

    Parameters
    ----------
    model_uri : str
    files : ModelFiles
    seconds : float
    """
    subject = "the model's example"
    try:
        return _asked(model_uri, files.example or {}, files, subject, seconds, again=False)[0]
    except ReportedError as error:
        return replace(_failed(REFERENCE, error), fault=f"{subject}: {error}")


def _asked(
    model_uri: str, payload: Payload, files: ModelFiles, subject: str, seconds: float, *, again: bool
) -> tuple[Route, Trials]:
    """Return what the model gives in a process that has not imported the author's code."""
    disable_tracing()
    with whole_model(model_uri) as place:
        model, here = place.resolve(), Path.cwd()
        kept = read_only_places(payload, model)
        child = partial(run_in_child, subject=subject, directory=here, code=[model], seconds=seconds, scratch=True)
        return child(_predict, model, payload, files, again, kept=kept)


def _failed(name: str, error: ReportedError) -> Route:
    if error.author_traceback:
        print(error.author_traceback.rstrip(), file=sys.stderr)
    return Route(name, fault=str(error))


def _predict(directory: Path, payload: Payload, files: ModelFiles, again: bool) -> tuple[Route, Trials]:
    start, clock = time.perf_counter(), movable_clock()
    model, began = load_in_process(directory, files), time.time()
    first = model.predict(payload)
    route = Route(REFERENCE, nulled(first), figures=Figures(time.perf_counter() - start, peak_memory()))
    trials: dict[str, list[Route]] = {}
    settings, tolerance = settings_of(files.metadata), Tolerance.of(files.metadata)
    rows = rows_alone(payload, files.signature, ROWS) if again else []
    if again and settings["repeatable"]:
        trials["repeatable"] = [_later(model.predict, payload, first, tolerance, clock, began)]
        trials["repeatable"] += _alone(model.predict, rows, first, tolerance)
    if again and settings["concurrent"]:
        trials["concurrent"] = [_concurrent(model.predict, [payload, *rows[: THREADS - 1]], first, tolerance)]
    return route, trials


def _later(ask: Ask, payload: Payload, first: Arrays, tolerance: Tolerance, clock: Clock, began: float) -> Route:
    """Ask again, a day later by the clock; where the answer differs, with the clock turned back, too."""
    clock.ahead = AHEAD
    trial = _tried("twice in one process", first, partial(ask, payload), tolerance)
    if not trial.agrees:
        clock.turn_to(began)
        if _tried(trial.name, first, partial(ask, payload), tolerance).agrees:
            trial = replace(trial, name="twice, the clock moved on by a day")
    clock.ahead = 0
    return trial


def _alone(ask: Ask, rows: Sequence[Payload], first: Arrays, tolerance: Tolerance) -> list[Route]:
    """Ask each row alone, and return the answer that is furthest off; none where there are no rows."""
    alone = [
        _tried(f"row {number} alone", _row(first, number), partial(ask, row), tolerance)
        for number, row in enumerate(rows)
    ]
    if not alone:
        return []
    worst = max(alone, key=_distance)
    return [replace(worst, name=f"each of {len(rows)} rows alone") if worst.agrees else worst]


def _row(output: Arrays, number: int) -> Arrays:
    part = slice(number, number + 1)
    return {name: array[part] for name, array in output.items()} if isinstance(output, dict) else output[part]


def _tried(name: str, expected: Arrays, work: Callable[[], Arrays], tolerance: Tolerance) -> Route:
    try:
        return compared(name, expected, work(), tolerance)
    except StepError as error:
        return _failed(name, error)


def compared(name: str, expected: Arrays, got: Arrays, tolerance: Tolerance) -> Route:
    """Return how an output compares with the one before; both are in it only where they differ.

    Parameters
    ----------
    name : str
    expected, got : ndarray or dict of str to ndarray
    tolerance : Tolerance
    """
    route = Route(name, got).against(expected, tolerance)
    return replace(route, output=None, expected=None) if route.agrees else route


def _concurrent(ask: Ask, questions: Sequence[Payload], first: Arrays, tolerance: Tolerance) -> Route:
    """Ask one question after the other, then all at once, and return the answer that is furthest off."""
    name = f"{THREADS} threads at once"
    try:
        serial = [first, *map(ask, questions[1:])]
        found = [compared(name, serial[number], got, tolerance) for number, got in _at_once(ask, questions)]
    except StepError as error:
        return _failed(name, error)
    return max(found, key=_distance)


def _at_once(ask: Ask, questions: Sequence[Payload]) -> list[tuple[int, Arrays]]:
    """Return the answers of several threads, each beginning with another question, by the question's number."""
    barrier = Barrier(THREADS)
    sys.setswitchinterval(_SWITCH_SECONDS)  # this process ends with the trials

    def ask_all(start: int) -> list[tuple[int, Arrays]]:
        barrier.wait()
        turn = [(start + step) % len(questions) for step in range(len(questions))]
        return [(number, ask(questions[number])) for number in turn]

    with ThreadPoolExecutor(THREADS) as pool:
        return list(chain.from_iterable(pool.map(ask_all, range(THREADS))))


def _distance(trial: Route) -> tuple[bool, float]:
    found = trial.comparison
    return not trial.agrees, (found.max_absolute or 0.0) if found else 0.0
