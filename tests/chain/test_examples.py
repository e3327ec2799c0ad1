"""examples/ through the ordinary chain: a light one that no other test builds; all of them are heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY
from .test_transcriptformer import cpu_wheels

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("examples")]

TRAINED = "leave-one-out accuracy 98.9%, as published"


def ran(verb: str, models: Path, *words: str, **settings: str) -> tuple[list[str], str]:
    """Run a task, expect success; return the steps that ran, and what they said."""
    command = [sys.executable, "-m", "invoke", verb, "--models-dir", str(models), "--json", *words]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = [step for model in json.loads(done.stdout)["models"] for step in model["steps"]]
    return [step["step"] for step in steps if step["action"] == "ran"], done.stderr


def test_model_is_trained_again_when_its_training_script_changes_and_only_then(tmp_path: Path) -> None:
    root, wine = tmp_path / "wine_cultivars_mlflow_pkg", ("--model", "wine_cultivars")
    steps, said = ran("verify", tmp_path, *wine)
    assert len(steps) == 9
    assert TRAINED in said
    assert ran("verify", tmp_path, *wine)[0] == []
    for name in ("model_code/wine_cultivars_mlflow_model.py", "model_data.toml", "requirements.in"):
        with (root / name).open("a") as stream:
            stream.write("# another comment\n")
    assert TRAINED not in ran("download-data", tmp_path, *wine)[1]
    with (root / "train.py").open("a") as stream:
        stream.write("# another comment\n")
    steps, said = ran("download-data", tmp_path, *wine)
    assert steps == ["download-data"]
    assert TRAINED in said


@pytest.mark.heavy
def test_every_example_is_verified_and_up_to_date_the_second_time(tmp_path: Path) -> None:
    wheels = cpu_wheels()
    if wheels is None:
        pytest.skip("no CPU wheel of torch at hand: name a directory of wheels in UV_FIND_LINKS")
    steps, _ = ran("verify", tmp_path, "--all-examples", UV_FIND_LINKS=wheels)
    assert len(steps) == 9 * len(list((REPOSITORY / "examples").iterdir()))
    assert ran("verify", tmp_path, "--all-examples", UV_FIND_LINKS=wheels)[0] == []
