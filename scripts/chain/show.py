"""Explain one step: every dependency and value, what its record says, what is there now."""

from __future__ import annotations

from typing import Any

from engine.errors import UsageError
from engine.graph import order
from engine.staleness import Reason, decide
from engine.walk import Action, Outcome, Pipeline, Result, Walk

KINDS = ("dependencies", "targets", "tools", "params", "versions")


def explain(pipeline: Pipeline, name: str) -> Result:
    """Return the verdict on step `name`, with all that it rests on as what was found.

    Raises
    ------
    UsageError
        If there is no such step.
    """
    if not name:
        names = ", ".join(step.name for step in pipeline.steps)
        raise UsageError("--step", "expected the name of a step", advice=names)
    step = order(pipeline.steps, name)[-1]
    walk = Walk(pipeline, (step,))
    seen, record = walk.look(step), walk.record(step)
    facts: list[dict[str, Any]] = []
    for kind in KINDS:
        then, now = {} if isinstance(record, Reason) else getattr(record, kind), getattr(seen, kind)
        for key in sorted(then.keys() | now.keys()):
            facts.append({"kind": kind, "name": key, "recorded": then.get(key), "now": now.get(key)})
    found = {"command": step.runs.text().replace("\n", " "), "facts": facts}
    reasons = decide(step, seen, record).reasons
    action = Action.WOULD_RUN if reasons else Action.UP_TO_DATE
    return Result(pipeline.name, (Outcome(step.name, action, reasons, found=found),))


def as_text(result: Result) -> str:
    """Return a block of text: the verdict, then a line per fact, with a mark where record and present differ."""
    (outcome,) = result.outcomes
    verdict = "; ".join(reason.detail() for reason in outcome.reasons) or "up to date"
    lines = [f"{outcome.step}: {verdict}", f"  command: {outcome.found['command']}"]
    for fact in outcome.found["facts"]:
        then, now = fact["recorded"], fact["now"]
        mark, values = (" ", now) if then == now else ("≠", f"{then} → {now}")
        lines.append(f"{mark} {fact['kind']:<12}  {fact['name']}  {values}")
    return "\n".join(lines)
