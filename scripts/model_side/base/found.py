"""What a step found, for a program: the engine reads it, and it appears in the chain's JSON document."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def report_found(facts: Mapping[str, object]) -> None:
    """Add to what a step found: the JSON object in the file that the variable STEP_FOUND names, if it is set.

    Parameters
    ----------
    facts : mapping of str to object
        What the json module can write; ``error`` is the step's own error.
    """
    if target := os.environ.get("STEP_FOUND"):
        path = Path(target)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**known, **facts}), encoding="utf-8")
