"""examples/ through the ordinary chain: those that are light; all of them are heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("examples")]

TRAINED = "leave-one-out accuracy 98.9%, as published"


def ran(verb: str, models: Path) -> tuple[list[str], str]:
    """Run a task on wine_cultivars; return the steps that ran, and what they said."""
    words = ["-m", "invoke", verb, "--model", "wine_cultivars", "--models-dir", str(models), "--json"]
    done = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["models"][0]["steps"]
    return [step["step"] for step in steps if step["action"] == "ran"], done.stderr


def test_model_is_trained_again_when_its_training_script_changes_and_only_then(tmp_path: Path) -> None:
    root = tmp_path / "wine_cultivars_mlflow_pkg"
    steps, said = ran("verify", tmp_path)
    assert len(steps) == 9
    assert TRAINED in said
    assert ran("verify", tmp_path)[0] == []
    for name in ("model_code/wine_cultivars_mlflow_model.py", "model_data.toml", "requirements.in"):
        with (root / name).open("a") as stream:
            stream.write("# another comment\n")
        assert TRAINED not in ran("download-data", tmp_path)[1]
    with (root / "train.py").open("a") as stream:
        stream.write("# another comment\n")
    steps, said = ran("download-data", tmp_path)
    assert steps == ["download-data"]
    assert TRAINED in said
