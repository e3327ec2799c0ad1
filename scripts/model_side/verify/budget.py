"""Ask a slow model as little as possible: one question for all the relations that it can show at once.

Import it in the model environment only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..payload.payload import row_numbers
from ..run.clock import AHEAD
from .cells import ask_fewer_cells
from .params import ask_others
from .relations import RELATIONS
from .routes import Route
from .rows import TILED, of_numbers
from .scene import Relation, Scene

# What each question shows at once: rows or cells in another order, a year later; and the first request once more, with
# its files named otherwise, after one with other params.
QUESTIONS = (("repeatable", "rows", "cells"), ("params", "files", "history"))
FREE = ("unchanged",)  # of the same calls
AGAIN, LAST = "once more, a year later", "the same again, after all other calls"


def asked_before(scene: Scene, relations: Collection[str]) -> Mapping[str, Sequence[Route]]:
    """Ask the first question before the request itself, whose answer is known from another process.

    Where it differs, nothing is known of its relations: it is asked again.
    """
    known = {each.name: each for each in RELATIONS if each.name in relations and each.name in QUESTIONS[0]}
    together = {name: relation for name, relation in known.items() if not relation.not_asked(scene, {})}
    scene.now.value = " ".join(together).encode()
    trial = _ask_changed(scene, together)
    scene.now.value = b""
    return {name: [trial] for name in together} if trial.agrees else {}


def packed(
    scene: Scene, relations: Collection[str], left_out: str, asked: Mapping[str, Sequence[Route]]
) -> Mapping[str, Sequence[Route]]:
    """Ask one question for several relations; where its answer differs, for each alone until one is the cause.

    Parameters
    ----------
    scene : Scene
    relations : collection of str
        The names of those that are asked for.
    left_out : str
        Why others are left out.
    asked : mapping of str to sequence of Route
        What has been asked of them.

    Returns
    -------
    mapping of str to sequence of Route
        By the relation; those that are left out say so.
    """
    trials = dict(asked)
    known = {each.name: each for each in RELATIONS if each.name in relations}
    for names, ask in zip(QUESTIONS, (_ask_changed, _ask_again), strict=True):
        why_not = {name: known[name].not_asked(scene, trials) for name in names if name in known.keys() - asked.keys()}
        trials |= {name: [Route(name, why_not=why)] for name, why in why_not.items() if why}
        together = {name: known[name] for name, why in why_not.items() if not why}
        scene.now.value = " ".join(together).encode()
        trial = ask(scene, together) if together else Route("")
        trials |= {name: [trial] for name in together} if trial.agrees else _split(scene, together, trial)
    for name, relation in known.items():
        if name not in trials:
            why = relation.not_asked(scene, trials) or ("" if name in FREE else left_out)
            trials[name] = [Route(name, why_not=why)] if why else relation.asked(scene, trials)
    return trials


def _ask_changed(scene: Scene, names: Mapping[str, Relation]) -> Route:
    scene.clock.ahead = AHEAD
    if "rows" in names:
        numbers = row_numbers(scene.payload, scene.files.signature)
        backwards = numbers[::-1]
        trial = of_numbers(scene, TILED, [*backwards, *numbers, *backwards, 0])
    elif "cells" in names:
        trial = ask_fewer_cells(scene)
    else:
        trial = scene.holds(AGAIN, scene.payload, scene.first)
    scene.clock.ahead = 0
    return trial


def _ask_again(scene: Scene, relations: Mapping[str, Relation]) -> Route:
    if "params" in relations:
        ask_others(scene)
    if "files" not in relations:
        return scene.holds(LAST, scene.payload, scene.first)
    trial = next(iter(relations["files"].ask(scene)))
    return replace(trial, name=f"{LAST}, with {trial.name}")


def _split(scene: Scene, relations: Mapping[str, Relation], trial: Route) -> Mapping[str, Sequence[Route]]:
    """Ask for each relation alone until one is broken; where none is, what differs is the question for them all."""
    trials: dict[str, Sequence[Route]] = {}
    for name, relation in relations.items():
        trials[name] = relation.asked(scene, trials)
    broken = any(each.differs for made in trials.values() for each in made)
    return trials if broken or not trials else {**trials, next(reversed(trials)): [trial]}
