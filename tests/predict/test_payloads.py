"""Payloads: what is built fits, what does not fit is refused with its place, and MLflow takes what we build."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import generate_mlflow_test_payload as command
import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.utils import _enforce_schema
from mlflow.pyfunc.scoring_server import infer_and_parse_data
from mlflow.types.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
)

from model_side.base.errors import StepError, UsageError, run_main
from model_side.model.model import ModelFiles
from model_side.model.signature import parse_signature
from model_side.payload.carried import FORMS
from model_side.payload.csv import payload_from_csv, payload_to_csv
from model_side.payload.forms import read_form, write_form
from model_side.payload.negatives import negative_payloads
from model_side.payload.payload import build_payload, check_payload, new_texts, payload_faults
from model_side.payload.text import dumps_strict

WHEN = "2020-01-01T00:00:00"
TYPES = {"n": "long", "i": "integer", "f": "float", "d": "double", "b": "boolean", "s": "string", "t": "datetime"}
OPTIONALS = [ColSpec("string", "o", required=False), ColSpec("long", "on", required=False)]
COLUMNS = Schema([*(ColSpec(type_, name) for name, type_ in TYPES.items()), *OPTIONALS])
NESTED = Schema(
    [
        ColSpec(Array("double"), "a"),
        ColSpec(Object([Property("p", DataType.long), Property("q", DataType.string, required=False)]), "o"),
        ColSpec(Map("long"), "m"),
        ColSpec(AnyType(), "any", required=False),
    ]
)
PARAMS = ParamSchema([ParamSpec("k", "long", 3), ParamSpec("names", "string", ["a"], (-1,))])
ROW = {"n": 1, "i": 2, "f": 1.5, "d": 2, "b": True, "s": "x", "t": WHEN, "o": "y", "on": 4}
ROWS: dict[str, tuple[Schema, list[Any]]] = {
    "columns": (COLUMNS, [ROW, {**ROW, "n": 7}]),
    "binary": (Schema([ColSpec("binary", "z"), ColSpec("string", "s")]), [{"z": "aGVsbG8=", "s": "q"}]),
    "nested": (NESTED, [{"a": [1.5], "o": {"p": 1}, "m": {"k": 1}, "any": [1, "a"]}] * 2),
    "one column": (Schema([ColSpec("string", "uri")]), [{"uri": "a"}, {"uri": "b"}]),
    "one unnamed column": (Schema([ColSpec("string")]), [{0: "a"}, {0: "b"}]),
    "two unnamed columns": (Schema([ColSpec("double"), ColSpec("double")]), [{0: 1.5, 1: 2.5}, {0: 3.5, 1: 4.5}]),
    "matrix": (Schema([TensorSpec(np.dtype("float32"), (-1, 3))]), [{0: [1.5, 2, 3]}, {0: [4, 5, 6.5]}]),
    "cube": (Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2))]), [{0: [[1.5, 2], [3, 4]]}]),
    "tensors": (
        Schema([TensorSpec(np.dtype("float64"), (-1, 2), "x"), TensorSpec(np.dtype("int64"), (-1,), "y")]),
        [{"x": [1.5, 2], "y": 1}, {"x": [1.5, 2], "y": 2}],
    ),
}
TABLE = {"dataframe_split", "dataframe_records"}
VALUES = {"inputs", "instances"}
CARRIED = {"nested": TABLE | {"inputs"}, "binary": TABLE, "cube": VALUES}  # all four formats carry the others
RAGGED, DATES = (Schema([ColSpec(each, "x")]) for each in (Array(Array("double")), Array("datetime")))
OPTIONAL = Schema([ColSpec("string", "s", required=False), ColSpec("float", "f", required=False), ColSpec("long", "n")])
# Rows that not all formats carry, and those that do.
HARD: dict[str, tuple[Schema, list[Any], set[str]]] = {
    "named cube": (Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2), "x")]), [{"x": [[1.5, 2], [3, 4]]}] * 2, VALUES),
    "texts": (Schema([TensorSpec(np.dtype("str"), (-1, 2))]), [{0: ["a", "b"]}], VALUES),
    "two unnamed types": (Schema([ColSpec("double"), ColSpec("string")]), [{0: 1.5, 1: "a"}], TABLE),
    "ragged": (RAGGED, [{"x": [[1.5], [2.5, 3.5]]}], TABLE),
    "dates in arrays": (DATES, [{"x": [WHEN]}], set()),
    "dates": (Schema([TensorSpec(np.dtype("datetime64[ns]"), (-1,), "t")]), [{"t": WHEN}] * 2, VALUES),
    "null": (OPTIONAL, [{"s": None, "n": 1}, {"s": "a", "n": 2}], TABLE),
    "a row without": (OPTIONAL, [{"n": 1}, {"f": 1.5, "n": 2}], TABLE | {"inputs"}),
    "a row without null": (OPTIONAL, [{"f": None, "n": 1}, {"f": 1.5, "n": 2}], set(FORMS)),
}
HARD |= {name: (*each, CARRIED.get(name, set(FORMS))) for name, each in ROWS.items()}


def columns(**changed: Any) -> dict[str, Any]:
    return {"dataframe_records": [{**ROW, **changed}]}


def without_null(rows: list[Any]) -> list[dict[Any, Any]]:
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", HARD)
def test_payload_is_what_mlflow_reads_or_a_format_that_can_carry_it_is_named(name: str, form: str) -> None:
    schema, rows, carried = HARD[name]
    signature = parse_signature(ModelSignature(schema))
    if form not in carried:
        with pytest.raises(UsageError) as caught:
            check_payload({form: write_form(form, rows, signature)}, signature, subject="")
        said = str(caught.value).replace(f"--format {form}", "")
        assert any(each in said for each in carried or {"MLflow refuses it in any format"})
        return
    payloads = [json.loads(json.dumps({each: write_form(each, rows, signature)})) for each in (form, min(carried))]
    check_payload(payloads[0], signature)
    assert without_null(read_form(form, payloads[0][form], signature).rows()) == without_null(rows)
    read, other = (_enforce_schema(infer_and_parse_data(each, schema), schema) for each in payloads)
    assert repr(read) == repr(other)
    lengths = {len(values) for values in read.values()} if isinstance(read, dict) else {len(read)}
    assert lengths == {len(rows)}


NESTED_ROW = ROWS["nested"][1][0]


def nested(**changed: Any) -> dict[str, Any]:
    return {"dataframe_records": [{**NESTED_ROW, **changed}]}


WRONG: list[tuple[str, Any, str]] = [
    ("a fraction for a long", columns(n=1.7), "dataframe_records[0].n: expected long, a whole number, got 1.7"),
    ("2**40 for an integer", columns(i=2**40), "expected integer, from -2147483648 to 2147483647, got 1099511627776"),
    ("1e300 for a float", columns(f=1e300), "expected float, at most 3.4e+38 in size"),
    ("10**400 for a double", columns(d=10**400), "dataframe_records[0].d: expected double, at most"),
    ("NaN for a double", columns(d=float("nan")), "expected double, a finite number, got NaN"),
    ("a word for a boolean", columns(b="false"), 'dataframe_records[0].b: expected true or false, got "false"'),
    ("a number for a string", columns(s=1), "dataframe_records[0].s: expected a string, got 1"),
    ("a number for a date", columns(t=0), "expected a date and time"),
    ("null in a required column", columns(s=None), "dataframe_records[0].s: expected string, got null"),
    ("null in an optional long", columns(on=None), "leave the column out"),
    ("a placeholder", columns(s="<string: s>"), 'dataframe_records[0].s: still the placeholder "<string: s>"'),
    ("an unknown column", columns(nn=1), "unknown column \"nn\". Did you mean 'n'?"),
    ("a missing column", {"dataframe_records": [{"n": 1}]}, 'column "i" is missing: expected integer'),
    ("an unknown key", {**columns(), "parms": {}}, "unknown key \"parms\". Did you mean 'params'?"),
    ("an unknown param", {**columns(), "params": {"kk": 1}}, "params: unknown param \"kk\". Did you mean 'k'?"),
    ("a fraction for a param", {**columns(), "params": {"k": 1.7}}, "params.k: expected long"),
    ("no list for a list param", {**columns(), "params": {"names": "a"}}, "params.names: expected array of string"),
    ("null for a param", {**columns(), "params": {"k": None}}, "params.k: expected long, got null"),
    ("params that are a list", {**columns(), "params": []}, "params: expected an object, got []"),
    ("no data", {"params": {}}, "got none"),
    ("data twice", {**columns(), "inputs": {}}, "got dataframe_records and inputs"),
    ("a list for a payload", [], "expected an object"),
    ("rows that are lists", {"dataframe_records": [[1]]}, "expected a list of objects"),
    ("a short row", {"dataframe_split": {"columns": list(ROW), "data": [[1]]}}, "data[0]: expected a list of 9 values"),
    ("no columns", {"dataframe_split": {"data": [[1]]}}, "dataframe_split.columns: expected"),
    ("a doubled column", {"dataframe_split": {"columns": [*ROW, "n"], "data": []}}, '"n" is duplicated'),
    ("an unknown split key", {"dataframe_split": {"columns": list(ROW), "data": [], "idx": []}}, 'unknown key "idx"'),
    ("columns of two lengths", {"inputs": {**{k: [v] for k, v in ROW.items()}, "n": [1, 2]}}, "columns of one length"),
]


WRONG_NESTED: list[tuple[str, Any, str]] = [
    ("a text in an array", nested(a=[1, "2"]), 'a[1]: expected double, a number, got "2"'),
    ("no array", nested(a=1), "a: expected array of double"),
    ("a missing property", nested(o={"q": "x"}), 'o: property "p" is missing: expected long'),
    ("an unknown property", nested(o={"p": 1, "r": 2}), 'o: unknown property "r"'),
    ("no object", nested(o=[1]), "o: expected object, got [1]"),
    ("a fraction in a map", nested(m={"k": 1.5}), "m.k: expected long"),
    ("NaN for anything", nested(any=[float("nan")]), "any[0]: NaN is not JSON"),
]
WRONG_TENSORS: list[tuple[str, Any, str]] = [
    ("a short row", {"inputs": [[1, 2]]}, "inputs[0]: expected 3 items for a float32 tensor (-1, 3), got 2"),
    ("a text", {"inputs": [[1, 2, "3"]]}, "inputs[0][2]: expected float32"),
    ("one row alone", {"inputs": [1, 2, 3]}, "inputs[0]: expected 1 more nested lists"),
]
ALL_WRONG = [
    pytest.param(ModelSignature(schema, params=PARAMS), payload, message, id=name)
    for schema, cases in ((COLUMNS, WRONG), (NESTED, WRONG_NESTED), (ROWS["matrix"][0], WRONG_TENSORS))
    for name, payload, message in cases
]


@pytest.mark.parametrize(("signature", "payload", "message"), ALL_WRONG)
def test_check_names_the_place_when_a_value_does_not_fit(signature: ModelSignature, payload: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_payload(payload, signature, subject="payload.json")
    assert str(caught.value).startswith("payload.json: does not fit the model's signature:")
    assert message in str(caught.value)
    assert signature.inputs is not NESTED or len(str(caught.value).splitlines()) == 2


def test_message_stays_short_when_every_row_is_wrong() -> None:
    check_payload(columns(o=None), ModelSignature(COLUMNS))
    with pytest.raises(UsageError, match="and more") as caught:
        check_payload({"dataframe_records": [{**ROW, "n": "1"}] * 1000}, ModelSignature(COLUMNS))
    assert len(str(caught.value).splitlines()) < 30


@pytest.mark.parametrize(
    ("payload", "texts"),
    [
        ({"inputs": {"uri": ["a"]}}, set()),
        ({"dataframe_records": [{"uri": "a"}, {"uri": "/b"}], "params": {"k": 7}}, {"/b"}),
        ({"inputs": {"uri": ["a"]}, "params": {"names": ["a", "x.txt"]}}, {"x.txt"}),
    ],
)
def test_new_texts_are_those_that_the_example_does_not_hold(payload: Any, texts: set[str]) -> None:
    signature = parse_signature(ModelSignature(Schema([ColSpec("string", "uri")]), params=PARAMS))
    files = ModelFiles(signature, {"dataframe_split": {"columns": ["uri"], "data": [["a"]]}})
    assert new_texts(payload, files) == texts


@pytest.mark.parametrize("name", ROWS)
def test_payload_holds_placeholders_that_the_check_refuses_by_name_when_there_is_no_example(name: str) -> None:
    signature = parse_signature(ModelSignature(ROWS[name][0]))
    found = list(payload_faults(build_payload(ModelFiles(signature)), signature))
    assert found
    assert all("still the placeholder" in fault for fault in found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ROWS)
def test_negatives_are_all_refused_and_mlflow_never_fails_on_one(name: str, form: str) -> None:
    schema, rows = ROWS[name]
    signature = parse_signature(ModelSignature(schema, params=PARAMS))
    if form not in CARRIED.get(name, FORMS):
        return
    payload = {form: write_form(form, rows, signature), "params": {"k": 1}}
    check_payload(payload, signature)
    made = negative_payloads(payload, signature)
    assert len(made) >= 8
    kinds = {str(each.type) for each in signature.inputs}
    lost = {"float": "too-small-f", "datetime": "with-a-zone-t"}
    assert {name for kind, name in lost.items() if kind in kinds} <= {each.name for each in made}
    assert len({each.name for each in made}) == len(made)
    for each in made:
        assert any(payload_faults(each.payload, signature))
        with suppress(MlflowException):  # anything else would be an answer of 500
            infer_and_parse_data(json.loads(json.dumps(each.payload)), schema)


@pytest.mark.parametrize("shape", [(-1, 2), (-1, -1), (-1,), ()], ids=str)
@pytest.mark.parametrize("name", [None, "x"])
@pytest.mark.parametrize(
    ("dtype", "value", "kinds"),
    [
        *((dtype, 1, {"fraction", "too-large", "text", "negative"}) for dtype in ("uint8", "uint16", "uint64")),
        *((dtype, 1, {"fraction", "too-large", "text"}) for dtype in ("int8", "int16", "int32", "int64")),
        *((dtype, 1.5, {"too-large", "too-small", "text", "nan", "infinity"}) for dtype in ("float16", "float32")),
        ("float64", 1.5, {"text", "nan", "infinity"}),
        ("bool", True, {"text", "number"}),
        ("str", "a", {"number", "nul-at-the-end"}),
        ("datetime64[ns]", WHEN, {"not-a-date", "with-a-zone", "number"}),
    ],
)
def test_negatives_hold_each_wrong_value_and_shape_when_the_model_takes_a_tensor(
    dtype: str, value: Any, kinds: set[str], name: str | None, shape: tuple[int, ...]
) -> None:
    row = [value, value] if len(shape) > 1 else value
    data = [row, row] if shape else row
    signature = parse_signature(ModelSignature(Schema([TensorSpec(np.dtype(dtype), shape, name)])))
    shapes = {"ragged", "too-wide"} if shape == (-1, 2) else {"ragged"} if shape == (-1, -1) else set()
    shapes |= {"missing"} if name else set()
    for form in FORMS:
        payload = {form: data if name is None else {name: data}}
        if not any(payload_faults(payload, signature)):
            made = {each.name for each in negative_payloads(payload, signature)}
            assert {f"{kind}-{name or 0}" for kind in kinds | shapes | {"null", "too-deep"}} <= made
            assert ("unknown-column" in made) == bool(name)


INSIDE = {
    "a": {"not-a-list", "item-null", "item-text", "item-nan", "item-infinity"},
    "o": {"not-an-object", "unknown-property", "missing-p-of", "null-p-of", "fraction-p-of", "number-q-of"},
    "m": {"not-an-object", "value-null", "value-fraction", "value-too-large"},
    "any": {"nan", "infinity"},
}


def test_negatives_hold_each_wrong_value_inside_a_value_that_nests() -> None:
    schema, rows = ROWS["nested"]
    made = negative_payloads({"dataframe_records": rows}, parse_signature(ModelSignature(schema)))
    by_name = {each.name: each.payload.get("dataframe_records") for each in made}
    assert {f"{kind}-{column}" for column, kinds in INSIDE.items() for kind in kinds} <= by_name.keys()
    assert by_name["value-fraction-m"][0]["m"] == {"k": 1.7}
    assert by_name["missing-p-of-o"][0]["o"] == {}
    assert by_name["unknown-column"][1]["no_such"] == [1.5]
    assert all(changed[1] == rows[1] for name, changed in by_name.items() if name.split("-")[0] in ("item", "value"))


def test_negatives_stay_few_when_columns_are_many_and_alike() -> None:
    kinds = {f"{kind}{number}": kind for kind in ("double", "long") for number in range(500)}
    signature = parse_signature(ModelSignature(Schema([ColSpec(kind, name) for name, kind in kinds.items()])))
    row = {name: 1.5 if kind == "double" else 1 for name, kind in kinds.items()}
    made = {each.name for each in negative_payloads({"dataframe_records": [row]}, signature)}
    assert {"missing-double0", "nan-double0", "missing-long2", "fraction-long2"} <= made
    assert len(made) < 50


@pytest.mark.parametrize("form", FORMS)
def test_negatives_lack_the_column_when_it_is_the_only_one(form: str) -> None:
    signature = parse_signature(ModelSignature(Schema([ColSpec("string", "uri")])))
    payload = {form: write_form(form, [{"uri": "a"}], signature)}
    made = {each.name: each.payload for each in negative_payloads(payload, signature)}
    assert "uri" not in json.dumps(made["missing-uri"])


def test_csv_comes_back_as_the_same_rows_when_written_and_read() -> None:
    signature = parse_signature(ModelSignature(Schema([each for each in COLUMNS.inputs if each.name not in "fit"])))
    rows = [{key: value for key, value in row.items() if key not in "fit"} for row in ROWS["columns"][1]]
    payload = payload_from_csv(payload_to_csv({"dataframe_records": rows}, signature), signature)
    check_payload(payload, signature)
    assert read_form("dataframe_split", payload["dataframe_split"], signature).rows() == rows
    payload["dataframe_split"]["data"][1][0] = "x"
    text = payload_to_csv(payload, signature)
    assert "data[1][0]" in next(payload_faults(payload_from_csv(text, signature), signature))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1j])
def test_dumps_strict_refuses_when_json_cannot_hold_the_value(value: Any) -> None:
    with pytest.raises(StepError):
        dumps_strict({"x": value})


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Path:
    import pandas as pd

    signature = ModelSignature(Schema([ColSpec("string", "input_uri")]), params=PARAMS)
    return save_model("uri", signature, input_example=(pd.DataFrame({"input_uri": ["a.h5ad"]}), {"k": 4}))


def run(*argv: object) -> int:
    return run_main(lambda: command.main([str(word) for word in argv]))


def test_command_writes_the_models_example_with_every_param_when_there_is_no_file(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "payload.json"
    assert run("--model-uri", model, "--json-payload-filepath", target) == 0
    first = target.read_bytes()
    assert json.loads(first) == {
        "dataframe_split": {"columns": ["input_uri"], "data": [["a.h5ad"]]},
        "params": {"k": 4, "names": ["a"]},
    }
    assert run("--model-uri", model.as_uri(), "--json-payload-filepath", target, "--force") == 0
    assert target.read_bytes() == first
    assert run("--model-uri", model, "--json-payload-filepath", target, "--force", "--format", "inputs") == 0
    assert json.loads(target.read_text())["inputs"] == {"input_uri": ["a.h5ad"]}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"inputs": ["mine.h5ad"]}', 0, "kept; it fits the model's signature"),
        ('{"inputs": {"input_url": ["mine.h5ad"]}}', 2, "unknown column \"input_url\". Did you mean 'input_uri'?"),
        ('{"inputs": [', 2, "not JSON"),
        ('{"inputs": 1, "inputs": 2}', 2, 'the key "inputs" is duplicated'),
    ],
)
def test_command_keeps_the_file_and_says_whether_it_fits(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, message: str
) -> None:
    target = tmp_path / "payload.json"
    target.write_text(text, encoding="utf-8")
    assert run("--model-uri", model, "--json-payload-filepath", target) == code
    assert message in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == text


def test_command_names_the_nearest_when_there_is_no_such_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--model-uri", model.with_name("urj"), "--json-payload-filepath", tmp_path / "p.json") == 2
    assert "Did you mean 'uri" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_command_refuses_a_format_that_cannot_carry_the_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"signature": ModelSignature(OPTIONAL).to_dict()}
    entry["saved_input_example_info"] = {"serving_input_path": "example.json"}
    (tmp_path / "MLmodel").write_text(json.dumps(entry), encoding="utf-8")  # JSON is YAML
    (tmp_path / "example.json").write_text(json.dumps({"dataframe_records": HARD["a row without"][1]}))
    target = tmp_path / "payload.json"
    assert run("--model-uri", tmp_path, "--json-payload-filepath", target, "--format", "instances") == 2
    assert "take dataframe_split or dataframe_records" in capsys.readouterr().err
    assert not target.exists()


def test_command_names_the_file_by_its_kind_when_no_name_is_given(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--model-uri", model, "--format", "csv") == 0
    assert run("--model-uri", model, "--format", "inputs") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_input_payload.csv", "test_input_payload.json"]
    assert (tmp_path / "test_input_payload.csv").read_text(encoding="utf-8") == "input_uri\na.h5ad\n"
    assert run("--model-uri", model, "--json-payload-filepath", "test_input_payload.csv", "--check") == 0


def test_command_writes_one_file_per_fault_when_asked_for_negatives(model: Path, tmp_path: Path) -> None:
    directory = tmp_path / "negative"
    assert run("--model-uri", model, "--negative", directory, "--json-payload-filepath", tmp_path / "none") == 0
    names = {path.name for path in directory.iterdir()}
    assert {"null-input_uri.json", "unknown-param.json", "fraction-param-k.json"} <= names
    assert run("--model-uri", model, "--negative", directory, "--json-payload-filepath", tmp_path / "none") == 2
