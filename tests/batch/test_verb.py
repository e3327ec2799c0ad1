"""`invoke batch`: a cohort through the model of a package, by the real `invoke`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chain.packages import Package
from model_side.model.model import read_model
from tests.chain.cheap_package import build_cheaply, write_environment, write_package
from tests.chain.test_verbs import invoke

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("batch")]
Batch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def package(obeys: Path, tmp_path: Path) -> Package:
    """Return a package that is verified, built cheaply around a real MLflow Model."""
    models = tmp_path / "models"
    models.mkdir()
    python, made = write_environment(models, 3), write_package(models)
    verdict = json.dumps({"ok": True, "model_uuid": read_model(str(obeys)).uuid})
    text = python.read_text().replace("cat model_spec.py model_code/*.py > $model/MLmodel", f"cp -R {obeys}/. $model")
    text = text.replace("cat predict_output.json test_output.json > ver", f"echo '{verdict}' > ver")
    python.write_text(text)
    assert build_cheaply(made, python).ok
    return made


@pytest.fixture
def batch(package: Package, tmp_path: Path) -> Batch:
    """Return a function that runs `invoke batch` over the inputs of a test."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        flags = ["--inputs", str(tmp_path / "inputs"), "--out", str(tmp_path / "out"), "--workers", "1"]
        return invoke(package.models_dir, "batch", "--model", "cheap", *flags, *words)

    return call


def found(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    told: dict[str, Any] = document["found"]
    return told


def test_cohort_goes_through_a_verified_package_and_only_what_is_stale_again(
    batch: Batch, inputs: Callable[..., Path], tmp_path: Path
) -> None:
    directory, out = inputs(a="1", b="raise gene"), tmp_path / "out"
    planned = batch("--dry-run", "--json", "--verified-only")
    assert (found(planned)["would_run"], planned.stderr, out.exists()) == (2, "", False)
    first = found(batch("--json"))
    assert (first["done"], first["failed"], first["kinds"]) == (1, 1, {"KeyError": 1})
    assert sorted(path.name for path in out.iterdir()) == [".batch", "a.in.npy", "errors.log", "manifest.parquet"]
    inputs(b="2", c="3")
    again = batch("--retry-failed")
    assert "1 done, 0 failed, 1 up to date" in again.stdout
    (directory / "c.in").unlink()
    assert batch().stdout == "nothing to do: 2 of 2 are up to date\n"


def test_package_that_is_stale_is_warned_of_and_refused_where_it_must_be_verified(
    batch: Batch, inputs: Callable[..., Path], package: Package, tmp_path: Path
) -> None:
    inputs(a="1")
    (package.root / "model_spec.py").write_text("INPUT_EXAMPLE = 2\n")
    remedy = f"`invoke verify --model cheap --models-dir {package.models_dir}`"
    planned = batch("--dry-run")
    assert planned.stdout == "would run 1 of 1:\n  1: never predicted\n"
    assert planned.stderr == f"warning: cheap: not verified as it is now: package: model_spec.py changed: {remedy}\n"
    refused = batch("--verified-only", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["error"] in refused.stderr
    assert remedy in refused.stderr
    assert not (tmp_path / "out").exists()
