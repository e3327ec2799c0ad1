"""What verify checks beside a model's answers, and what a model needs for it: VERIFICATION of model_spec.py."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..base.variables import TOOL_VARIABLES

# What verify checks, and what it allows, unless VERIFICATION of model_spec.py says otherwise.
VERIFICATION: Mapping[str, bool] = {
    "hermetic": True,
    "portable": True,
    "repeatable": True,
    "world": True,
    "rows": True,
    "params": True,
    "files": True,
    "cells": True,
    "bad_inputs": True,
    "reload": True,
    "history": True,
    "unchanged": True,
    "concurrent": True,
    "network": False,
}
TIME_LIMIT = 600  # seconds for each prediction, unless TIME_LIMIT of model_spec.py says otherwise
BUDGET, BUDGET_SECONDS = "budget", 5.0  # beside these: what a prediction may take before verify asks for fewer of them
VARIABLES = "environment"  # beside these: the environment variables that the model needs, by name
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def settings_of(metadata: Mapping[str, Any]) -> dict[str, bool]:
    """Return what is on by an MLflow Model's metadata, or the defaults; a reason turns a check off."""
    declared = metadata.get("verification") or {}
    return {name: declared.get(name, default) is True for name, default in VERIFICATION.items()}


def why_off(metadata: Mapping[str, Any], check: str) -> str:
    """Return the author's reason why a check is off, nothing where there is none."""
    value = (metadata.get("verification") or {}).get(check)
    return value if isinstance(value, str) else ""


def budget_of(metadata: Mapping[str, Any]) -> float:
    """Return how many seconds a prediction may take before verify asks for as few as possible, by the metadata."""
    return float((metadata.get("verification") or {}).get(BUDGET, BUDGET_SECONDS))


def time_limit_of(metadata: Mapping[str, Any], given: float | None = None) -> float:
    """Return how many seconds each prediction may take: what is given, else what an MLflow Model's metadata says."""
    return given or float(metadata.get("time_limit") or TIME_LIMIT)


def variables_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the environment variables that a model needs, by its metadata."""
    return tuple((metadata.get("verification") or {}).get(VARIABLES) or ())


def named_variables(spec: str) -> tuple[str, ...]:
    """Return the names of the environment variables that the text of a model_spec.py declares or reads, as literals.

    Nothing is imported or run; text that is not Python declares none.
    """
    return tuple(dict.fromkeys([*_declared_variables(spec), *_READ_VARIABLE.findall(spec)]))


_READ_VARIABLE = re.compile(r"""(?:\benviron(?:\.get\(|\[)|\bgetenv\()\s*["'](\w+)["']""")


def _declared_variables(spec: str) -> tuple[str, ...]:
    if VARIABLES not in spec:
        return ()
    try:
        values = [each.value for each in ast.parse(spec).body if isinstance(each, ast.Assign) and _is_setting(each)]
        settings = [ast.literal_eval(each) for each in values]
        return tuple(name for each in settings for name in each.get(VARIABLES, ()))
    except (SyntaxError, ValueError, TypeError, AttributeError):
        return ()


def _is_setting(statement: ast.Assign) -> bool:
    return [each.id for each in statement.targets if isinstance(each, ast.Name)] == ["VERIFICATION"]


def settings_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what an author declares."""
    for name, value in settings.items():
        if name == VARIABLES:
            yield from _variable_faults(value)
        elif name == BUDGET:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                yield f'VERIFICATION["{BUDGET}"]: expected seconds from 0, got {value!r}'
        elif name not in VERIFICATION or not (isinstance(value, bool) or (value and isinstance(value, str))):
            known = f"{', '.join(VERIFICATION)} with True, False or a reason, {VARIABLES} with a list of names"
            yield f"VERIFICATION: expected {known}, {BUDGET} with seconds, got {name!r}: {value!r}"


def _variable_faults(names: object) -> Iterator[str]:
    where = f'VERIFICATION["{VARIABLES}"]'
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        yield f"{where}: expected a list of names of environment variables, got {names!r}"
        return
    yield from (f"{where}: not a name: {name!r}" for name in names if not _VARIABLE.fullmatch(name))
    yield from (
        f"{where}: {name}: no run has it: modules belong to model_code/ or requirements.in"
        for name in names
        if name in TOOL_VARIABLES
    )
