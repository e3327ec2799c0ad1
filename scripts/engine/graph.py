"""The order of steps, and the faults that make an order impossible."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import NamedTuple

from .errors import UsageError
from .step import Step


def check(steps: Sequence[Step]) -> Mapping[str, frozenset[str]]:
    """Validate a pipeline and return, for each step, the names of the steps directly before it.

    Raises
    ------
    UsageError
        If a name or a target is doubled, a step is unknown, or steps form a cycle.
    """
    return _check(tuple(_Shape(step.name, step.dependencies, step.targets, step.after) for step in steps))


class _Shape(NamedTuple):
    """What of a step decides the order: the same for all models, so that it is worked out once."""

    name: str
    dependencies: tuple[str, ...]
    targets: tuple[str, ...]
    after: tuple[str, ...]


@lru_cache
def _check(steps: tuple[_Shape, ...]) -> Mapping[str, frozenset[str]]:
    _refuse_doubled_names(steps)
    _refuse_doubled_targets(steps)
    names = {step.name for step in steps}
    for step in steps:
        for name in step.after:
            if name not in names:
                raise unknown_step(name, names, subject=f"step {step.name!r}")
    written = _Targets()
    for step in steps:
        written.add(step)
    before = {step.name: frozenset({*_makers(step, written), *step.after}) for step in steps}
    _refuse_cycle(before)
    return before


def order(steps: Sequence[Step], goal: str | None = None) -> tuple[Step, ...]:
    """Return the steps that `goal` needs, itself included, each after what it needs; all steps without a goal."""
    before = check(steps)
    by_name = {step.name: step for step in steps}
    if goal is not None and goal not in by_name:
        raise unknown_step(goal, by_name)
    position = {name: number for number, name in enumerate(by_name)}
    placed: dict[str, Step] = {}
    ahead = [goal] if goal is not None else [*reversed(by_name)]
    while ahead:
        waits_for = [name for name in before[ahead[-1]] if name not in placed]
        if waits_for:
            ahead += sorted(waits_for, key=position.__getitem__, reverse=True)
        else:
            name = ahead.pop()
            placed[name] = by_name[name]
    return tuple(placed.values())


class Ready:
    """The steps that can start: all before them are done; the first in order comes first.

    Parameters
    ----------
    steps : sequence of Step
        In order, with all that they need.
    before : mapping of str to frozenset of str
        For each step, those directly before it.
    """

    def __init__(self, steps: Sequence[Step], before: Mapping[str, frozenset[str]]) -> None:
        self._steps = steps
        self._position = {step.name: position for position, step in enumerate(steps)}
        self._waits_for = {step.name: len(before[step.name]) for step in steps}
        self._next: dict[str, list[str]] = defaultdict(list)
        for step in steps:
            for earlier in before[step.name]:
                self._next[earlier].append(step.name)
        self._ready = [position for position, step in enumerate(steps) if not before[step.name]]

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return bool(self._ready)

    def pop(self) -> Step:
        """Return the next one, which starts."""
        return self._steps[heappop(self._ready)]

    def postpone(self, steps: Sequence[Step]) -> None:
        """Take back those that did not start."""
        for step in steps:
            heappush(self._ready, self._position[step.name])

    def done(self, name: str) -> None:
        """Take note that a step is done."""
        for later in self._next[name]:
            self._waits_for[later] -= 1
            if not self._waits_for[later]:
                heappush(self._ready, self._position[later])


def goal_of(steps: Sequence[Step], target: str | None) -> str | None:
    """Return the step that `target` names, or that writes it."""
    for step in steps:
        if target is not None and target != step.name and target.rstrip("/") in step.targets:
            return step.name
    return target


def unknown_step(
    name: str, known: Sequence[str] | set[str] | Mapping[str, object], subject: str = "step"
) -> UsageError:
    """Return the error for a step that does not exist, with the nearest name that does."""
    near = difflib.get_close_matches(name, list(known), 1)
    advice = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
    return UsageError(subject, f"no step is called {name!r}", advice=advice)


def _makers(step: _Shape, written: _Targets) -> Iterator[str]:
    return (name for dependency in step.dependencies for _, name in written.overlapping(dependency))


class _Targets:
    """All targets with their steps, to be found by what is at a path, above it or below it."""

    def __init__(self) -> None:
        self._at: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._below: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def add(self, step: _Shape) -> None:
        """Add those of a step."""
        for target in step.targets:
            self._at[target].append((target, step.name))
            for parent in _parents(target):
                self._below[parent].append((target, step.name))

    def overlapping(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield each target that is at a path, above it or below it, with its step's name."""
        for place in (path, *_parents(path)):
            yield from self._at.get(place, ())
        yield from self._below.get(path, ())


def _parents(path: str) -> Iterator[str]:
    """Yield the directories that a relative path names on the way."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def _refuse_doubled_names(steps: Sequence[_Shape]) -> None:
    doubled = sorted(name for name, count in Counter(step.name for step in steps).items() if count > 1)
    if doubled:
        raise UsageError("pipeline", f"two steps are called {doubled[0]!r}", advice="Give each step a name of its own.")


def _refuse_doubled_targets(steps: Sequence[_Shape]) -> None:
    written = _Targets()
    for step in steps:
        for target in step.targets:
            for other, name in written.overlapping(target):
                where = repr(target) if target == other else f"{other!r} and {target!r}"
                raise UsageError(
                    "pipeline",
                    f"steps {name!r} and {step.name!r} both write {where}",
                    advice="Let one step alone write it.",
                )
        written.add(step)


def _refuse_cycle(before: Mapping[str, frozenset[str]]) -> None:
    try:
        TopologicalSorter({name: sorted(earlier) for name, earlier in before.items()}).prepare()
    except CycleError as error:
        cycle = " → ".join(reversed(error.args[1]))
        raise UsageError("pipeline", f"its steps form a cycle: {cycle}", advice="Break it at one of them.") from None
