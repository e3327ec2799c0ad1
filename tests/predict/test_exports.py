"""Outputs in files of arrays: which ending suits, dtypes that are kept, and nothing written by halves."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import predict_func as command
import pytest

from model_side.base.errors import UsageError
from model_side.model.signature import Field, Scalar, Signature
from model_side.output.files import endings, export, read_output, require_suitable

from .test_contract import gives, tensor

MATRIX = gives(tensor("float32", -1, 2))
NAMED = gives(tensor("float16", -1, 2, name="x"), tensor("uint8", -1, name="y"))
SUITABLE: list[tuple[Signature, tuple[str, ...]]] = [
    (MATRIX, (".json", ".npy", ".npz")),
    (gives(tensor("str", -1, 2)), (".json", ".npy", ".npz")),
    (NAMED, (".json", ".npz")),
    (gives(Field("n", Scalar("integer")), Field("s", Scalar("string"))), (".json",)),
    (gives(Field(None, Scalar("double"))), (".json", ".npy", ".npz")),
    (gives(Field(None, Scalar("string"))), (".json",)),
    (gives(), (".json",)),
]


@pytest.mark.parametrize(("signature", "suitable"), SUITABLE)
def test_endings_follow_the_signature(signature: Signature, suitable: tuple[str, ...]) -> None:
    assert endings(signature) == suitable


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint16", "bool", "str"])
def test_arrays_come_back_as_they_were_when_written(tmp_path: Path, dtype: str) -> None:
    output = np.array([[0, 1], [1, 1]]).astype(dtype)
    named = gives(tensor(dtype, -1, 2, name="x"), tensor(dtype, -1, name="y"))
    for ending in (".npy", ".npz"):
        export(output, tmp_path / f"x{ending}", gives(tensor(dtype, -1, 2)))
    export({"x": output, "y": output[0]}, tmp_path / "named.npz", named)
    arrays = np.load(tmp_path / "x.npy"), read_output(tmp_path / "x.npz"), *read_output(tmp_path / "named.npz").values()
    for array, expected in zip(arrays, (output, output, output, output[0]), strict=True):
        assert array.dtype == expected.dtype
        assert np.array_equal(array, expected)


@pytest.mark.parametrize("output", [[0.5, 1.5], np.array([0.5, 1.5]), pd.Series([0.5, 1.5], name="score")])
def test_column_without_a_name_is_an_array_when_written(tmp_path: Path, output: Any) -> None:
    export(output, tmp_path / "x.npy", gives(Field(None, Scalar("double"))))
    assert np.load(tmp_path / "x.npy").tolist() == [0.5, 1.5]


def test_last_file_stays_when_the_next_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_text("the last one")
    with pytest.raises(UnicodeEncodeError):
        export({"\ud800": np.ones(1)}, tmp_path / "x.npz", gives(tensor("float64", -1, name="\ud800")))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the last one"]


@pytest.mark.parametrize("name", ["x.parquet", "x.h5ad", "x.csv", "x.pickle"])
def test_ending_is_refused_with_those_that_suit_when_it_does_not(name: str) -> None:
    expected = r"does not suit the output: expected one of \.json, \.npy, \.npz for an output declared as float32"
    with pytest.raises(UsageError, match=expected):
        require_suitable(Path(name), MATRIX)


def test_prediction_goes_to_an_array_and_its_form_to_stdout_when_the_path_says_so(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    model = save_model("exported", ModelSignature(Schema([ColSpec("string", "uri")]), outputs))
    (tmp_path / "payload.json").write_text(json.dumps({"inputs": {"uri": ["a", "b"]}}), encoding="utf-8")
    words = ["--model-uri", str(model), "--json-payload-file", str(tmp_path / "payload.json"), "--output-path"]
    data = StringIO()
    assert command.main([*words, str(tmp_path / "x.npy")], data) == 0
    assert data.getvalue().splitlines()[1:] == ["output float32 [2, 2], from 0.1 to 0.1"]
    array = np.load(tmp_path / "x.npy")
    assert array.dtype == "float32"
    assert np.array_equal(array, np.full((2, 2), 0.1, "float32"))
    with pytest.raises(UsageError, match="does not suit"):
        command.main([*words, str(tmp_path / "x.parquet")], data)
