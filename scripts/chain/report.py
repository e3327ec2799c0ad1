"""Say what became of each step: a line as it happens, what is to be done at the end, or one JSON document."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from engine.walk import Action, Outcome, Result
from model_side.base.errors import invoke
from ship import MADE

from .packages import Package
from .steps import MODEL

_WORKED = (Action.RAN, Action.FAILED)
_TIMED = (*_WORKED, Action.RESTORED)
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_RED, _FAINT, _PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[0m"
_SIGNS = {  # of what was done about a step: a symbol, and what is before it on a terminal
    Action.RAN: ("✓", "\x1b[32m"),
    Action.RESTORED: ("↶", "\x1b[32m"),
    Action.UP_TO_DATE: ("=", _FAINT),
    Action.WOULD_RUN: ("→", "\x1b[33m"),
    Action.FAILED: ("✗", _RED),
    Action.SKIPPED: ("-", _FAINT),
}
_TRACEBACK = "Traceback (most recent call last):"
_SHOWN_LINES = 60  # of what a failed command said
COUNTED = ("predictions", "loads")  # of the model, as each step that runs it says


def line(outcome: Outcome, model: str = "", *, columns: int = 0) -> str:
    """Return the line of one step: what happened, why, how long; below it what the step has for a person.

    Parameters
    ----------
    outcome : Outcome
    model : str
        Where several are built.
    columns : int
        How wide a terminal is; the line then fits it, in colour. 0 for plain text.
    """
    took = f"{outcome.seconds:.1f} s" if outcome.action in _TIMED else ""
    head = _joined(model, f"{outcome.step:<13}", f"{_word(outcome.action):<10}")
    told = [f"  {each}".rstrip() for each in outcome.told.splitlines()]
    if not columns:
        return "\n".join([_joined(head, _why(outcome), took).rstrip(), *told])
    told = [part for each in told for part in _folded(each, columns)]
    (symbol, colour), why = _SIGNS[outcome.action], _why(outcome)
    room = max(0, columns - len(_joined(symbol, head, took)) - 3)  # one column stays free
    why = why if len(why) <= room else f"{why[: room - 1]}…" if room else ""
    return "\n".join([_joined(f"{colour}{symbol}", f"{head}{_PLAIN}", why, took).rstrip(), *told])


def _folded(text: str, columns: int) -> list[str]:
    """Return a line as lines that fit, but for a path or a word that is longer: it stays whole, to be copied."""
    indent = len(text) - len(text.lstrip())
    return wrap(
        text, columns, subsequent_indent=" " * (indent + 3), break_long_words=False, break_on_hyphens=False
    ) or [""]


def running(step: str, model: str = "", seconds: float | None = None, said: str = "") -> str:
    """Return the line of a step that runs: since when, and what it said last, where that is known."""
    since = "" if seconds is None else f"{seconds:4.0f} s"
    return _joined(model, f"{step:<13}", f"{'running':<10}", since, said).rstrip()


def waiting(steps: Sequence[str], model: str = "") -> str:
    """Return the line of what is to come."""
    return _joined(model, f"waiting: {', '.join(steps)}")


def cut(lines: Sequence[str], most: int) -> list[str]:
    """Return the first lines, with a count of those that are left out."""
    more = [f"… {len(lines) - most + 1} more"] if len(lines) > most else []
    return [*lines[: most - len(more)], *more]


def block(outcome: Outcome, name: str, again: str) -> str:
    """Return what a person needs of a failure: what failed, what it said, what to do, its log, how to try again.

    Parameters
    ----------
    outcome : Outcome
        Of a step that failed.
    name : str
        The model's.
    again : str
        The command line that tries again.
    """
    error = outcome.error
    lines = error.said.splitlines() if error else []
    traces = [number for number, line in enumerate(lines) if line == _TRACEBACK]
    over = max(len(lines) - _SHOWN_LINES, *traces[-1:], 0)
    said = [f"… {over} lines before", *lines[over:]] if over > 0 else lines
    return "\n".join([f"\n{name}: {outcome.step} failed", *said, f"error: {error}", f"Try again: {again}"])


def ending(results: Sequence[Result]) -> str:
    """Return the closing lines: a sentence per model."""
    return "\n".join(sentence(result) for result in results)


def places(packages: Sequence[Package], goal: str) -> list[str]:
    """Return where what a step has made for people is: a proven model, and how it is called, or what ships with it."""
    if goal in MADE:
        return [f"  the {goal:<8}  {_from_here(package.root / MADE[goal])}" for package in packages]
    models = [(package, _from_here(package.root / MODEL)) for package in packages if goal == "verify"]
    if len(models) != 1:
        return [f"{package.name}: {model}" for package, model in models]
    ((package, model),) = models
    return [
        f"  the model   {model}",
        f'  in Python   mlflow.pyfunc.load_model("{model}").predict(...)',
        f"              with {_from_here(package.root / '.venv/bin/python')}",
        f"  over REST   {invoke('serve', package.root).strip('`')}",
    ]


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def without_colour(text: str) -> str:
    """Return a text without what sets a terminal's colours."""
    return _COLOUR.sub("", text)


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
        {
            "model": result.name,
            "ok": result.ok,
            **{name: _count(result, name) for name in COUNTED},
            "steps": [_step(outcome) for outcome in result.outcomes],
        }
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
    if outcome.made:
        facts["made"] = {"at": _time(outcome.made[0]), "reasons": list(outcome.made[1])}
    if outcome.error or outcome.note:
        facts["error"] = outcome.found.get("error") or str(outcome.error or outcome.note)
    return facts


def made(outcome: Outcome) -> str:
    """Return when what was restored was made, and why."""
    at, reasons = outcome.made or (0.0, ())
    return f"made {_time(at)}: {_few(reasons)}"


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _few(reasons: Sequence[object]) -> str:
    more = f" (+{len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""


def _why(outcome: Outcome) -> str:
    if outcome.made:
        return made(outcome)
    return outcome.note or _few(outcome.reasons)


def sentence(result: Result) -> str:
    """Return what became of a pipeline: how many steps ran, were up to date or failed, and how long it took."""
    order = (Action.RAN, Action.RESTORED, Action.WOULD_RUN, Action.UP_TO_DATE, Action.FAILED, Action.SKIPPED)
    counts = {action: sum(outcome.action is action for outcome in result.outcomes) for action in order}
    told = ", ".join(f"{count} {_word(action)}" for action, count in counts.items() if count)
    told += f", {result.seconds:.1f} s"
    if _count(result, "loads"):
        told += f", {', '.join(f'{_count(result, name):,} {name}' for name in COUNTED)} of the model"
    return f"{result.name or 'pipeline'}: {'ok' if result.ok else 'failed'}: {told}"


def _count(result: Result, name: str) -> int:
    """Return how often this build did something with the model: what is up to date did it earlier."""
    return sum(outcome.found.get(name, 0) for outcome in result.outcomes if outcome.action in _WORKED)


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _word(action: Action) -> str:
    return action.replace("-", " ")
