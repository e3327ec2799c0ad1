"""Which columns of a request name files: any of text, by declaration, in every archetype that takes columns."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.packager.conftest import Author

from .conftest import Model, write

# Two files for each row, and an input without the second.
TWO = """
from mlflow.types import ColSpec
inputs = [ColSpec("string", "scan"), ColSpec("string", "mask_uri", required=False), ColSpec("string", "organ")]
MODEL_SIGNATURE = ModelSignature(Schema(inputs), MODEL_SIGNATURE.outputs, MODEL_SIGNATURE.params)
INPUT_EXAMPLE = pandas.DataFrame({
    "scan": ["model_data/tiny.txt", "model_data/tiny.txt"], "mask_uri": ["model_data/masks/m 1.txt", None],
    "organ": ["model_data", "none"],
})
"""
MASKED = "(np.loadtxt({}, ndmin=2) * (np.loadtxt({}, ndmin=2) if {} else 1))"
BODIES = {
    "file_uri_to_tensor": {"_get_input": f"return {MASKED.format('scan', 'mask_uri', 'mask_uri')}"},
    "file_uri_to_dataframe": {
        "_get_input": f"import numpy as np\n        return {MASKED.format('scan', 'mask_uri', 'mask_uri')}",
        "_forward": 'return pd.DataFrame({"name": ["a", "b"], "score": input_obj.sum(axis=1) * self.scale})',
    },
    "dataframe_to_dataframe": {
        "_get_input": 'return table[["scan", "mask_uri"]].itertuples(index=False)',
        "_forward": "import numpy as np\n        "
        f'return pd.DataFrame({{"score": [{MASKED.format("a", "b", "b")}.sum() * self.scale for a, b in input_obj]}})',
    },
    "file_uri_to_file": {
        "_get_input": f"import numpy as np\n        return {MASKED.format('scan', 'mask_uri', 'mask_uri')}"
    },
}
TENSOR = [[0.5, 0.0, 0.0], [0.0, 0.0, 3.0], [0.5, 1.0, 1.5], [2.0, 2.5, 3.0]]
SUMS = [0.5, 3.0, 3.0, 7.5]
EXPECTED: dict[str, Any] = {
    "file_uri_to_tensor": TENSOR,
    "file_uri_to_dataframe": [{"name": "ab"[row % 2], "score": score} for row, score in enumerate(SUMS)],
    "dataframe_to_dataframe": [{"score": 3.5}, {"score": 10.5}],
}


def two_columns(base: Path, archetype: str, declared: str = '("scan", "mask_uri")') -> Author:
    author = write(base, archetype, **BODIES[archetype])
    if archetype != "dataframe_to_dataframe":
        author.replace("def _get_input(self, uri: str, **params", "def _get_input(self, scan, mask_uri, **params")
    if declared:
        author.add(f"FILE_COLUMNS = {declared}")
    author.declare(TWO)
    masks = author.root / "model_data" / "masks"
    masks.mkdir()
    (masks / "m 1.txt").write_text("1 0 0\n0 0 1\n")
    return author


def request(rows: list[list[str | None]]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": ["scan", "mask_uri", "organ"], "data": rows}}


@pytest.mark.parametrize("archetype", BODIES)
def test_two_columns_carry_files_when_the_class_names_them(tmp_path: Path, archetype: str) -> None:
    author = two_columns(tmp_path, archetype)
    assert author.package().returncode == 0
    example = json.loads((author.model / "serving_input_example.json").read_text())["dataframe_split"]["data"]
    assert example == [
        ["artifact://input_example", "artifact://input_example_1", "model_data"],
        ["artifact://input_example", None, "none"],
    ]
    for name in ("own.txt", "other.txt"):
        (tmp_path / name).write_text("1 2 3\n4 5 6\n")
    mask = author.root / "model_data" / "masks" / "m 1.txt"
    model, own = Model(author, tmp_path), [["own.txt", mask.as_uri(), ""], [str(tmp_path / "other.txt"), None, ""]]
    for payload in (request(example), request(own)):
        found = model.predictions(payload)
        assert archetype == "file_uri_to_file" or found == EXPECTED[archetype]
    if archetype != "file_uri_to_file":
        without = {"dataframe_records": [{"scan": "own.txt", "organ": ""}]}
        assert model.predictions(without) == EXPECTED[archetype][len(EXPECTED[archetype]) // 2 :]


UNDECLARED = {
    "a column that is not declared": (
        '("scan",)',
        'INPUT_EXAMPLE: the column "mask_uri" names files: add it to FILE_COLUMNS',
    ),
    "a text that is not there": (
        '("scan", "mask")',
        "expected string columns of MODEL_SIGNATURE, which are scan, mask_uri",
    ),
    "no sequence": ('"scan"', "FILE_COLUMNS of TinyMLflowModel: expected names of string columns"),
    "the usual column": ("", "which are scan, mask_uri, organ, got 'input_uri'"),
    "a column of other texts": (
        '("scan", "mask_uri", "organ")',
        'INPUT_EXAMPLE: column "organ": expected a path inside model_data/ or a URI, got "none"',
    ),
}


@pytest.mark.parametrize(("declared", "words"), UNDECLARED.values(), ids=UNDECLARED)
def test_packager_refuses_columns_of_files_when_the_class_names(tmp_path: Path, declared: str, words: str) -> None:
    done = two_columns(tmp_path, "file_uri_to_tensor", declared).package()
    assert done.returncode == 2
    assert words in done.stderr


def test_file_of_another_column_is_missed_by_name(tmp_path: Path) -> None:
    author = two_columns(tmp_path, "dataframe_to_dataframe")
    (author.root / "model_data" / "masks" / "m 1.txt").unlink()
    done = author.package()
    assert done.returncode == 2
    assert "INPUT_EXAMPLE: no such file or directory: model_data/masks/m 1.txt" in done.stderr


def test_file_that_an_example_of_another_kind_names_is_refused(tmp_path: Path) -> None:
    author = write(tmp_path, "file_uri_to_tensor")
    author.declare('INPUT_EXAMPLE = {"input_uri": ["model_data/tiny.txt"]}')
    done = author.package()
    assert done.returncode == 2
    assert 'files travel in a pandas.DataFrame only, got "model_data/tiny.txt" in a dict' in done.stderr


OWN = """
import numpy as np
from mlflow.pyfunc import PythonModel

from . import local_file


class TinyMLflowModel(PythonModel):
    def predict(self, context, model_input, params=None):
        parts = []
        for scan, mask in zip(model_input["scan"], model_input["mask_uri"]):
            with local_file(scan, context.artifacts) as a, local_file(mask, context.artifacts) as b:
                parts.append(np.loadtxt(a) * np.loadtxt(b) / 2)
        return np.concatenate(parts).astype("f4")
"""


def test_class_with_its_own_predict_needs_no_declaration(tmp_path: Path) -> None:
    author = two_columns(tmp_path, "file_uri_to_tensor")
    author.code.write_text(OWN)
    author.declare("INPUT_EXAMPLE = INPUT_EXAMPLE[:1]")
    assert author.package().returncode == 0
    example = json.loads((author.model / "serving_input_example.json").read_text())
    model = Model(author, tmp_path)
    assert model.predictions(example) == TENSOR[:2]
    local_file = runpy.run_path(str(author.code.with_name("__init__.py")))["local_file"]
    for value in ("", " ", ["model_data/tiny.txt"]):
        with (
            pytest.raises(ValueError, match=re.escape(f"a path or URI in each row, got {value!r}")),
            local_file(value, {}),
        ):
            pass
