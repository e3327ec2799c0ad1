"""Predict again with a loaded model: the same once more, each row alone, several at once. The answers must not change.

Import it in the model environment only.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Barrier
from typing import Any

from ..base.errors import ReportedError, StepError
from ..base.processes import Figures, peak_memory
from ..base.tracebacks import authors_code
from ..model.model import ModelFiles, disable_tracing, whole_model
from ..model.settings import settings_of
from ..output.arrays import Arrays, nulled
from ..output.comparison import Comparison, Tolerance, compare
from ..payload.payload import rows_alone
from ..run.child import run_in_child
from ..run.direct import call_directly
from ..run.in_process import load_in_process, predict_in_process
from .routes import REFERENCE, Route

ROWS = 8  # that are asked for alone
THREADS = 4  # as many as MLflow's server may well run at once
_SWITCH_SECONDS = 1e-5  # between threads, so that they meet inside the model

Ask = Callable[[Mapping[str, Any]], Arrays]


@dataclass(frozen=True)
class Trial:
    """A prediction that was made again, and how it compares with the one before.

    Parameters
    ----------
    name : str
        How it was made.
    comparison : Comparison, optional
        None where it gave nothing that fits.
    fault : str
    outputs : mapping of str to ndarray or dict
        `expected` and `got`, where they differ.
    """

    name: str
    comparison: Comparison | None = None
    fault: str = ""
    outputs: Mapping[str, Arrays] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether it gave the same."""
        return self.comparison is not None and self.comparison.agrees

    def entry(self) -> dict[str, Any]:
        """Return it as verification.json says it."""
        entry = {"trial": self.name, "status": "agrees" if self.agrees else "differs"}
        entry |= self.comparison.entry() if self.comparison else {}
        return {**entry, **({"fault": self.fault} if self.fault else {})}

    def lines(self) -> list[str]:
        """Return what is wrong, for a person: the first differing cells."""
        found = [*([self.fault] if self.fault else []), *(self.comparison.lines() if self.comparison else [])]
        return [f"  {self.name}: {line}" for line in found]


@dataclass(frozen=True)
class Again:
    """What a model gave in a process of its own.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        For the payload, at first.
    figures : Figures
        Of loading it, and of the first prediction.
    trials : mapping of str to tuple of Trial
        By the check that they are of.
    """

    output: Arrays
    figures: Figures
    trials: Mapping[str, tuple[Trial, ...]]


def predict_once(model: Path, payload: Mapping[str, Any], files: ModelFiles) -> tuple[Arrays, Figures]:
    """Load a model and predict a payload that fits, as `predict_again` does at first."""
    start = time.perf_counter()
    output = _load(model, files)(payload)
    return output, Figures(time.perf_counter() - start, peak_memory())


def predict_again(model: Path, payload: Mapping[str, Any], files: ModelFiles, tolerance: Tolerance) -> Again:
    """Load a model, predict a payload that fits, and make those trials that the model's settings ask for.

    Call it in a process that has not imported the author's code.

    Raises
    ------
    StepError
        If it does not load, or its first prediction fails.
    """
    start = time.perf_counter()
    ask = _load(model, files)
    first = ask(payload)
    figures = Figures(time.perf_counter() - start, peak_memory())
    rows, settings = rows_alone(payload, files.signature, ROWS), settings_of(files.metadata)
    trials = {}
    if settings["repeatable"]:
        trials["repeatable"] = tuple(_repeatable(ask, payload, rows, first, tolerance))
    if settings["concurrent"]:
        trials["concurrent"] = (_concurrent(ask, [payload, *rows[: THREADS - 1]], first, tolerance),)
    return Again(first, figures, trials)


def _load(model: Path, files: ModelFiles) -> Ask:
    with authors_code("load", model):
        loaded = load_in_process(model)

    def ask(question: Mapping[str, Any]) -> Arrays:
        with authors_code("predict", model):
            return predict_in_process(loaded, files, question, "output")

    return ask


def compared(name: str, expected: Arrays, got: Arrays, tolerance: Tolerance) -> Trial:
    """Return how an output compares with the one before."""
    found = compare(expected, got, tolerance)
    return Trial(name, found, found.fault, {} if found.agrees else {"expected": expected, "got": got})


def _repeatable(
    ask: Ask, payload: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], first: Arrays, tolerance: Tolerance
) -> Iterator[Trial]:
    yield _tried("twice in one process", first, partial(ask, payload), tolerance)
    if rows:
        alone = [
            _tried(f"row {number} alone", _row(first, number), partial(ask, row), tolerance)
            for number, row in enumerate(rows)
        ]
        worst = max(alone, key=_distance)
        yield replace(worst, name=f"each of {len(rows)} rows alone") if worst.agrees else worst


def _row(output: Arrays, number: int) -> Arrays:
    part = slice(number, number + 1)
    return {name: array[part] for name, array in output.items()} if isinstance(output, dict) else output[part]


def _tried(name: str, expected: Arrays, work: Callable[[], Arrays], tolerance: Tolerance) -> Trial:
    try:
        return compared(name, expected, work(), tolerance)
    except StepError as error:
        return _failed(name, error)


def _failed(name: str, error: StepError) -> Trial:
    if error.author_traceback:
        print(error.author_traceback.rstrip(), file=sys.stderr)
    return Trial(name, fault=str(error))


def _concurrent(ask: Ask, questions: Sequence[Mapping[str, Any]], first: Arrays, tolerance: Tolerance) -> Trial:
    """Ask one question after the other, then all at once, and return the answer that is furthest off."""
    name = f"{THREADS} threads at once"
    try:
        serial = [first, *map(ask, questions[1:])]
        found = [compared(name, serial[number], got, tolerance) for number, got in _at_once(ask, questions)]
    except StepError as error:
        return _failed(name, error)
    return max(found, key=_distance)


def _at_once(ask: Ask, questions: Sequence[Mapping[str, Any]]) -> list[tuple[int, Arrays]]:
    """Return the answers of several threads, each beginning with another question, by the question's number."""
    barrier = Barrier(THREADS)
    sys.setswitchinterval(_SWITCH_SECONDS)  # this process ends with the trials

    def ask_all(start: int) -> list[tuple[int, Arrays]]:
        barrier.wait()
        turn = [(start + step) % len(questions) for step in range(len(questions))]
        return [(number, ask(questions[number])) for number in turn]

    with ThreadPoolExecutor(THREADS) as pool:
        return list(chain.from_iterable(pool.map(ask_all, range(THREADS))))


def _distance(trial: Trial) -> tuple[bool, float]:
    found = trial.comparison
    return not trial.agrees, (found.max_absolute or 0.0) if found else 0.0


@dataclass(frozen=True)
class Evidence:
    """What the model gave when it predicted again.

    Parameters
    ----------
    trials : mapping of str to tuple of Trial
        By the check that they are of.
    figures : Figures, optional
        None where it gave nothing.
    """

    trials: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    figures: Figures | None = None


def direct_route(package: Path, payload: Mapping[str, Any], files: ModelFiles, seconds: float) -> Route:
    """Call the author's code in a package, for so many seconds at most."""
    try:
        with _scratch():
            found = call_directly(package, payload, files, seconds)
    except ReportedError as error:
        _show(error)
        return Route("direct", fault=str(error))
    return Route("direct", nulled(found.output), figures=found.figures)


def predicted_again(
    model_uri: str,
    payload: Mapping[str, Any],
    files: ModelFiles,
    tolerance: Tolerance,
    before: Route,
    seconds: float,
) -> Evidence:
    """Load a model and let it predict again, for so many seconds at most.

    Parameters
    ----------
    before : Route
        What it gave in another process.
    """
    disable_tracing()
    try:
        with whole_model(model_uri) as model, _scratch():
            arguments = (predict_again, model.resolve(), payload, files, tolerance)
            again = run_in_child(
                *arguments, subject="predict again", directory=Path.cwd(), code=[model], seconds=seconds
            )
    except ReportedError as error:
        _show(error)
        failed = (Trial("in a process of its own", fault=str(error)),)
        return Evidence({"repeatable": failed, "concurrent": failed})
    trials = dict(again.trials)
    if "repeatable" in trials and before.output is not None:
        other = compared("in two processes", before.output, nulled(again.output), tolerance)
        trials["repeatable"] = (trials["repeatable"][0], other, *trials["repeatable"][1:])
    return Evidence(trials, again.figures)


def example_route(model_uri: str, files: ModelFiles, seconds: float) -> Route:
    """Load a model and let it predict its stored example, for so many seconds at most."""
    disable_tracing()
    subject = "the model's example"
    try:
        with whole_model(model_uri) as model, _scratch():
            arguments = (predict_once, model.resolve(), files.example, files)
            output, figures = run_in_child(
                *arguments, subject=subject, directory=Path.cwd(), code=[model], seconds=seconds
            )
    except ReportedError as error:
        _show(error)
        return Route(REFERENCE, fault=f"{subject}: {error}")
    return Route(REFERENCE, nulled(output), figures=figures)


@contextmanager
def _scratch() -> Iterator[None]:
    """Let what a model leaves behind, its result files too, go where it is removed."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        try:
            yield
        finally:
            tempfile.tempdir = before[1]
            os.environ.pop("TMPDIR")
            os.environ.update({"TMPDIR": before[0]} if before[0] else {})


def _show(error: ReportedError) -> None:
    if error.author_traceback:
        print(error.author_traceback.rstrip(), file=sys.stderr)
