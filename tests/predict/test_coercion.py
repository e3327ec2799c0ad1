"""Whatever the check lets through, MLflow's own parsing and enforcement give to predict as it stands in the payload."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.models.utils import _enforce_params_schema, _enforce_schema
from mlflow.pyfunc.scoring_server import infer_and_parse_data, parse_csv_input
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

from model_side.base.errors import UsageError
from model_side.model.signature import parse_signature
from model_side.payload.csv import payload_from_csv
from model_side.payload.negatives import is_known_to_be_coerced, negative_payloads
from model_side.payload.payload import check_payload, payload_faults, rows_to_match
from model_side.payload.text import loads_payload
from serving.rest import of_each_kind

WHEN = "2020-01-01T00:00:00"
# By type, the first one fits.
VALUES: dict[str, list[Any]] = {
    "boolean": [True, False, None, 1, 0, "false", 1.0],
    "integer": [1, -(2**31), 2**31 - 1, 2**31, None, 1.0, 1.5, True, "1"],
    "long": [1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, None, 1.0, 1.5, True, "1"],
    "float": [1, 1.5, 0.1, 3.4028234663852886e38, 3.4028235e38, 3.4028235677973366e38, 1e-45, 1e-46, 1e-60, None, True],
    "double": [1, 1.5, 2**53, 2**70, 1.7976931348623157e308, 10**400, 1e-320, None, True, "1.5"],
    "string": ["a", "", "NA", "None", "a\0", "é\ud800", None, 1, True, ["a"]],
    "binary": ["aGVsbG8=", "", "aGVsbG8", "aGVs bG8=", "YQA=", "_-8=", None, 1, "é"],
    "datetime": [WHEN, "2020-01-01", "2020-01-01 00:00", f"{WHEN}.123456789", f"{WHEN}Z", f"{WHEN}+02:00", "20200101"],
}
VALUES["datetime"] += ["2020-W01-1", "1500-01-01", "3000-01-01", "2020-13-01", f"{WHEN},5", None, 0, "now", ""]
INSIDE = [[1, "a"], [1, 2.5], [{"a": 1}], {"a": 1}, [], {}, 1, 1.5, True, None, "a"]


def nested() -> Iterator[tuple[Any, list[Any]]]:
    """Yield types with values; the first one fits where MLflow reads the type."""
    for name, values in VALUES.items():
        leaf = getattr(DataType, name)
        good = 1.5 if name in ("float", "double") else values[0]
        yield Array(leaf), [[good], *([good, v] for v in values), *([v] for v in values), None, [], 1]
        yield Array(Array(leaf)), [[[good]], *([[good], [good, v]] for v in values), [[good], []], None]
        yield Map(leaf), [{"k": good}, *({"k": v} for v in values), {}, None, [good]]
        yield Object([Property("p", leaf)]), [{"p": good}, *({"p": v} for v in values), {}, None]
        optional = Object([Property("p", leaf, required=False), Property("q", DataType.string)])
        yield optional, [{"q": "x"}, *({"p": v, "q": "x"} for v in values), {"p": good}]
        yield Array(Object([Property("p", leaf)])), [[{"p": good}], *([{"p": v}] for v in values), [{}]]
        yield Map(Array(leaf)), [{"k": [good]}, *({"k": [v]} for v in values)]
    yield AnyType(), INSIDE


def payloads(names: list[str], rows: list[dict[str, Any]], *, one_row: bool) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the same rows in every form that MLflow has, each with what its "x" means row by row.

    `one_row` says that a column which stands by itself is one row's value, as MLflow has it for types that nest.
    """
    values = [row["x"] for row in rows]
    whole = [values] if one_row else values
    yield {"dataframe_split": {"columns": names, "data": [list(row.values()) for row in rows]}}, values
    yield {"dataframe_records": rows}, values
    for form in ("inputs", "instances"):
        yield {form: rows}, values
        yield {form: {name: [row[name] for row in rows] for name in names}}, whole
        if len(names) == 1:
            yield {form: values}, whole
        if len(rows) == 1:
            yield {form: rows[0]}, values[0] if isinstance(values[0], list) and not one_row else values


def reaches_predict(payload: Any, schema: Schema) -> Any:
    """Return what MLflow gives to predict; a payload travels as text."""
    return _enforce_schema(infer_and_parse_data(json.loads(json.dumps(payload)), schema), schema)


SIMPLE = {
    **{name: (ColSpec(name, "a"), values[0]) for name, values in VALUES.items()},
    **{
        f"tensor of {dtype}": (TensorSpec(np.dtype(dtype), (-1, 2), name="a"), ["b"] * 2 if dtype == "str" else [1] * 2)
        for dtype in ("float32", "float64", "int64", "uint8", "str")
    },
}


@pytest.mark.parametrize(("column", "value"), SIMPLE.values(), ids=SIMPLE)
def test_negative_that_mlflow_is_known_to_coerce_reaches_predict_and_others_of_its_kind_do_not(
    column: Any, value: Any
) -> None:
    schema = Schema([column])
    signature = parse_signature(ModelSignature(schema))
    negatives = negative_payloads({"inputs": {"a": [value]}}, signature)
    kinds = of_each_kind(negatives)
    for each in (each for each in kinds if each.name != "no-data"):
        known = is_known_to_be_coerced(each, signature, mlflow.__version__)
        try:
            reaches_predict(each.payload, schema)
        except (MlflowException, ValueError, TypeError):
            assert not known, each.name
        else:
            assert known, each.name
    assert not any(is_known_to_be_coerced(each, signature, "99.0") for each in negatives)


def plain(value: Any) -> Any:
    """Return a value without numpy's types; what is missing is None."""
    match value:
        case np.ndarray() | list():
            return [plain(each) for each in value]
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case np.generic() if not isinstance(value, np.datetime64):
            return plain(value.item())
        case None:
            return None
    return None if value is pd.NaT or (isinstance(value, float) and math.isnan(value)) else value


def wanted(value: Any, type_: Any) -> Any:
    """Return what a value in a payload means."""
    match value, type_:
        case None, _:
            return None
        case str(), DataType.binary:
            return base64.b64decode(value)
        case str(), DataType.datetime:
            return pd.Timestamp(value)
        case _, DataType.float:
            return float(np.float32(value))
        case _, DataType.double:
            return float(value)
        case list(), Array():
            return [wanted(each, type_.dtype) for each in value]
        case dict(), Map():
            return {key: wanted(each, type_.value_type) for key, each in value.items()}
        case dict(), Object():
            types = {each.name: each.dtype for each in type_.properties}
            return {key: wanted(each, types[key]) for key, each in value.items()}
    return value


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, default=repr, sort_keys=True) == json.dumps(other, default=repr, sort_keys=True)


def check_all(type_: Any, values: list[Any], *, required: bool) -> None:
    """Hold every payload that the check lets through to what reaches predict."""
    let_through = []
    for names, value, count in itertools.product((["x", "s"], ["x"]), values, (1, 2)):
        schema = Schema([ColSpec(type_, "x", required=required), ColSpec("string", "s")][: len(names)])
        signature = parse_signature(ModelSignature(schema))
        rows = [{name: row[name] for name in names} for row in ({"x": value, "s": "q"}, {"x": values[0], "s": "r"})]
        for payload, meaning in payloads(names, rows[:count], one_row=not isinstance(type_, DataType)):
            if not any(payload_faults(payload, signature)):
                let_through.append(payload)
                read = [plain(each) for each in reaches_predict(payload, schema)["x"]]
                assert same(read, [wanted(each, type_) for each in meaning]), payload
    inside = () if isinstance(type_, DataType) else ("integer", "float", "binary", "datetime")
    assert bool(let_through) != any(f"{name}" in re.findall(r"\w+", str(type_)) for name in inside)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("name", VALUES)
def test_value_reaches_predict_unchanged_when_the_check_lets_it_through(name: str, required: bool) -> None:
    check_all(getattr(DataType, name), VALUES[name], required=required)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(("type_", "values"), list(nested()), ids=lambda each: str(each)[:60])
def test_nested_value_reaches_predict_unchanged_when_the_check_lets_it_through(
    type_: Any, values: list[Any], required: bool
) -> None:
    check_all(type_, values, required=required)


@pytest.mark.parametrize("form", ["dataframe_records", "inputs", "instances"])
@pytest.mark.parametrize("name", VALUES)
def test_row_without_an_optional_value_is_refused_when_mlflow_cannot_leave_it_out(name: str, form: str) -> None:
    schema = Schema([ColSpec(name, "x", required=False), ColSpec("string", "s")])
    payload = {form: [{"s": "q"}, {"x": VALUES[name][0], "s": "r"}]}
    if any(payload_faults(payload, parse_signature(ModelSignature(schema)))):
        return
    first, second = reaches_predict(payload, schema)["x"]
    assert plain(first) is None
    assert same(plain(second), wanted(VALUES[name][0], getattr(DataType, name)))


@pytest.mark.parametrize("shape", [(-1,), (-1, 2), (-1, 2, 2), (2,), (-1, -1), ()], ids=str)
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint64", "bool", "str", "datetime64[ns]"]
)
def test_tensor_reaches_predict_unchanged_when_the_check_lets_it_through(dtype: str, shape: tuple[int, ...]) -> None:
    kind = np.dtype(dtype).kind
    values = {"b": [True, 1], "U": ["a", "a\0", 1], "M": [WHEN, f"{WHEN}Z", "3000-01-01"]}.get(
        kind, [1, 1.5, -1, 65519, 65520, 3.4028235e38, 3.5e38, 1e-60, 2**63, 300]
    )
    for value, name in itertools.product(values, (None, "x")):
        data: Any = value
        for length in reversed([2 if each == -1 else each for each in shape]):
            data = [data] * length
        schema = Schema([TensorSpec(np.dtype(dtype), shape, name)])
        table = [[each] for each in data] if isinstance(data, list) else []
        rows = [{"x": row[0]} for row in table]
        given: list[dict[str, Any]] = [
            {form: each} for form in ("inputs", "instances") for each in (data, {"x": data}, rows)
        ]
        given += [{"dataframe_split": {"columns": ["x"], "data": table}}, {"dataframe_split": {"data": data}}]
        for payload in [*given, {"dataframe_records": rows}]:
            if any(payload_faults(payload, parse_signature(ModelSignature(schema)))):
                continue
            read = reaches_predict(payload, schema)
            assert np.array_equal(read["x"] if isinstance(read, dict) else read, np.array(data, dtype=dtype)), payload
            assert kind != "f" or np.isfinite(np.array(data, dtype=dtype)).all()
            assert kind != "f" or np.array(data, dtype=dtype).any()


CELLS = {
    "boolean": ["true", "False", "TRUE", "tRue", " true", "1", "yes", "NA", ""],
    "long": ["1", "+1", "01", " 1 ", "1_000", "1.0", "1e3", "0x10", str(2**63), str(2**53 + 1), "NA", "", "true"],
    "double": ["0.30000000000000004", "1e400", "NaN", ".5", "1.5e3", "null", "1" * 30, "", "\f1.5", "[1]", "{}"],
    "string": ["a", "", "NA", "nan", "None", "null", "N/A", "<NA>", "1", "true", " a ", 'a"b', "a\nb", "a,b", "é"],
}
CELLS["long"] += ["\t1"]
CELLS["double"] += [str(2**63), str(2**64), str(-(2**63) - 1)]
CELLS["string"] += ["inf", "-Infinity", "+1", "1.e5", "1 ", "\f1", "1_0", "1e", "1\u00a0", "tRue", " true", " ", "\t"]
CELLS["string"] += ["None ", "NONE", "#NA", "1.#IND", "-nan", "Nan"]


@pytest.mark.parametrize(("name", "cell"), [(name, cell) for name, cells in CELLS.items() for cell in cells])
def test_csv_means_the_same_to_mlflow_when_the_check_lets_it_through(name: str, cell: str) -> None:
    for required, names, other in itertools.product((True, False), (["x", "s"], ["x"]), {cell, CELLS[name][0], "1"}):
        schema = Schema([ColSpec(name, "x", required=required), ColSpec("string", "s")][: len(names)])
        rows = [[cell, "q"], [other, "r"]]
        quoted = (",".join('"' + each.replace('"', '""') + '"' for each in row[: len(names)]) for row in rows)
        bare = (",".join(row[: len(names)]) for row in rows)
        for text in ("\n".join([",".join(names), *lines, ""]) for lines in (quoted, bare)):
            signature = parse_signature(ModelSignature(schema))
            with suppress(UsageError):
                payload = payload_from_csv(text, signature)
                check_payload(payload, signature)
                here = [plain(v) for v in reaches_predict(payload, schema)["x"]]
                for known in (schema, None):  # over REST, and on the command line
                    there = _enforce_schema(parse_csv_input(io.StringIO(text), known), schema)
                    assert same([plain(v) for v in there["x"]], here), (text, known)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        *(("string", f"x\na\n{text}\n", f'column "x": MLflow does not read "{text}" as a text')
          for text in ("NA", "01", "inf", "TRUE", " ")),
        ("string", 'x\n"a\n', "unexpected end of data"),
        ("string", "x\n", "no rows"),
        *((name, "x\n1\n", f"columns of boolean, double, long, string, got {name} x. Take dataframe_split.")
          for name in ("float", "integer", "datetime", "binary")),
        ("optional string", "x,s\n,a\n", 'column "x": no row has a text: MLflow reads numbers there'),
    ],
)  # fmt: skip
def test_csv_is_refused_by_name_when_mlflow_would_read_it_otherwise(name: str, text: str, message: str) -> None:
    *optional, type_ = name.split()
    schema = Schema([ColSpec(type_, "x", required=not optional), *([ColSpec("string", "s")] if optional else [])])
    with pytest.raises(UsageError, match=re.escape(message)):
        payload_from_csv(text, parse_signature(ModelSignature(schema)))


ONE = Schema([ColSpec("string", "s")])
UNNAMED = Schema([ColSpec("double"), ColSpec("string")])
TENSOR = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])
WIDE = Schema([TensorSpec(np.dtype("int64"), (-1, -1), "x")])
MIXED = Schema([ColSpec("long", "x"), ColSpec("string", "s")])
SPLIT = {"columns": ["x", "s"], "data": [[1, "a"]]}
OPTIONAL = Schema([ColSpec("long", "n", required=False), ColSpec("double", "x", required=False)])
REFUSED: list[tuple[str, Schema, Any, str]] = [
    ("no rows as records", MIXED, {"dataframe_records": []}, "expected at least one row"),
    ("a short index", MIXED, {"dataframe_split": {**SPLIT, "index": []}}, "index: expected none, or 0 to 0, got []"),
    (
        "an index for more rows",
        MIXED,
        {"dataframe_split": {**SPLIT, "index": [1, 2]}},
        "index: expected none, or 0 to 0",
    ),
    ("columns that are no names", MIXED, {"dataframe_split": {**SPLIT, "columns": [["x"], "s"]}}, "expected names"),
    ("one value for two rows", MIXED, {"inputs": {"x": 1, "s": ["a", "b"]}}, "columns of one length"),
    ("a bare value for a named column", ONE, {"inputs": "a"}, 'expected an object with the keys ["s"]'),
    ("unnamed columns of two types", UNNAMED, {"inputs": [[1.5, "a"]]}, "unnamed columns of different types"),
    ("records of other keys", UNNAMED, {"dataframe_records": [{"a": 1, "b": "x"}, {"a": 1, "c": "x"}]}, "the same key"),
    ("too few names", UNNAMED, {"dataframe_split": {"columns": ["a"], "data": [[1.5, "a"]]}}, "a list of 2 names"),
    ("a last row without its long", OPTIONAL, {"dataframe_records": [{"n": 1}, {}]}, "is in 1 of 2 rows"),
    ("a row without a value", OPTIONAL, {"dataframe_split": {"columns": [], "data": [[]]}}, "no row has a value"),
    ("no tensor", TENSOR, {"inputs": []}, "expected at least one row"),
    ("tensor rows of two shapes", WIDE, {"instances": [{"x": [1]}, {"x": [1, 2]}]}, "expected 1 items for a int64"),
    ("no rows of a tensor", TENSOR, {"dataframe_split": {"data": []}}, "expected at least one row"),
]


@pytest.mark.parametrize("index", [["AAAC-1", "AAAG-1"], [1, 2], [1, 0], [True, False], 0])
def test_index_of_a_data_frame_is_refused_since_no_other_format_carries_it(index: Any) -> None:
    signature, data = parse_signature(ModelSignature(MIXED)), {"columns": ["x", "s"], "data": [[1, "a"], [2, "b"]]}
    (fault,) = payload_faults({"dataframe_split": {**data, "index": index}}, signature)
    assert fault.startswith("dataframe_split.index: expected none, or 0 to 1, got ")
    assert list(payload_faults({"dataframe_split": {**data, "index": [0, 1]}}, signature)) == []


@pytest.mark.parametrize(("schema", "payload", "message"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_form_is_refused_when_mlflow_would_not_read_the_rows_that_stand_there(
    schema: Schema, payload: Any, message: str
) -> None:
    assert message in next(payload_faults(payload, parse_signature(ModelSignature(schema))))
    with suppress(MlflowException, TypeError):  # where MLflow reads it, it reads rows that nobody wrote
        assert len(reaches_predict(payload, schema)) != 1


@pytest.mark.parametrize("form", ["dataframe_records", "inputs"])
def test_row_counts_though_it_has_no_value(form: str) -> None:
    signature, payload = (
        parse_signature(ModelSignature(OPTIONAL), metadata={"rows_match": True}),
        {form: [{"x": 1.5}, {}]},
    )
    assert list(payload_faults(payload, signature)) == []
    assert rows_to_match(payload, signature) == len(reaches_predict(payload, OPTIONAL)) == 2


@pytest.mark.parametrize("payload", [{"inputs": ["a"], "params": None}, {"inputs": ["a"]}])
def test_params_may_be_null_as_mlflow_has_it(payload: Any) -> None:
    check_payload(payload, ModelSignature(ONE))


PARAM_DATES = dict.fromkeys((WHEN, "2020-01-01", "2020-01-01 00:00", f"{WHEN}.123456", f"{WHEN}.1"), True)
PARAM_DATES |= {"1500-01-01": True, "0001-01-01": True, "9999-12-31T23:59:59": True, "0000-01-01": False}
PARAM_DATES |= {f"{WHEN}.1234567": False, f"{WHEN}.123456789": False, f"{WHEN}Z": False, "now": False, "": False}


@pytest.mark.parametrize("shape", [None, (-1,)])
@pytest.mark.parametrize(("date", "fits"), PARAM_DATES.items())
def test_date_of_a_param_is_taken_when_mlflow_reads_it_as_it_stands(
    date: str, shape: tuple[int, ...] | None, *, fits: bool
) -> None:
    params = ParamSchema([ParamSpec("when", "datetime", WHEN if shape is None else [WHEN], shape)])
    given = {"when": date if shape is None else [date]}
    signature = parse_signature(ModelSignature(ONE, params=params))
    assert (list(payload_faults({"inputs": ["a"], "params": given}, signature)) == []) == fits
    if fits:
        read = _enforce_params_schema(given, params)["when"]
        assert np.datetime64(read if shape is None else read[0]) == np.datetime64(date)


@pytest.mark.parametrize("depth", [101, 500, 3000, 100_000])
def test_deep_json_is_refused_in_words_when_it_would_exhaust_the_stack(depth: int) -> None:
    signature = ModelSignature(Schema([ColSpec(AnyType(), "x")]))
    deep = "[" * depth + "]" * depth
    for text in (f'{{"dataframe_records": [{{"x": {deep}}}]}}', f'{{"inputs": {deep}}}', deep):
        with pytest.raises(UsageError):
            check_payload(loads_payload(text, "payload.json"), signature)


def test_number_is_refused_in_words_when_it_has_too_many_digits_to_read() -> None:
    with pytest.raises(UsageError, match=r"payload\.json: not JSON that can be read: got Exceeds"):
        loads_payload(f'{{"inputs": [{"9" * 5000}]}}', "payload.json")
