"""Ask a slow model as little as possible: one question for all the relations that it can show at once.

Import it in the model environment only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..payload.payload import row_numbers
from ..run.clock import AHEAD
from .checks import BUDGET
from .relations import RELATIONS
from .routes import Route
from .rows import TILED, of_numbers
from .scene import Relation, Scene

TOGETHER = ("repeatable", "rows")  # one question shows both: rows in another order, and a day later
AGAIN = "once more, a day later"


def packed(scene: Scene, relations: Collection[str], seconds: float) -> Mapping[str, Sequence[Route]]:
    """Ask one question for several relations; where its answer differs, for each alone until one is the cause.

    Parameters
    ----------
    scene : Scene
    relations : collection of str
        The names of those that are asked for.
    seconds : float
        How long the first prediction took.

    Returns
    -------
    mapping of str to sequence of Route
        By the relation; those that are left out say so.
    """
    left_out = f"{BUDGET}: a prediction took {seconds:.1f} s; `verify --full` asks for it"
    trials: dict[str, Sequence[Route]] = {}
    together: dict[str, Relation] = {}
    for relation in (each for each in RELATIONS if each.name in relations):
        if relation.name in TOGETHER:
            why_not = relation.not_asked(scene, {})
            together |= {} if why_not else {relation.name: relation}
            trials |= {relation.name: [Route(relation.name, why_not=why_not)]} if why_not else {}
        elif relation.name in ("history", "unchanged"):  # of the same calls
            trials |= _together(scene, together)
            trials[relation.name] = relation.asked(scene, trials)
            together = {}
        else:
            trials[relation.name] = [Route(relation.name, why_not=relation.not_asked(scene, trials) or left_out)]
    return {**trials, **_together(scene, together)}


def _together(scene: Scene, relations: Mapping[str, Relation]) -> Mapping[str, Sequence[Route]]:
    if not relations:
        return {}
    trial = _asked_once(scene, relations)
    return {name: [trial] for name in relations} if trial.agrees else _split(scene, relations, trial)


def _asked_once(scene: Scene, names: Collection[str]) -> Route:
    scene.clock.ahead = AHEAD
    if "rows" in names:
        numbers = row_numbers(scene.payload, scene.files.signature)
        backwards = numbers[::-1]
        trial = of_numbers(scene, TILED, [*backwards, *numbers, *backwards, 0])
    else:
        trial = scene.holds(AGAIN, scene.payload, scene.first)
    scene.clock.ahead = 0
    return trial


def _split(scene: Scene, relations: Mapping[str, Relation], trial: Route) -> Mapping[str, Sequence[Route]]:
    """Ask for each relation alone until one is broken; where none is, what differs is the question for them all."""
    trials: dict[str, Sequence[Route]] = {}
    for name, relation in relations.items():
        trials[name] = relation.asked(scene, trials)
    broken = any(each.differs for made in trials.values() for each in made)
    return trials if broken else {**trials, next(reversed(trials)): [trial]}
