"""The command lines of the manual way, typed exactly so, on a model of the tests' own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import REPOSITORY, Package

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("by-hand")]

COMPILE = "uv pip compile requirements.in -o requirements.txt"
SYNC = "uv venv --quiet .venv && uv pip sync --quiet requirements.txt"
PACKAGER = r"""python mlflow_packager.py \
    --model-class model_code.transcriptformer_mlflow_model:TranscriptformerMLflowModel \
    --checkpoint model_data/tf_sapiens --model-config-json '{"model_variant":"tf_sapiens"}' --model-tag model_variant=tf_sapiens \
    --example-uri tiny.h5ad --output-shape '[-1,2048]' --output-dtype float32 \
    --extra-params-spec-json '{"gene_col_name":"string", "precision":"string", "pretrained_embedding":"string", "batch_size":"integer"}' \
    --out-dir mlflow_model_artifacts"""  # noqa: E501 - as people type it
PAYLOAD = (
    "generate_mlflow_test_payload.py --model-uri mlflow_model_artifacts --json-payload-filepath test_input_payload.json"
)
PREDICT = "predict_func.py --model-uri mlflow_model_artifacts --json-payload-file"
SERVE = (
    "mlflow models predict --model-uri mlflow_model_artifacts --content-type json "
    "--input-path test_input_payload.json --output-path test_output.json --env-manager uv"
)
TREE = {
    "MLmodel",
    "artifacts",
    "code/model_code/__init__.py",
    "code/model_code/transcriptformer_mlflow_model.py",
    "conda.yaml",
    "input_example.json",
    "python_env.yaml",
    "python_model.pkl",
    "requirements.txt",
}
EXPECTED = np.repeat(np.array([[1.0], [2.5]], "float32"), 2048, axis=1)


@pytest.fixture(scope="module")
def packaged(package: Package) -> Package:
    """Return the package with an MLflow Model made by hand."""
    package.by_hand(COMPILE)
    package.by_hand(SYNC)
    package.by_hand(PACKAGER)
    package.by_hand(f"python {REPOSITORY}/scripts/{PAYLOAD}")
    return package


def predictions(text: str) -> np.ndarray:
    return np.array(json.loads(text)["predictions"], "float32")


def test_packager_makes_the_tree_of_the_manual_way(packaged: Package) -> None:
    assert all((packaged.root / "mlflow_model_artifacts" / name).exists() for name in TREE)


def test_payload_holds_the_example_and_every_param(packaged: Package) -> None:
    payload = json.loads((packaged.root / "test_input_payload.json").read_text())
    assert payload["dataframe_split"]["columns"] == ["input_uri"]
    assert set(payload["params"]) == {"gene_col_name", "precision", "pretrained_embedding", "batch_size"}


def test_predict_func_answers_when_given_a_file_and_when_given_stdin(packaged: Package) -> None:
    from_file = packaged.by_hand(f"python {REPOSITORY}/scripts/{PREDICT} test_input_payload.json").stdout
    text = (packaged.root / "test_input_payload.json").read_text()
    from_stdin = packaged.by_hand(f"python {REPOSITORY}/scripts/{PREDICT} -", input=text).stdout
    assert np.array_equal(predictions(from_file), EXPECTED)
    assert from_stdin == from_file


def test_mlflow_models_predict_answers_the_same_in_an_environment_of_its_own(packaged: Package) -> None:
    packaged.by_hand(SERVE)
    assert np.array_equal(predictions((packaged.root / "test_output.json").read_text()), EXPECTED)


def test_predict_func_resolves_a_uri_of_mlflow(packaged: Package) -> None:
    uri = (packaged.root / "mlflow_model_artifacts").as_uri()
    command = PREDICT.replace("mlflow_model_artifacts", uri)
    answer = packaged.by_hand(f"python {REPOSITORY}/scripts/{command} test_input_payload.json").stdout
    assert np.array_equal(predictions(answer), EXPECTED)


def test_moved_model_predicts_its_own_serving_input_example(packaged: Package, tmp_path: Path) -> None:
    moved = tmp_path / "moved model"
    (packaged.root / "mlflow_model_artifacts").rename(moved)
    try:
        command = f"predict_func.py --model-uri '{moved}' --json-payload-file '{moved}/serving_input_example.json'"
        answer = packaged.by_hand(f"python {REPOSITORY}/scripts/{command}").stdout
    finally:
        moved.rename(packaged.root / "mlflow_model_artifacts")
    assert np.array_equal(predictions(answer), EXPECTED)
