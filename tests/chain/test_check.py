"""A package received from someone else: checked by its manifest, then by its example, in an environment of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from model_side.model.manifest import read_files

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


REGISTER = """
import mlflow, os, sys
os.chdir(os.path.dirname(sys.argv[2]))
mlflow.set_tracking_uri("sqlite:///" + sys.argv[2])
with mlflow.start_run() as run:
    mlflow.log_artifacts(sys.argv[1], "model")
mlflow.register_model(f"runs:/{run.info.run_id}/model", "tf")
mlflow.MlflowClient().set_registered_model_alias("tf", "champion", 1)
"""


def test_check_takes_a_model_from_a_registry_says_its_own_words_and_leaves_nothing_behind(
    received: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store" / "mlflow.db"
    for directory in (store.parent, tmp_path / "here"):
        directory.mkdir()
    subprocess.run([sys.executable, "-c", REGISTER, str(received), str(store)], capture_output=True, check=True)

    def checked(uri: str, *words: str, **variables: str) -> tuple[int, list[str]]:
        command = [sys.executable, str(REPOSITORY / "scripts" / "check_model.py"), "--model-uri", uri, *words]
        env = {**os.environ, **variables}
        done = subprocess.run(command, cwd=tmp_path / "here", env=env, capture_output=True, text=True, check=False)
        assert list((tmp_path / "here").iterdir()) == []
        return done.returncode, done.stderr.splitlines()

    digest = json.loads((received / "package_manifest.json").read_text())["digest"]
    first = ["models:/tf/1: every file is as it was packaged; " + digest]
    first += ["not of the package, and never loaded: registered_model_meta"]
    first += ["it needs the environment variables TINY_UNIT"]
    code, said = checked("models:/tf/1", MLFLOW_REGISTRY_URI=f"sqlite:///{store}")
    said = [line for line in said if not line.startswith("rebuilding the model's environment")]
    assert (code, said) == (0, [*first, "its example gives the output that it was packaged with"])
    code, said = checked("models:/tf@champion", "--manifest-only", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
    assert (code, said[1:]) == (0, first[1:])
    code, (error,) = checked("models:/tf/1", "--manifest-only")
    assert code == 1
    assert error.endswith("Set MLFLOW_TRACKING_URI to the address of the server or store that has it.")


def test_check_shows_what_the_model_said_when_it_fails(received: Path) -> None:
    code = next((received / "code" / "model_code").glob("*_mlflow_model.py"))
    code.write_text(code.read_text().replace("def load_context(self, context", "def load_contexts(self, context"))
    manifest = json.loads((received / "package_manifest.json").read_text())
    manifest["files"] = {name: asdict(entry) for name, entry in read_files(received).items()}
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in manifest["files"].items())
    manifest["digest"] = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    (received / "package_manifest.json").write_text(json.dumps(manifest))
    done = check(received)
    assert done.returncode == 1
    assert done.stderr.count("object has no attribute 'scale'") == 1
    assert done.stderr.count("Traceback (most recent call last)") == 1


def test_check_runs_no_bytecode_that_lies_beside_the_code(received: Path) -> None:
    for source in sorted((received / "code").rglob("*.py")):  # one that Python takes for the source's, unchecked
        text = 'raise SystemExit("planted")\n' if source.name.endswith("_mlflow_model.py") else source.read_text()
        planted = received.with_name(source.name)
        planted.write_text(text)
        place = importlib.util.cache_from_source(str(source))
        py_compile.compile(str(planted), place, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    done = check(received)
    assert done.returncode == 0
    assert "its example gives the output that it was packaged with" in done.stderr


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
