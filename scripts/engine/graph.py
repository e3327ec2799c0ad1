"""The order of steps, and the faults that make an order impossible."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from .errors import UsageError
from .step import Step, overlaps


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
    before = {step.name: _before(step, steps) for step in steps}
    _refuse_cycle(before)
    return before


def order(steps: Sequence[Step], goal: str | None = None) -> tuple[Step, ...]:
    """Return the steps that `goal` needs, itself included, each after what it needs; all steps without a goal."""
    before = check(steps)
    by_name = {step.name: step for step in steps}
    if goal is not None and goal not in by_name:
        raise unknown_step(goal, by_name)
    placed: dict[str, Step] = {}

    def place(name: str) -> None:
        if name not in placed:
            for earlier in sorted(before[name], key=list(by_name).index):
                place(earlier)
            placed[name] = by_name[name]

    for name in by_name if goal is None else [goal]:
        place(name)
    return tuple(placed.values())


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


def _before(step: _Shape, steps: Sequence[_Shape]) -> frozenset[str]:
    makers = {
        other.name
        for other in steps
        if any(overlaps(target, dependency) for target in other.targets for dependency in step.dependencies)
    }
    return frozenset(makers | set(step.after))


def _refuse_doubled_names(steps: Sequence[_Shape]) -> None:
    names = [step.name for step in steps]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UsageError("pipeline", f"two steps are called {doubled[0]!r}", advice="Give each step a name of its own.")


def _refuse_doubled_targets(steps: Sequence[_Shape]) -> None:
    written: list[tuple[str, str]] = []
    for step in steps:
        for target in step.targets:
            for other, name in written:
                if overlaps(target, other):
                    where = repr(target) if target == other else f"{other!r} and {target!r}"
                    raise UsageError(
                        "pipeline",
                        f"steps {name!r} and {step.name!r} both write {where}",
                        advice="Let one step alone write it.",
                    )
        written += [(target, step.name) for target in step.targets]


def _refuse_cycle(before: Mapping[str, frozenset[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            cycle = " → ".join((*trail[trail.index(name) :], name))
            raise UsageError("pipeline", f"its steps form a cycle: {cycle}", advice="Break it at one of them.")
        if name not in done:
            for earlier in sorted(before[name]):
                visit(earlier, (*trail, name))
            done.add(name)

    for name in before:
        visit(name, ())
