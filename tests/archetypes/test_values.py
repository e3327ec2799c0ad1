"""What a model is given and gives is the same on every route: names, an index, kinds of values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import warm_python
from tests.packager.conftest import Author

from .conftest import Model, PackageOf, write
from .test_verify_again import said, verify

UNSERVED = {
    "a column twice": ('[[1.0, 2.0]] * 2, columns=["score", "score"]', 'two columns are called "score"'),
    "an index": (
        '{"score": [1.0, 2.0]}, index=["AAAC-1", "AAAG-1"]',
        "expected the default index, 0 to 1, got 'AAAC-1'",
    ),
    "a missing value of pandas": (
        '{"score": pd.array([1.0, None], "Float64")}',
        '"score": [1]: expected what JSON can hold',
    ),
}


@pytest.mark.parametrize(("made", "words"), UNSERVED.values(), ids=UNSERVED)
def test_packager_refuses_an_output_that_not_every_route_carries(tmp_path: Path, made: str, words: str) -> None:
    author = write(tmp_path, "dataframe_to_dataframe", _forward=f"return pd.DataFrame({made})")
    author.declare("ALLOW_NAN = True")
    done = author.package()
    assert done.returncode == 1
    assert words in done.stderr
    assert not author.model.exists()


LISTS = {
    "text_to_tensor": "[[1.0, 2.0]] * 2",
    "tensor_to_tensor": "[(1, 2), (3, 4)]",
    "dataframe_to_dataframe": '{"score": [1, 2]}',
}


@pytest.mark.parametrize("archetype", LISTS)
def test_packager_says_that_it_got_a_list_where_its_numbers_are_of_another_dtype(
    tmp_path: Path, archetype: str
) -> None:
    done = write(tmp_path, archetype, _forward=f"return {LISTS[archetype]}").package()
    assert done.returncode == 1
    dtype = "float64" if archetype == "dataframe_to_dataframe" else "float32"
    assert f"wrong dtype: expected {dtype}, got a list that numpy reads as " in done.stderr
    assert f': return numpy.asarray(output, "{dtype}")' in done.stderr


UNCARRIED = {
    "an index": (
        "pd.DataFrame({'value': [1.0]}, index=['AAAC-1'])",
        "expected the default index, 0 to 0, got 'AAAC-1'",
    ),
    "a column twice": ("pd.DataFrame([[1.0, 2.0]], columns=['value'] * 2)", 'two columns are called "value"'),
    "a mask": ("np.ma.masked_array([1.0], [True])", "expected what JSON can hold, got numpy.ma.MaskedArray"),
    "decimals": (
        "pd.DataFrame({'value': [Decimal(1)]})",
        '"value": [0]: expected what JSON can hold, got decimal.Decimal',
    ),
}


@pytest.mark.parametrize(("made", "words"), UNCARRIED.values(), ids=UNCARRIED)
def test_packager_refuses_an_example_that_not_every_route_carries(
    package_of: PackageOf, tmp_path: Path, made: str, words: str
) -> None:
    author = Author(shutil.copytree(package_of("dataframe_to_dataframe").author.root, tmp_path / "tiny_mlflow_pkg"))
    author.declare(f"from decimal import Decimal\nimport numpy as np\nimport pandas as pd\nINPUT_EXAMPLE = {made}")
    done = author.package("--dry-run")
    assert done.returncode == 2
    assert f"INPUT_EXAMPLE: {words}" in done.stderr


LABELLED = """
import mlflow.pyfunc
import pandas as pd

table = pd.DataFrame({"value": [2.0, 4.0, 6.0]}, index=["AAAC-1", "AAAG-1", "AAAT-1"])
answer = mlflow.pyfunc.load_model("mlflow_model_artifacts").predict(table[1:])
print(answer.to_json(orient="split"))
"""


def test_index_of_a_receivers_table_is_left_out_in_python_as_it_is_over_rest(tmp_path: Path) -> None:
    scaled = 'return pd.DataFrame({"score": input_obj["value"] * self.scale})'
    author = write(tmp_path, "dataframe_to_dataframe", _get_input="return table", _forward=scaled)
    assert author.package().returncode == 0
    script = tmp_path / "receiver.py"
    script.write_text(LABELLED)
    done = warm_python.run(script, cwd=author.root)
    assert json.loads(done.stdout) == {"columns": ["score"], "index": [0, 1], "data": [[2.0], [3.0]]}


# The archetype; what its methods do, whose result may have no rows; an example with a result, and a payload without.
RESULTS: dict[str, tuple[str, str, str, Any]] = {
    "tensor_to_tensor": (
        "return tensor",
        "return input_obj[input_obj[:, 0] > 2]",
        "",
        {"inputs": [[1.0, 2.0], [0.0, 1.0]]},
    ),
    "dataframe_to_dataframe": (
        "return table",
        'return pd.DataFrame({"score": input_obj["value"][input_obj["value"] > 2]}).reset_index(drop=True)',
        'INPUT_EXAMPLE = pandas.DataFrame({"value": [0.5, 3.5]})',
        {"dataframe_records": [{"value": 1.0}, {"value": 2.0}]},
    ),
}


@pytest.mark.parametrize("archetype", RESULTS)
def test_answer_without_rows_is_right_on_every_route_unless_a_minimum_is_declared(
    tmp_path: Path, archetype: str
) -> None:
    get_input, forward, example, payload = RESULTS[archetype]
    author = write(tmp_path, archetype, _get_input=get_input, _forward=forward)
    author.declare(f"ROWS_MATCH = False\n{example or 'INPUT_EXAMPLE = np.full((2, 2), 3.0, np.float32)'}")
    assert author.package().returncode == 0
    done = verify(author, tmp_path, "--again", "--package", str(author.root), payload=payload)
    assert done.returncode == 0
    assert json.loads((tmp_path / "answer.json").read_text()) == {"predictions": []}
    assert [said(tmp_path)[route]["status"] for route in ("direct", "in-process", "served")] == ["agrees"] * 3
    author.declare("MINIMUM_ROWS = 1")
    assert author.package().returncode == 0
    refused = Model(author, tmp_path).predict(payload)
    assert refused.returncode == 1
    assert "expected at least 1 rows, as MINIMUM_ROWS says, got 0" in refused.stderr


ASKED = """
import mlflow.pyfunc
import pandas as pd

model = mlflow.pyfunc.load_model("mlflow_model_artifacts")
for data in {data}:
    try:
        print(len(model.predict(data)))
    except Exception as error:
        print(f"{{type(error).__name__}}: {{error}}")
"""
URI = "artifact://input_example"


def asked(author: Author, place: Path, *data: str) -> list[str]:
    """Return what the packaged model gives a receiver in Python, or says."""
    script = place / "asked.py"
    script.write_text(ASKED.format(data=f"[{', '.join(data)}]"))
    return warm_python.run(script, cwd=author.root).stdout.splitlines()


@pytest.mark.parametrize(
    ("archetype", "column", "value", "rows"),
    [
        ("file_uri_to_tensor", "input_uri", URI, 2),
        ("file_uri_to_file", "input_uri", URI, 1),
        ("text_to_tensor", "text", "a", 1),
    ],
)
def test_texts_in_a_list_are_named_since_mlflow_makes_one_row_of_them(
    package_of: PackageOf, tmp_path: Path, archetype: str, column: str, value: str, rows: int
) -> None:
    author = package_of(archetype).author
    one, two = f"{{'{column}': ['{value}']}}", f"{{'{column}': ['{value}', '{value}']}}"
    found = asked(author, tmp_path, one, two, f"pd.DataFrame({one})", f"{{'{column}': '{value}'}}")
    given = f'{{"{column}": [...]}}'
    fault = f"TypeError: {given} is one row in Python: expected a row for each text, pandas.DataFrame({given})"
    assert found == [fault, fault, str(rows), str(rows)]


@pytest.mark.parametrize("archetype", ["file_uri_to_tensor", "file_uri_to_file"])
def test_empty_uri_is_named(package_of: PackageOf, tmp_path: Path, archetype: str) -> None:
    tables = [f"pd.DataFrame({{'input_uri': ['{URI}', '{empty}']}})" for empty in ("", " ")]
    fault = "ValueError: input_uri: expected a path or URI in each row, got '{}'"
    assert asked(package_of(archetype).author, tmp_path, *tables) == [fault.format(""), fault.format(" ")]
    done = package_of(archetype).predict({"inputs": {"input_uri": [""]}})
    assert done.returncode == 1
    assert fault.format("") in done.stderr


def test_request_without_rows_is_named_where_files_make_one_tensor(package_of: PackageOf, tmp_path: Path) -> None:
    found = asked(package_of("file_uri_to_tensor").author, tmp_path, "pd.DataFrame({'input_uri': []}, dtype=str)")
    assert found == ["ValueError: expected at least one row, got none"]
