"""Explain one step: every dependency and value, what its record says, what is there now."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.errors import UsageError
from engine.graph import order
from engine.restoring import formers
from engine.staleness import Reason, decide
from engine.walk import Action, Outcome, Pipeline, Result, Walk

from .report import made

_AS_RECORDED, _FEW = "as recorded", 3
KINDS = ("dependencies", "inputs", "targets", "tools", "params", "versions")


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
    found = {"command": step.runs.text().replace("\n", " "), "facts": facts, "uncounted": sorted(walk.cache.uncounted)}
    reasons = decide(step, seen, record).reasons
    action = Action.WOULD_RUN if reasons else Action.UP_TO_DATE
    there = next(iter(formers(walk, step)), None)
    outcome = Outcome(step.name, action, reasons, found=found, made=there.made if there else None)
    return Result(pipeline.name, (outcome,))


def as_text(result: Result) -> str:
    """Return a block of text: what differs from the record, then the rest, an environment in one line."""
    (outcome,) = result.outcomes
    verdict = "; ".join(reason.detail() for reason in outcome.reasons) or "up to date"
    lines = [f"{outcome.step}: {verdict}", f"  command: {outcome.found['command']}"]
    if outcome.made:
        lines.insert(1, f"  {'to be restored: ' * bool(outcome.reasons)}{made(outcome)}")
    changed = [fact for fact in outcome.found["facts"] if fact["recorded"] != fact["now"]]
    lines += [f"≠ {_named(fact)}  {fact['recorded']} → {fact['now']}" for fact in changed]
    same = [fact for fact in outcome.found["facts"] if fact["recorded"] == fact["now"]]
    parts = Counter(_environment(fact) for fact in same)
    for fact in same:
        environment = _environment(fact)
        if parts[environment] <= _FEW or not environment:
            lines.append(f"  {_named(fact)}  {fact['now']}")
        elif f"{environment}: {_AS_RECORDED}" not in lines[-1]:
            lines.append(f"  {fact['kind']:<12}  {environment}: {_AS_RECORDED}: {parts[environment]} entries")
    uncounted = outcome.found["uncounted"]
    if uncounted:
        more = f" and {len(uncounted) - _FEW} more" if len(uncounted) > _FEW else ""
        lines.append(f"  not counted   {', '.join(uncounted[:_FEW])}{more}")
    return "\n".join(lines)


def _named(fact: dict[str, Any]) -> str:
    return f"{fact['kind']:<12}  {fact['name']}"


def _environment(fact: dict[str, Any]) -> str:
    """Return the virtual environment that a fact is about, such as ``.venv: numpy 2.0``; empty for a file."""
    name, colon, _ = str(fact["name"]).partition(": ")
    return name if colon and fact["kind"] in ("dependencies", "targets") else ""
