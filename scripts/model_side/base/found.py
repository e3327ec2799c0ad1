"""What a step found, for a program: the engine reads it, and it appears in the chain's JSON document."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FOUND_VARIABLE = "STEP_FOUND"


def is_reported() -> bool:
    """Tell whether the engine runs this, and reads what is found."""
    return "STEP_FOUND" in os.environ


def report_found(facts: Mapping[str, object]) -> None:
    """Add to what a step found: the JSON object in the file that the variable STEP_FOUND names, if it is set.

    Parameters
    ----------
    facts : mapping of str to object
        What the json module can write; ``error`` is the step's own error.
    """
    if target := os.environ.get(FOUND_VARIABLE):
        Path(target).write_text(json.dumps({**_known(), **facts}), encoding="utf-8")


def count(**numbers: int) -> None:
    """Add numbers to those that a step found under these names."""
    known = _known() if is_reported() else {}
    report_found({name: known.get(name, 0) + number for name, number in numbers.items() if number})


def report_inputs(names: Iterable[str]) -> None:
    """Add to what a step read beside its declared dependencies: paths relative to the package."""
    if inputs := {*_known().get("inputs", ()), *names}:
        report_found({"inputs": sorted(inputs)})


def _known() -> dict[str, Any]:
    path = Path(os.environ.get(FOUND_VARIABLE, ""))
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return known
