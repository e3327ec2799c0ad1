"""What a cold verify asks of a model whose predictions are slow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import new_package

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]


SPEC = """
import pandas as pd
INPUT_EXAMPLE = pd.DataFrame({"input_uri": ["model_data/tiny.txt"]})
ARTIFACTS = {"checkpoint": "model_data/tf_sapiens"}
VERIFICATION = {"budget": 0}
"""


def test_slow_model_is_asked_eight_times_and_loaded_four_times(tmp_path: Path) -> None:
    package = new_package(tmp_path)
    (package.root / "tiny.h5ad").rename(package.root / "model_data" / "tiny.txt")
    spec = package.root / "model_spec.py"
    spec.write_text(spec.read_text() + SPEC)
    steps = package.steps("verify")
    counts = {name: [step["found"].get(each, 0) for each in ("predictions", "loads")] for name, step in steps.items()}
    assert [counts[name] for name in ("package", "predict", "serve-predict", "verify")] == [
        [2, 1],
        [0, 0],
        [3, 2],
        [3, 1],
    ]
    found = steps["verify"]["found"]
    statuses = {each["check"]: each["status"] for each in found["checks"]}
    assert [name for name, status in statuses.items() if status == "not checked: budget"] == ["bad_inputs", "reload"]
    assert {statuses[name] for name in ("repeatable", "world", "files", "cells", "history", "unchanged")} == {"passed"}
    assert {each["route"]: each["status"] for each in found["routes"]} == {
        "direct": "not checked: budget", **dict.fromkeys(("in-process", "served", "rest", "golden"), "agrees")
    }  # fmt: skip
    in_full = package.steps("verify", "--full")
    assert [name for name, step in in_full.items() if step["action"] == "ran"] == ["serve-predict", "verify"]
    assert in_full["serve-predict"]["found"]["equal_answers_at_once"] == 4
    assert "not checked: budget" not in json.dumps(in_full["verify"]["found"])
    assert package.ran("verify") == []
