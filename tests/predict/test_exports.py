"""Outputs in files of arrays and tables: which ending suits, dtypes that are kept, and nothing written by halves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import predict_func as command
import pytest

from model_side.base.errors import StepError, UsageError
from model_side.model.signature import Array, Field, Scalar, Signature, Tensor
from model_side.output.files import endings, export, read_output, require_suitable
from serving.rebuilt import rebuilt_environment

PINS = [f"{name}=={version(name)}" for name in ("mlflow-skinny", "numpy", "pandas")]


def gives(*outputs: Field) -> Signature:
    return Signature((Field("uri", Scalar("string")),), outputs)


def tensor(dtype: str, *shape: int, name: str | None = None) -> Field:
    return Field(name, Tensor(Scalar(dtype), shape))


MATRIX = gives(tensor("float32", -1, 2))
NAMED = gives(tensor("float16", -1, 2, name="x"), tensor("uint8", -1, name="y"))
TABLE = gives(
    *(Field(name, Scalar(type_)) for name, type_ in (("n", "integer"), ("f", "float"), ("s", "string"))),
    Field("t", Scalar("datetime")),
    Field("b", Scalar("binary")),
    Field("v", Array(Scalar("double"))),
)
FRAME = pd.DataFrame(
    {
        "n": np.array([1, 2], "int32"),
        "f": np.array([0.5, np.nan], "float32"),
        "s": ["a", "naïve"],
        "t": pd.to_datetime(["2020-01-01T01:02:03", "2021-01-01T00:00:00"]),
        "b": [b"\x00", b"x"],
        "v": [[0.5], [1.5, 2.5]],
    },
    index=[7, 7],
)
SUITABLE: list[tuple[Signature, tuple[str, ...]]] = [
    (MATRIX, (".json", ".npy", ".npz", ".h5ad")),
    (gives(tensor("int64", -1, 2, 2)), (".json", ".npy", ".npz")),
    (gives(tensor("str", -1, 2)), (".json", ".npy", ".npz")),
    (NAMED, (".json", ".npz")),
    (TABLE, (".json", ".parquet")),
    (gives(Field(None, Scalar("double"))), (".json", ".npy", ".npz", ".parquet")),
    (gives(Field(None, Scalar("string"))), (".json", ".parquet")),
    (gives(), (".json",)),
]


@pytest.mark.parametrize(("signature", "suitable"), SUITABLE)
def test_endings_follow_the_signature(signature: Signature, suitable: tuple[str, ...]) -> None:
    assert endings(signature) == suitable


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint16", "bool", "str"])
def test_arrays_come_back_as_they_were_when_written(tmp_path: Path, dtype: str) -> None:
    output = np.array([[0, 1], [1, 1]]).astype(dtype)
    for ending in (".npy", ".npz"):
        export(output, tmp_path / f"x{ending}", gives(tensor(dtype, -1, 2)))
    for found in (np.load(tmp_path / "x.npy"), read_output(tmp_path / "x.npz")):
        assert isinstance(found, np.ndarray)
        assert found.dtype == output.dtype
        assert np.array_equal(found, output)


def test_named_tensors_keep_names_and_dtypes_when_written(tmp_path: Path) -> None:
    output = {"x": np.ones((3, 2), "float16"), "y": np.arange(3, dtype="uint8")}
    export(output, tmp_path / "x.npz", NAMED)
    found = read_output(tmp_path / "x.npz")
    assert isinstance(found, dict)
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        name: (array.dtype, array.tolist()) for name, array in output.items()
    }


def test_table_comes_back_as_it_was_when_written(tmp_path: Path) -> None:
    export(FRAME, tmp_path / "x.parquet", TABLE)
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert list(found.columns) == list(FRAME.columns)
    assert [str(found[name].dtype) for name in "nf"] == ["int32", "float32"]
    assert found["t"].dtype.kind == "M"
    for name in FRAME.columns:
        assert [str(value) for value in found[name].to_numpy()] == [
            str(np.array(value) if name == "v" else value) for value in FRAME[name].to_numpy()
        ]


@pytest.mark.parametrize("output", [[0.5, 1.5], np.array([0.5, 1.5]), pd.Series([0.5, 1.5], name="score")])
def test_column_without_a_name_is_an_array_or_a_table_when_written(tmp_path: Path, output: Any) -> None:
    signature = gives(Field(None, Scalar("double")))
    for ending in (".npy", ".parquet"):
        export(output, tmp_path / f"x{ending}", signature)
    assert np.load(tmp_path / "x.npy").tolist() == [0.5, 1.5]
    assert pd.read_parquet(tmp_path / "x.parquet")["0"].tolist() == [0.5, 1.5]


def test_last_file_stays_when_the_next_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("the last one")
    with pytest.raises(StepError, match=r"x\.parquet: cannot hold the output: got .*Take \.json"):
        export(pd.DataFrame({"v": [[0.5], "a"]}), tmp_path / "x.parquet", gives(Field("v", Array(Scalar("double")))))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the last one"]


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.pickle"])
def test_ending_is_refused_with_those_that_suit_when_it_does_not(name: str) -> None:
    expected = (
        r"does not suit the output: expected one of \.json, \.npy, \.npz, \.h5ad for an output declared as float32"
    )
    with pytest.raises(UsageError, match=expected):
        require_suitable(Path(name), MATRIX)


@pytest.mark.skipif(find_spec("anndata") is not None, reason="anndata is installed")
def test_missing_library_is_named_with_what_does_without_it() -> None:
    with pytest.raises(
        UsageError, match=r"anndata is not installed in the model environment.*or take \.json or \.npy or"
    ):
        require_suitable(Path("x.h5ad"), MATRIX)


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Path:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    signature = ModelSignature(Schema([ColSpec("string", "uri")]), outputs)
    return save_model("exported", signature, pip_requirements=[*PINS, "anndata"])


def words(model: Path, directory: Path, name: str) -> list[str]:
    (directory / "payload.json").write_text(json.dumps({"inputs": {"uri": ["a", "b"]}}), encoding="utf-8")
    asked = ["--model-uri", str(model), "--json-payload-file", str(directory / "payload.json")]
    return [*asked, "--output-path", str(directory / name)]


def test_prediction_goes_to_an_array_and_its_form_to_stdout_when_the_path_says_so(model: Path, tmp_path: Path) -> None:
    data = StringIO()
    assert command.main(words(model, tmp_path, "x.npy"), data) == 0
    assert data.getvalue().splitlines()[1:] == ["output float32 [2, 2], from 0.1 to 0.1"]
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == "float32"
    assert np.array_equal(found, np.full((2, 2), 0.1, "float32"))
    with pytest.raises(UsageError, match="does not suit"):
        command.main(words(model, tmp_path, "x.parquet"), data)


READ = """
import sys, anndata
found = anndata.read_h5ad(sys.argv[1])
print(found.X.dtype, found.X.tolist())
"""


@pytest.mark.e2e
def test_matrix_becomes_x_when_anndata_is_in_the_environment(model: Path, tmp_path: Path) -> None:
    python = rebuilt_environment(model, os.environ).program("python")
    subprocess.run([python, command.__file__, *words(model, tmp_path, "x.h5ad")], check=True)
    read = [python, "-c", READ, str(tmp_path / "x.h5ad")]
    done = subprocess.run(read, capture_output=True, text=True, check=True)
    value = float(np.float32(0.1))
    assert done.stdout == f"float32 {[[value, value], [value, value]]}\n"
