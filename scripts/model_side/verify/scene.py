"""A loaded model that has answered once, and a relation that its further answers must hold.

Import it in the model environment only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..base.errors import StepError
from ..model.model import ModelFiles
from ..model.settings import settings_of
from ..output.arrays import Arrays
from ..output.comparison import Tolerance
from ..run.clock import Clock
from ..run.in_process import Loaded
from .routes import Route, compared, failed
from .witness import Witness

MAY_DIFFER = "repeatable is off: two answers to one question may differ"
BY_HISTORY = "history failed"
_NAME = 200  # bytes

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
    now : Array
        Shared with the parent, of bytes: the relations that are asked for, and after a colon what of them.
    history : Route, optional
        The first request again, where earlier calls were found to change its answer.
    """

    directory: Path
    files: ModelFiles
    payload: Payload
    witness: Witness
    first: Arrays
    clock: Clock
    began: float
    now: Any
    history: Route | None = None

    def asking(self, name: str) -> None:
        """Tell the parent what is asked next, for where it ends this process."""
        self.now.value = self.now.value.partition(b": ")[0] + f": {name}".encode()[:_NAME]

    def holds(self, name: str, payload: Payload, expected: Arrays, model: Loaded | None = None) -> Route:
        """Ask once more, and return how the answer compares with what it must be."""
        self.asking(name)
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
        why_not = self.not_asked(scene, before)
        scene.now.value = self.name.encode()
        made = [] if why_not else list(self.ask(scene))
        return made or [Route(self.name, why_not=why_not or BY_HISTORY)]

    def not_asked(self, scene: Scene, before: Mapping[str, Sequence[Route]]) -> str:
        """Return why it is not asked after those before it; nothing where it is."""
        return (self._unrepeatable(scene, before) if self.compares else "") or self.why_not(scene)

    def _unrepeatable(self, scene: Scene, before: Mapping[str, Sequence[Route]]) -> str:
        if not settings_of(scene.files.metadata)["repeatable"]:
            return MAY_DIFFER
        if scene.history and self.name != "history":
            return BY_HISTORY
        needed = {"history": before.keys(), "cells": ("repeatable", "files")}.get(self.name, ("repeatable",))
        wrong = [name for name in needed if any(each.differs for each in before.get(name, ()))]
        return f"{wrong[0]} failed" if wrong else ""


def distance(trial: Route) -> tuple[bool, float]:
    """Return how far off an answer is, as something to sort by."""
    found = trial.comparison
    return not trial.agrees, (found.max_absolute or 0.0) if found else 0.0
