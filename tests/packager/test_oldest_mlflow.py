"""The oldest MLflow that the manual way names: what the packager makes with it, and what it refuses there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from environments.uv import uv_executable
from tests.archetypes.conftest import MODELS, SCRIPTS, write

from .conftest import Author

pytestmark = [pytest.mark.e2e, pytest.mark.heavy, pytest.mark.xdist_group("oldest-mlflow")]
OLDEST = "3.1.0"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with that MLflow."""
    directory = tmp_path_factory.mktemp("oldest") / "venv"
    interpreter = directory / "bin" / "python"
    uv = [str(uv_executable()), "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(directory)], check=True)
    subprocess.run([*uv, "pip", "install", "--python", str(interpreter), f"mlflow=={OLDEST}"], check=True)
    return interpreter


def run(python: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([python, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
    print(done.stderr)
    return done


@pytest.mark.parametrize(("archetype", "serialization"), [*zip(MODELS, ["pickle", "code"] * 3, strict=False)])
def test_model_is_packaged_and_predicts_when_mlflow_is_old(
    python: Path, tmp_path: Path, archetype: str, serialization: str
) -> None:
    author = write(tmp_path, archetype)
    assert run(python, author.root, "mlflow_packager.py", "--serialization", serialization).returncode == 0
    assert yaml.safe_load((author.model / "MLmodel").read_text())["mlflow_version"] == OLDEST
    assert not [name for name, content in author.files().items() if str(tmp_path).encode() in content]
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps(MODELS[archetype].payload))
    words = ["--model-uri", author.model, "--json-payload-file", payload]
    done = run(python, tmp_path, SCRIPTS / "predict_func.py", *words)
    assert done.returncode == 0
    expected = MODELS[archetype].predictions
    assert expected is None or json.loads(done.stdout)["predictions"] == expected
    answer = tmp_path / "answer.json"
    answer.write_text(done.stdout)
    words += ["--predict-output", answer, "--test-output", answer, "--again", "--package", author.root]
    assert run(python, tmp_path, SCRIPTS / "verify.py", *words).returncode == 0
    assert not list(tmp_path.rglob("mlruns"))


def test_model_is_served_when_mlflow_is_old(python: Path, tmp_path: Path) -> None:
    author = write(tmp_path, "text_to_tensor")
    # Starlette 1 has no `app.route`, which the scoring server of this MLflow uses.
    (author.root / "requirements.in").write_text(f"mlflow=={OLDEST}\nnumpy\nstarlette<1\n")
    command = [str(uv_executable()), "--quiet", "pip", "compile", "--python", str(python), "requirements.in"]
    subprocess.run([*command, "-o", "requirements.txt", "--no-header"], cwd=author.root, check=True)
    assert run(python, author.root, "mlflow_packager.py").returncode == 0
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps(MODELS["text_to_tensor"].payload))
    words = ["--model-uri", author.model, "--json-payload-file", payload, "--rest-output", "rest.json"]
    done = run(Path(sys.executable), tmp_path, SCRIPTS / "serve_predict.py", *words, "--output-path", "served.json")
    assert done.returncode == 0
    for name in ("rest.json", "served.json"):
        answer = json.loads((tmp_path / name).read_text())
        assert answer["predictions"] == MODELS["text_to_tensor"].predictions


def test_two_models_are_the_same_to_the_byte_when_mlflow_is_old(python: Path, tmp_path: Path) -> None:
    made: list[Author] = []
    for name in ("one", "the other"):
        (tmp_path / name).mkdir()
        made.append(write(tmp_path / name, "file_uri_to_tensor"))
        assert run(python, made[-1].root, "mlflow_packager.py").returncode == 0
    assert made[0].files() == made[1].files()


def test_artifacts_of_one_base_name_both_travel_when_mlflow_is_old(python: Path, tmp_path: Path) -> None:
    author = write(tmp_path, "tensor_to_tensor")
    words = []
    for name in ("one", "two"):
        (author.root / "model_data" / name).mkdir()
        (author.root / "model_data" / name / "w.txt").write_text(name)
        words.append(f"--artifact={name}=model_data/{name}/w.txt")
    assert run(python, author.root, "mlflow_packager.py", *words).returncode == 0
    assert [(author.model / f"artifacts/{name}/w.txt").read_text() for name in ("one", "two")] == ["one", "two"]
