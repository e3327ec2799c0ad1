"""The author's code called directly gives what the packaged model gives, and its faults are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_side.base.errors import StepError, UsageError
from model_side.base.read_only import can_hold
from model_side.model.model import ModelFiles, read_model
from model_side.output.arrays import as_array
from model_side.output.comparison import compare
from model_side.run.direct import call_directly
from tests.packager.conftest import Author

from .conftest import MODELS, PackageOf, write

# A model class whose methods take less than they may, and which tells what it was given.
PLAIN = """
import mlflow.pyfunc
import numpy as np


class TinyMLflowModel(mlflow.pyfunc.PythonModel):
    def predict(self, {arguments}):
        {body}
"""
SPEC = """
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
MODEL_CLASS = "model_code.tiny_mlflow_model:TinyMLflowModel"
MODEL_SIGNATURE = ModelSignature(
    Schema([ColSpec("{type}", "x")]),
    Schema([TensorSpec(np.dtype("float64"), (-1,))]),
    ParamSchema([ParamSpec("k", "double", 0.5)]),
)
INPUT_EXAMPLE = {example}
"""


def plain(base: Path, arguments: str, body: str, type_: str = "double") -> Author:
    """Return a package with a class of that predict."""
    author = write(base, "dataframe_to_dataframe")
    author.code.write_text(PLAIN.format(arguments=arguments, body=body))
    example = 'pd.DataFrame({"x": [1.0]})' if type_ == "double" else '["a"]'
    (author.root / "model_spec.py").write_text(SPEC.format(type=type_, example=example))
    return author


@pytest.mark.parametrize("archetype", MODELS)
def test_direct_call_gives_what_the_packaged_model_gives(package_of: PackageOf, archetype: str) -> None:
    model, payload = package_of(archetype), MODELS[archetype].payload
    files = read_model(str(model.author.model))
    expected = as_array(model.predictions(payload), files.signature)
    for known in (files, None):
        assert compare(expected, call_directly(model.author.root, payload, known).output).agrees


def numbers(author: Author, payload: Any, files: ModelFiles | None = None) -> list[Any]:
    output = call_directly(author.root, payload, files).output
    assert isinstance(output, np.ndarray)
    made: list[Any] = output.tolist()
    return made


def test_data_and_defaults_are_mlflows_when_the_payload_leaves_them_to_it(tmp_path: Path) -> None:
    author = plain(tmp_path, "context, model_input, params", "return model_input['x'].to_numpy() * params['k']")
    assert numbers(author, {"inputs": {"x": [1, 2]}}) == [0.5, 1.0]
    assert numbers(author, {"dataframe_records": [{"x": 1}], "params": {"k": 3}}) == [3.0]


def test_predict_is_given_what_it_takes_when_it_takes_data_alone(tmp_path: Path) -> None:
    author = plain(tmp_path, "model_input", "return model_input['x'].to_numpy()")
    assert numbers(author, {"inputs": {"x": [1.5]}}) == [1.5]


FAULTS = {
    "the code raises": ("raise ValueError('no such gene')", "direct call: it raised ValueError: no such gene"),
    "the code ends the process": ("raise SystemExit(3)", "direct call: it raised SystemExit: 3"),
    "the output has another dtype": ("return np.ones(1, 'float32')", "expected float64, got float32"),
}


@pytest.mark.parametrize(("body", "fault"), FAULTS.values(), ids=FAULTS)
def test_direct_call_fails_with_the_fault_when(tmp_path: Path, body: str, fault: str) -> None:
    author = plain(tmp_path, "context, model_input, params", body)
    with pytest.raises(StepError, match=fault) as caught:
        call_directly(author.root, {"inputs": {"x": [1.0]}})
    frames = [line for line in caught.value.author_traceback.splitlines() if line.startswith("  File")]
    assert all("tiny_mlflow_model.py" in line for line in frames)


def test_payload_is_refused_when_it_does_not_fit(tmp_path: Path) -> None:
    author = plain(tmp_path, "context, model_input", "return model_input['x'].to_numpy()")
    with pytest.raises(UsageError, match='unknown column "y"'):
        call_directly(author.root, {"inputs": {"y": [1.0]}})


def test_one_row_is_asked_for_when_the_class_says_so(tmp_path: Path) -> None:
    author = write(tmp_path, "text_to_tensor")
    author.add("ONE_ROW = True")
    with pytest.raises(UsageError, match="expected one row per request"):
        call_directly(author.root, {"inputs": {"text": ["a", "b"]}})


def test_relative_paths_are_those_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    author = write(tmp_path, "file_uri_to_tensor")
    (tmp_path / "own.txt").write_text("4 6 8\n")
    monkeypatch.chdir(tmp_path)
    assert numbers(author, {"inputs": {"input_uri": ["own.txt"]}}) == [[2.0, 3.0, 4.0]]


def test_temporary_files_of_the_code_are_gone_when_it_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = plain(tmp_path, "model_input", "import tempfile; tempfile.mkstemp(); return model_input['x'].to_numpy()")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    assert numbers(author, {"inputs": {"x": [1.5]}}) == [1.5]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_the_spec_reads_beside_itself_is_told_to_the_pipeline_and_what_the_model_reads_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = plain(tmp_path, "context, model_input", 'return np.float64(open("../asked.txt").read()) + [0.0]')
    (author.root / "x.csv").write_text("x\n1.0\n")
    (tmp_path / "asked.txt").write_text("2")
    author.declare('INPUT_EXAMPLE = pd.read_csv(__file__.replace("model_spec.py", "x.csv"))')
    found = tmp_path / "found.json"
    monkeypatch.setenv("STEP_FOUND", str(found))
    monkeypatch.chdir(author.root)
    assert call_directly(author.root, {"dataframe_records": [{"x": 1.0}]}).output.tolist() == [2.0]
    assert json.loads(found.read_text())["inputs"] == ["x.csv"]


def test_predict_of_ones_own_is_told_how_to_open_a_file_that_travels(tmp_path: Path) -> None:
    author = plain(tmp_path, "context, model_input", 'return [open("artifact://input_example").read()]')
    with pytest.raises(StepError, match=r"FileNotFoundError.*`with local_file\(uri, context\.artifacts\) as path:`"):
        call_directly(author.root, {"dataframe_records": [{"x": 1.0}]})


WRITES = {
    "its input": "np.savetxt(uri, [[9.0]]); return np.loadtxt(uri, ndmin=2)",
    "a file beside its input": 'open(uri + ".fai", "w").close(); return np.loadtxt(uri, ndmin=2)',
    "its own code": 'open(__file__, "a").close(); return np.loadtxt(uri, ndmin=2)',
}


def everything(author: Author) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in author.root.rglob("*") if path.is_file()}


@pytest.mark.skipif(not can_hold(Path(__file__)), reason="this system has no namespaces for users")
@pytest.mark.parametrize("body", WRITES.values(), ids=WRITES)
def test_data_and_code_of_the_author_are_as_they_were_when_the_model_writes_to(tmp_path: Path, body: str) -> None:
    author = write(tmp_path, "file_uri_to_tensor")
    author.replace("return np.loadtxt(uri, ndmin=2)", body)
    before = everything(author)
    with pytest.raises(StepError, match=r"Read-only file system.*Open what it only reads for reading"):
        call_directly(author.root, {"inputs": {"input_uri": [str(author.root / "model_data" / "tiny.txt")]}})
    assert everything(author) == before


def test_code_is_called_on_copies_when_the_system_cannot_keep_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_side.base.read_only._works", lambda places: False)  # as a container may refuse it
    author = write(tmp_path, "file_uri_to_tensor")
    author.replace("return np.loadtxt(uri, ndmin=2)", WRITES["its input"])
    before = everything(author)
    example = {"inputs": {"input_uri": ["artifact://input_example"]}}
    assert numbers(author, example) == [[4.5]]
    assert everything(author) == before
    with pytest.raises(StepError, match=r"it wrote to files that a model may only read: got model_data/tiny"):
        call_directly(author.root, {"inputs": {"input_uri": [str(author.root / "model_data" / "tiny.txt")]}})
