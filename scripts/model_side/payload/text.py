"""The JSON text of payloads and answers: read strictly, and written so that every reader accepts it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..base.errors import StepError, UsageError
from .values import DEEPEST, show


def loads_payload(text: str, subject: str) -> Any:
    """Read JSON; NaN is let through, so that the check can say where it is.

    Raises
    ------
    UsageError
        If it is not JSON, or has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, subject))
    except RecursionError as error:
        raise too_deep(subject) from error
    except ValueError as error:  # of a whole number of thousands of digits, too
        raise UsageError(subject, "not JSON that can be read", got=str(error)) from error


def too_deep(subject: str) -> UsageError:
    """Return the error of JSON that is nested too deeply."""
    return UsageError(subject, "nested too deeply", expected=f"at most {DEEPEST} lists and objects inside one another")


def _unique(pairs: Iterable[tuple[str, Any]], subject: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise UsageError(subject, f'the key "{key}" is duplicated')
        made[key] = value
    return made


def dumps_strict(obj: object, *, indent: int | None = None) -> str:
    """Return `obj` as JSON text that every reader accepts; NaN and infinities are refused.

    Raises
    ------
    StepError
        If it holds what JSON cannot.
    """
    try:
        return json.dumps(obj, ensure_ascii=False, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise StepError("JSON", "cannot hold the value", got=str(error)) from error


def predictions_from_json(text: str, *, subject: str = "answer") -> Any:
    """Return the predictions of an answer in MLflow's response format; a bare NaN, as MLflow writes it, is read.

    Raises
    ------
    StepError
        If it is no such answer.
    """
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        raise StepError(subject, "not JSON", got=str(error)) from error
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise StepError(subject, "not an answer of MLflow", expected='the key "predictions"', got=show(answer))
    return answer["predictions"]
