"""Ray actors at work: each has some units at a time; those of a lost one go to the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError

from .node import unpacked
from .pool import Done
from .worker import Unit

_TICK = 1.0  # seconds, after which progress is shown


class _Asked(NamedTuple):
    """What was asked of an actor: a unit, or None: whether it is prepared."""

    actor: Any
    unit: Unit | None


class Actors:
    """Some actors and their units.

    Parameters
    ----------
    ray : module
    start : callable
        It makes an actor.
    parts : Path
        Where outputs are written before they have their name.
    ahead : int
        Units that an actor has at a time.
    suspects : list of Unit or None
        It learns those that ended a worker; None where it is their last try.
    """

    def __init__(
        self, ray: Any, start: Callable[[], Any], parts: Path, ahead: int, suspects: list[Unit] | None
    ) -> None:
        self._ray, self._start, self._parts, self._ahead, self._suspects = ray, start, parts, ahead, suspects
        self._waiting: dict[Any, _Asked] = {}
        self._again = deque[Unit]()

    def run(self, units: Iterator[Unit], count: int) -> Iterator[Done | None]:
        """Yield what becomes of each unit, and None where nothing did for a while.

        Raises
        ------
        StepError
            If the model cannot be loaded.
        """
        self._again.extend(_taken(units, count))  # no more actors than units
        for _ in range(min(count, len(self._again))):
            self._hire()
        try:
            while self._again or any(asked.unit for asked in self._waiting.values()):
                ready, _ = self._ray.wait(list(self._waiting), timeout=_TICK)
                if not ready:
                    yield None
                for reference in ready:
                    if asked := self._waiting.pop(reference, None):  # not of an actor that was lost just now
                        yield from self._took(reference, asked, units)
        finally:
            for actor in {id(asked.actor): asked.actor for asked in self._waiting.values()}.values():
                self._ray.kill(actor)

    def _hire(self) -> None:
        actor = self._start()
        self._waiting[actor.prepared.remote()] = _Asked(actor, None)

    def _feed(self, actor: Any, units: Iterator[Unit]) -> None:
        """Give an actor as many units as it may have, and keep one at hand for whoever is free next."""
        self._again.extend(_taken(units, self._ahead + 1 - len(self._again)))
        while self._again and self._load(actor) < self._ahead:
            unit = self._again.popleft()
            self._waiting[actor.predict.remote(unit.number, unit.request)] = _Asked(actor, unit)

    def _load(self, actor: Any) -> int:
        return sum(asked.actor is actor for asked in self._waiting.values())

    def _took(self, reference: Any, asked: _Asked, units: Iterator[Unit]) -> Iterator[Done | None]:
        """Yield what an actor gave, and ask it for more; one that is lost is replaced."""
        try:
            given = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            self._lost(asked)
            return
        yield self._ended(asked, given)
        self._feed(asked.actor, units)

    def _ended(self, asked: _Asked, given: Any) -> Done | None:
        """Return what became of a unit; None where it is tried once more, or the actor is only prepared."""
        if asked.unit is None:
            if given:
                shown = given["traceback"]
                raise StepError("the model", "it cannot be loaded", got=given["error"], author_traceback=shown)
            return None
        answer, content = given
        if answer.get("kind") in ("died", "time limit") and self._suspects is not None:
            self._suspects.append(asked.unit)
            return None
        if "error" not in answer:
            part = self._parts / str(asked.unit.number)
            unpacked(content, part) if "files" in answer else part.write_bytes(content)
        return Done(asked.unit.number, answer, f"{answer.pop('node', '')}")

    def _lost(self, asked: _Asked) -> None:
        """Take back the units of an actor that is lost, and start another: Ray places it where there is room."""
        theirs = [reference for reference, each in self._waiting.items() if each.actor is asked.actor]
        lost = [asked.unit, *(self._waiting.pop(reference).unit for reference in theirs)]
        self._again.extendleft(unit for unit in reversed(lost) if unit)
        self._hire()


def _taken(units: Iterator[Unit], count: int) -> Iterator[Unit]:
    for _ in range(count):
        if (unit := next(units, None)) is None:
            return
        yield unit
