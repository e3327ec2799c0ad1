"""Say what became of each step: a line as it happens, a table at the end, or one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from engine.walk import Action, Outcome, Result

_TIMED = (Action.RAN, Action.FAILED)


def line(outcome: Outcome, model: str = "") -> str:
    """Return the line of one step: what happened, why, how long; below it what the step has for a person."""
    parts = [model, f"{outcome.step:<13}", f"{_word(outcome.action):<10}", _why(outcome)]
    parts += [f"{outcome.seconds:.1f} s"] if outcome.action in _TIMED else []
    line = "  ".join(part for part in parts if part).rstrip()
    return "\n".join([line, *(f"  {each}".rstrip() for each in outcome.told.splitlines())])


def table(results: Sequence[Result]) -> str:
    """Return the closing table: a row per step, and a sentence per model."""
    several = len(results) > 1
    rows = [
        (result.name if several else "", outcome.step, _word(outcome.action), _seconds(outcome))
        for result in results
        for outcome in result.outcomes
    ]
    head = ("model" if several else "", "step", "result", "seconds")
    return "\n".join([*_columns([head, *rows]), "", *(sentence(result) for result in results)])


def status_text(results: Sequence[Result]) -> str:
    """Return the state of each step, with every reason on a line of its own, old and new values shown."""
    lines: list[str] = []
    for result in results:
        lines += [f"{result.name}"] if result.name else []
        for outcome in result.outcomes:
            said = [reason.detail() for reason in outcome.reasons]
            said += [str(outcome.error)] if outcome.error else []
            said += [outcome.note] if outcome.note else []
            lines.append(f"  {outcome.step:<13}  {outcome.state:<10}  {said[0] if said else ''}".rstrip())
            lines += [" " * 29 + text for text in said[1:]]
    return "\n".join(lines)


def document(results: Sequence[Result], **more: object) -> str:
    """Return one JSON document, the same for all verbs: whether all went well, the models, and in each its steps.

    Parameters
    ----------
    results : sequence of Result
    **more : object
        ``ok``, ``found`` or ``error`` of a verb that is about no model.
    """
    models = [
        {"model": result.name, "ok": result.ok, "steps": [_step(outcome) for outcome in result.outcomes]}
        for result in results
    ]
    ok = all(result.ok for result in results)
    return json.dumps({"ok": ok, "models": models, **more}, indent=2, ensure_ascii=False)


def _step(outcome: Outcome) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "step": outcome.step,
        "action": outcome.action,
        "state": outcome.state,
        "reasons": [str(reason) for reason in outcome.reasons],
        "details": [
            {"code": reason.code.value, "subject": reason.subject, "old": reason.old, "new": reason.new}
            for reason in outcome.reasons
        ],
        "seconds": round(outcome.seconds, 3),
        "found": {name: fact for name, fact in outcome.found.items() if name != "error"},
    }
    if outcome.error or outcome.note:
        facts["error"] = outcome.found.get("error") or str(outcome.error or outcome.note)
    return facts


def _why(outcome: Outcome) -> str:
    if outcome.note or not outcome.reasons:
        return outcome.note
    more = f" (+{len(outcome.reasons) - 1} more)" if len(outcome.reasons) > 1 else ""
    return f"{outcome.reasons[0]}{more}"


def _seconds(outcome: Outcome) -> str:
    return f"{outcome.seconds:.1f}" if outcome.action in _TIMED else ""


def sentence(result: Result) -> str:
    """Return what became of a pipeline: how many steps ran, were up to date or failed, and how long it took."""
    order = (Action.RAN, Action.WOULD_RUN, Action.UP_TO_DATE, Action.FAILED, Action.SKIPPED)
    counts = {action: sum(outcome.action is action for outcome in result.outcomes) for action in order}
    told = ", ".join(f"{count} {_word(action)}" for action, count in counts.items() if count)
    return f"{result.name or 'pipeline'}: {'ok' if result.ok else 'failed'}: {told}, {result.seconds:.1f} s"


def _columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        yield "  ".join(cells).rstrip()


def _word(action: Action) -> str:
    return action.replace("-", " ")
