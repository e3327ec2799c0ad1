"""A package received from someone else: checked by its manifest, then by its example, in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY, Package
from .test_chain import SPEC

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("by-hand")]


def check(model: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "check", "--model-uri", str(model), *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    print(done.stderr)
    return done


@pytest.fixture(scope="module")
def built(package: Package) -> Package:
    """Return the package with an MLflow Model in it."""
    (package.root / "tiny.h5ad").rename(package.root / "model_data" / "tiny.h5ad")
    spec = package.root / "model_spec.py"
    spec.write_text(f'{spec.read_text()}{SPEC}VERIFICATION = {{"environment": ["TINY_UNIT"]}}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY_UNIT", "cells")
        assert package.invoke("package").returncode == 0
    return package


@pytest.fixture(autouse=True)
def unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the model needs."""
    monkeypatch.setenv("TINY_UNIT", "cells")


@pytest.fixture
def received(built: Package, tmp_path: Path) -> Path:
    """Return a copy of the MLflow Model, far from its package."""
    return Path(shutil.copytree(built.root / "mlflow_model_artifacts", tmp_path / "a received model"))


def test_check_passes_and_names_the_digest_when_the_model_is_as_packaged(received: Path) -> None:
    done = check(received)
    assert done.returncode == 0
    assert json.loads((received / "package_manifest.json").read_text())["digest"] in done.stderr
    assert "its example gives the output that it was packaged with" in done.stderr


def test_check_tells_what_the_model_needs_and_runs_nothing_without_it(
    received: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINY_UNIT")
    done = check(received, "--manifest-only")
    assert done.returncode == 0
    assert "it needs the environment variables TINY_UNIT" in done.stderr
    done = check(received)
    assert done.returncode == 2
    assert "environment variable TINY_UNIT: not set, and the model needs it" in done.stderr


def test_check_names_the_file_when_a_bit_has_flipped(received: Path) -> None:
    path = received / "artifacts" / "tf_sapiens" / "scale.txt"
    path.write_text("0.7\n")
    done = check(received)
    assert done.returncode == 1
    assert "artifacts/tf_sapiens/scale.txt: expected sha256" in done.stderr
    assert check(received, "--manifest-only").returncode == 1


def test_check_refuses_when_there_is_no_model_or_no_manifest(received: Path) -> None:
    assert check(received.with_name("nothing")).returncode == 2
    (received / "package_manifest.json").unlink()
    done = check(received)
    assert done.returncode == 2
    assert "package_manifest.json" in done.stderr
