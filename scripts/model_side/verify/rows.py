"""Relations between rows: alone, in another order, and more than a batch holds.

Import it in the model environment only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice

from ..base.errors import StepError
from ..output.arrays import taken
from ..output.comparison import Tolerance
from ..payload.payload import of_rows, row_numbers, why_no_rows
from .routes import REFUSED, Route, compared
from .scene import Scene, distance

ROWS = 8  # that are asked for alone
_MANY, _MANY_SECONDS = (129, 1025), 2.0  # one more than a batch may hold; so long as it takes no longer
TILED = "three times in another order, and one more"


def no_rows(scene: Scene) -> str:
    """Return why rows cannot be asked for by themselves; nothing where they can."""
    return why_no_rows(scene.payload, scene.files.signature)


def ask_rows(scene: Scene) -> Iterator[Route]:
    """Ask for rows in other ways; where an answer differs, for the first request, too: it may be the calls before."""
    for trial in _ask_rows(scene):
        if trial.differs:
            again = scene.holds(f"the same again, after {trial.name}", scene.payload, scene.first)
            if again.differs:
                scene.history = again
                return
        yield trial


def _ask_rows(scene: Scene) -> Iterator[Route]:
    """Ask for single rows; then for all in another order, several times: more than a batch holds."""
    numbers = row_numbers(scene.payload, scene.files.signature)
    alone = [of_numbers(scene, f"row {number} alone", [number]) for number in numbers[:ROWS]]
    worst = max(alone, key=distance)
    if not worst.agrees:
        yield worst
        return
    yield replace(worst, name=f"each of {len(alone)} rows alone")
    backwards = numbers[::-1]
    tiled = of_numbers(scene, TILED, [*backwards, *numbers, *backwards, 0])
    smaller = {"in another order": backwards, "one row twice": [0, 0], "three times": numbers * 3}
    found = (of_numbers(scene, *each) for each in smaller.items())
    yield tiled if tiled.agrees else next((each for each in found if not each.agrees), tiled)
    if not tiled.agrees:
        return
    if len(numbers) > 2:  # what begins alike may be taken for the same
        yield of_numbers(scene, "all but the first in another order", [numbers[0], *backwards[:-1]])
    yield from _ask_many(scene, numbers)


def _ask_many(scene: Scene, numbers: Sequence[int]) -> Iterator[Route]:
    """Ask for as many rows as some batches hold, and one more, as long as that is quick."""
    size, start = len(numbers), time.monotonic()
    scene.witness.predict(scene.payload)
    for rows in _MANY:
        if (time.monotonic() - start) * rows / size > _MANY_SECONDS:
            return
        size, start = rows, time.monotonic()
        many = list(islice(cycle(numbers), rows))
        scene.asking(f"{rows} rows")
        try:
            got = scene.witness.predict(of_rows(scene.payload, scene.files.signature, many))
        except StepError:  # too many are refused aloud
            yield Route(f"{rows} rows refused", told=REFUSED)
            return
        trial = compared(f"{rows} rows", taken(scene.first, many), got, Tolerance.of(scene.files.metadata))
        yield trial
        if not trial.agrees:
            return


def of_numbers(scene: Scene, name: str, numbers: Sequence[int]) -> Route:
    """Ask for these rows, by their numbers, and return how the answer compares with these of the first answer.

    Parameters
    ----------
    scene : Scene
    name : str
        What the route is called.
    numbers : sequence of int
    """
    expected = taken(scene.first, numbers)
    return scene.holds(name, of_rows(scene.payload, scene.files.signature, numbers), expected)
