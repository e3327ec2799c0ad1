"""What must not change a model's answers: one table of relations, each asked where the model is loaded.

Import it in the model environment only.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

from ..base.errors import StepError
from ..model.model import ModelFiles
from ..model.settings import settings_of
from ..output.arrays import Arrays
from ..output.comparison import Tolerance
from ..payload.payload import of_rows, row_numbers, why_no_rows
from ..run.clock import AHEAD, Clock
from ..run.in_process import Loaded, load_in_process
from .routes import Route, compared, failed
from .witness import Witness

ROWS = 8  # that are asked for alone
THREADS = 4  # as many as MLflow's server may well run at once
MAY_DIFFER = "repeatable is off: two answers to one question may differ"
TILED = "three times in another order, and one more"
_ROUNDS_SECONDS = 0.5  # one round of threads finds a buffer that they share once in forty tries
_SWITCH_SECONDS = 1e-5  # between threads, so that they meet inside the model

Payload = Mapping[str, Any]


@dataclass
class Scene:
    """A loaded model that has answered once.

    Parameters
    ----------
    directory : Path
        The MLflow Model.
    files : ModelFiles
    payload : mapping
        What it was asked.
    witness : Witness
        Asks the loaded model, and keeps what it took and gave.
    first : ndarray or dict of str to ndarray
        Its answer.
    clock : Clock
        That of this process.
    began : float
        When it was asked, in seconds since 1970.
    """

    directory: Path
    files: ModelFiles
    payload: Payload
    witness: Witness
    first: Arrays
    clock: Clock
    began: float

    def holds(self, name: str, payload: Payload, expected: Arrays, model: Loaded | None = None) -> Route:
        """Ask once more, and return how the answer compares with what it must be."""
        try:
            got = (model.predict if model else self.witness.predict)(payload)
        except StepError as error:
            return failed(name, error)
        return compared(name, expected, got, Tolerance.of(self.files.metadata))


class Relation(NamedTuple):
    """A relation that must hold between answers.

    Parameters
    ----------
    name : str
        As VERIFICATION of model_spec.py and verification.json call it.
    why_not : callable
        Returns why it does not apply to a scene; nothing where it does.
    ask : callable
        Yields what was asked, each compared with what it must be.
    compares : bool
        Whether answers to one question must be the same for it, which an author may deny with `repeatable`.
    """

    name: str
    why_not: Callable[[Scene], str]
    ask: Callable[[Scene], Iterable[Route]]
    compares: bool = True

    def asked(self, scene: Scene, before: Mapping[str, Sequence[Route]]) -> list[Route]:
        """Return what was asked, or one route that says why it was not.

        Parameters
        ----------
        scene : Scene
        before : mapping of str to sequence of Route
            What was asked for the relations before this one.
        """
        why_not = self._unrepeatable(scene, before) if self.compares else ""
        why_not = why_not or self.why_not(scene)
        return [Route(self.name, why_not=why_not)] if why_not else list(self.ask(scene))

    def _unrepeatable(self, scene: Scene, before: Mapping[str, Sequence[Route]]) -> str:
        if not settings_of(scene.files.metadata)["repeatable"]:
            return MAY_DIFFER
        needed = before if self.name == "history" else ("repeatable",)
        wrong = [name for name in needed if any(each.differs for each in before.get(name, ()))]
        return f"{wrong[0]} failed" if wrong else ""


def _always(_: Scene) -> str:
    return ""


def _again(scene: Scene) -> Iterator[Route]:
    """Ask again, a day later by the clock; where the answer differs, with the clock turned back, too."""
    scene.clock.ahead = AHEAD
    trial = scene.holds("twice in one process", scene.payload, scene.first)
    if not trial.agrees:
        scene.clock.turn_to(scene.began)
        if scene.holds(trial.name, scene.payload, scene.first).agrees:
            trial = replace(trial, name="twice, the clock moved on by a day")
    scene.clock.ahead = 0
    yield trial


def _no_rows(scene: Scene) -> str:
    return why_no_rows(scene.payload, scene.files.signature)


def _rows(scene: Scene) -> Iterator[Route]:
    """Ask for single rows; then for all in another order, several times: more than a batch holds."""
    numbers = row_numbers(scene.payload, scene.files.signature)
    alone = [_of(scene, f"row {number} alone", [number]) for number in numbers[:ROWS]]
    worst = max(alone, key=_distance)
    if not worst.agrees:
        yield worst
        return
    yield replace(worst, name=f"each of {len(alone)} rows alone")
    backwards = numbers[::-1]
    tiled = _of(scene, TILED, [*backwards, *numbers, *backwards, 0])
    smaller = {"in another order": backwards, "one row twice": [0, 0], "three times": numbers * 3}
    found = (_of(scene, *each) for each in smaller.items())
    yield tiled if tiled.agrees else next((each for each in found if not each.agrees), tiled)


def _of(scene: Scene, name: str, numbers: Sequence[int]) -> Route:
    expected = _taken(scene.first, numbers)
    return scene.holds(name, of_rows(scene.payload, scene.files.signature, numbers), expected)


def _taken(output: Arrays, numbers: Sequence[int]) -> Arrays:
    chosen = list(numbers)
    return {name: array[chosen] for name, array in output.items()} if isinstance(output, dict) else output[chosen]


def _reload(scene: Scene) -> Iterator[Route]:
    try:
        second = load_in_process(scene.directory, scene.files)
    except StepError as error:
        yield failed("loaded a second time", error)
        return
    yield scene.holds("loaded a second time", scene.payload, scene.first, second)


def _threads(scene: Scene) -> Iterator[Route]:
    """Ask one question after the other, then all at once for half a second; keep the answer that is furthest off."""
    name, tolerance = f"{THREADS} threads at once", Tolerance.of(scene.files.metadata)
    signature = scene.files.signature
    numbers = [] if why_no_rows(scene.payload, signature) else row_numbers(scene.payload, signature)
    rows = [of_rows(scene.payload, signature, [number]) for number in numbers[: THREADS - 1]]
    questions, ask = [scene.payload, *(rows if len(numbers) > 1 else [])], scene.witness.model.predict
    worst: Route | None = None
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the world may have taken all but one away
    try:
        serial = list(map(ask, questions))
        until = time.monotonic() + _ROUNDS_SECONDS
        while worst is None or (worst.agrees and time.monotonic() < until):
            found = [compared(name, serial[number], got, tolerance) for number, got in _at_once(ask, questions)]
            worst = max([*found, *([worst] if worst else [])], key=_distance)
    except StepError as error:
        worst = failed(name, error)
    yield worst


def _at_once(ask: Callable[[Payload], Arrays], questions: Sequence[Payload]) -> list[tuple[int, Arrays]]:
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


def _history(scene: Scene) -> Iterator[Route]:
    yield scene.holds("the same again, after all other calls", scene.payload, scene.first)


def _unchanged(scene: Scene) -> Iterator[Route]:
    return scene.witness.changes()


# In this order: the last ones see what the calls before them left.
RELATIONS = (
    Relation("repeatable", _always, _again),
    Relation("rows", _no_rows, _rows),
    Relation("reload", _always, _reload),
    Relation("history", _always, _history),
    Relation("concurrent", _always, _threads, compares=False),
    Relation("unchanged", _always, _unchanged, compares=False),
)
