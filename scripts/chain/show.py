"""Explain one step: every dependency and value, what its record says, what is there now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from engine.errors import UsageError
from engine.graph import order
from engine.staleness import Reason, decide
from engine.step import Scalar
from engine.walk import Action, Outcome, Pipeline, Result, Walk


@dataclass(frozen=True)
class Fact:
    """One thing that a step depends on or makes; None where it was not recorded, or is not there."""

    kind: str
    name: str
    recorded: Scalar
    now: Scalar


@dataclass(frozen=True)
class Facts:
    """All that the verdict on one step rests on."""

    model: str
    step: str
    command: str
    reasons: tuple[Reason, ...]
    facts: tuple[Fact, ...]


def facts(pipeline: Pipeline, name: str) -> Facts:
    """Return all that the verdict on step `name` rests on.

    Raises
    ------
    UsageError
        If there is no such step.
    """
    if not name:
        raise UsageError(
            "--step", "expected the name of a step", advice=", ".join(step.name for step in pipeline.steps)
        )
    step = order(pipeline.steps, name)[-1]
    walk = Walk(pipeline, (step,))
    seen, record = walk.look(step), walk.record(step)
    then = None if isinstance(record, Reason) else record
    rows = [
        Fact(kind, key, old, new)
        for kind in ("dependencies", "targets", "tools", "params", "versions")
        for key, old, new in _pairs(getattr(then, kind, {}), getattr(seen, kind))
    ]
    reasons = decide(step, seen, record).reasons
    return Facts(pipeline.name, step.name, step.runs.text().replace("\n", " "), reasons, tuple(rows))


def as_text(facts: Facts) -> str:
    """Return a block of text: the verdict, then a line per fact, with a mark where record and present differ."""
    verdict = "; ".join(reason.detail() for reason in facts.reasons) or "up to date"
    lines = [f"{facts.step}: {verdict}", f"  command: {facts.command}"]
    for fact in facts.facts:
        mark = " " if fact.recorded == fact.now else "≠"
        values = f"{fact.now}" if fact.recorded == fact.now else f"{fact.recorded} → {fact.now}"
        lines.append(f"{mark} {fact.kind:<12}  {fact.name}  {values}")
    return "\n".join(lines)


def as_result(facts: Facts) -> Result:
    """Return the facts as what a step found, for a JSON document."""
    found = {"command": facts.command, "facts": [asdict(fact) for fact in facts.facts]}
    action = Action.WOULD_RUN if facts.reasons else Action.UP_TO_DATE
    return Result(facts.model, (Outcome(facts.step, action, facts.reasons, found=found),))


def _pairs(then: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar, Scalar]]:
    return ((key, then.get(key), now.get(key)) for key in sorted(then.keys() | now.keys()))
