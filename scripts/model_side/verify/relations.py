"""What must not change a model's answers: one table of relations, each asked where the model is loaded.

Import it in the model environment only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from ..base.errors import StepError
from ..run.clock import AHEAD
from ..run.in_process import load_in_process
from .cells import ask_cells, no_cells
from .files import BAD_INPUTS, ask_bad_inputs, ask_files, no_bad_inputs, no_files
from .others import NEARBY, nearby
from .params import ask_params, no_params
from .routes import Route, failed
from .rows import ask_rows, no_rows
from .scene import Payload, Relation, Scene
from .threads import ask_at_once


def _always(_: Scene) -> str:
    return ""


def _again(scene: Scene) -> Iterator[Route]:
    """Ask again, a year later by the clock; where the answer differs, with the clock turned back, too."""
    scene.clock.ahead = AHEAD
    trial = scene.holds("twice in one process", scene.payload, scene.first)
    if not trial.agrees:
        scene.clock.turn_to(scene.began)
        if scene.holds(trial.name, scene.payload, scene.first).agrees:
            trial = replace(trial, name="twice, the clock moved on by a year")
    scene.clock.ahead = 0
    yield trial


def _reload(scene: Scene) -> Iterator[Route]:
    """Ask a second load, after a request that is almost the same; where it differs, a third without that one."""
    near = nearby(scene)
    trial = _second(scene, near)
    if near and not trial.agrees and (alone := _second(scene)).agrees:
        scene.history = replace(trial, name=f"after {NEARBY}, loaded a second time")
        trial = alone
    yield trial


def _second(scene: Scene, near: Payload | None = None) -> Route:
    name = "loaded a second time"
    try:
        second = load_in_process(scene.directory, scene.files)
    except StepError as error:
        return failed(name, error)
    with suppress(StepError):  # it may be refused
        if near:
            second.predict(near)
    return scene.holds(name, scene.payload, scene.first, second)


def _history(scene: Scene) -> Iterator[Route]:
    yield scene.history or scene.holds("the same again, after all other calls", scene.payload, scene.first)


def _unchanged(scene: Scene) -> Iterator[Route]:
    return scene.witness.changes()


# In this order: the last ones see what the calls before them left.
RELATIONS = (
    Relation("repeatable", _always, _again),
    Relation("rows", no_rows, ask_rows),
    Relation("params", no_params, ask_params),
    Relation("files", no_files, ask_files),
    Relation("cells", no_cells, ask_cells),
    Relation(BAD_INPUTS, no_bad_inputs, ask_bad_inputs, compares=False),
    Relation("reload", _always, _reload),
    Relation("concurrent", _always, ask_at_once, compares=False),
    Relation("history", _always, _history),
    Relation("unchanged", _always, _unchanged, compares=False),
)
