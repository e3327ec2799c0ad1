"""Outputs: checked against their signature, brought from JSON to arrays, and compared."""

from __future__ import annotations

import enum
import json
import re
import sys
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model_side.base.errors import StepError
from model_side.model.signature import Anything, Array, Field, Object, Scalar, Signature, Tensor
from model_side.output.arrays import as_array, jsonable, nulled
from model_side.output.comparison import Tolerance, compare
from model_side.output.contract import hold_output
from model_side.payload.text import dumps_strict
from model_side.run.in_process import require_served

INPUTS = (Field("uri", Scalar("string")),)


def gives(*outputs: Field) -> Signature:
    return Signature(INPUTS, outputs)


def tensor(dtype: str, *shape: int, name: str | None = None) -> Field:
    return Field(name, Tensor(Scalar(dtype), shape))


MATRIX = gives(tensor("float32", -1, 3))
NAMED = gives(tensor("float32", -1, 2, name="x"), tensor("int64", -1, name="y"))
TABLE = gives(
    Field("n", Scalar("long")),
    Field("f", Scalar("float")),
    Field("s", Scalar("string")),
    Field("o", Scalar("double"), False),
)
NESTED = gives(Field("v", Array(Scalar("double"))), Field("m", Object((Field("p", Scalar("long")),))))
SCORE = gives(Field(None, Scalar("double")))
TEXTS = gives(Field(None, Scalar("string")))
PAIR = gives(Field(None, Scalar("double")), Field(None, Scalar("double")))
DATES = gives(Field("t", Scalar("datetime")))
BYTES = gives(Field("b", Scalar("binary")))
OBJECTS = gives(Field(None, Object((Field("p", Scalar("long")),))))
UNKNOWN = Signature(INPUTS)
LONG = gives(Field("v", Scalar("long")))
NUMBER = gives(Field("v", Scalar("double")))
ANY = gives(Field(None, Anything()))


class Phase(enum.StrEnum):
    """A text that is more than a text."""

    G1 = "G1"


FRAME = pd.DataFrame({"n": [1, 2], "f": np.array([1.5, 2.5], "float32"), "s": ["a", "b"]})
ONES = np.ones((2, 3), "float32")

FITS: list[tuple[str, Any, Signature]] = [
    ("matrix", ONES, MATRIX),
    ("rows of arrays", list(ONES), MATRIX),
    ("named tensors", {"x": np.ones((2, 2), "float32"), "y": np.arange(2)}, NAMED),
    ("frame", FRAME, TABLE),
    ("frame with the optional column", FRAME.assign(o=[0.5, 1.5]), TABLE),
    ("dict of columns", {name: FRAME[name].to_numpy() for name in FRAME}, TABLE),
    ("nested columns", pd.DataFrame({"v": [[0.5], [1.5, 2]], "m": [{"p": 1}, {"p": 2}]}), NESTED),
    ("records", [{"v": [0.5], "m": {"p": 1}}], NESTED),
    ("one array for one column", np.array([0.5, 1.5]), SCORE),
    ("numbers for one column", [0.5, 1.5], SCORE),
    ("series for one column", pd.Series([0.5, 1.5], name="score"), SCORE),
    ("texts", ["a", "b"], TEXTS),
    ("series of texts", pd.Series(["a", "b"]), TEXTS),
    ("rows of two numbers", [[0.5, 1.5], [2.5, 3.5]], PAIR),
    ("dates", pd.DataFrame({"t": pd.to_datetime(["2020-01-01T01:02:03", "2021-01-01T00:00:00"])}), DATES),
    ("bytes", pd.DataFrame({"b": [b"hello", b"x"]}), BYTES),
    ("objects", [{"p": 1}, {"p": 2}], OBJECTS),
    ("undeclared", {"anything": [1, "a"]}, UNKNOWN),
    ("undeclared array", np.ones(2), UNKNOWN),
    ("undeclared frame", FRAME, UNKNOWN),
    ("half precision", np.array([0.1, 65504], "float16"), gives(tensor("float16", -1))),
    ("whole numbers beyond 2**53", np.array([2**64 - 1], "uint64"), gives(tensor("uint64", -1))),
    ("pandas' own numbers", pd.DataFrame({"v": pd.array([1, 2**53 + 1], "Int64")}), LONG),
    (
        "pandas' own truths",
        pd.DataFrame({"v": pd.array([True, False], "boolean")}),
        gives(Field("v", Scalar("boolean"))),
    ),
    ("categories of texts", pd.DataFrame({"v": pd.Categorical(["b", "a"])}), gives(Field("v", Scalar("string")))),
    ("categories of numbers", pd.DataFrame({"v": pd.Categorical([7, 5])}), LONG),
    ("a sparse column", pd.DataFrame({"v": pd.arrays.SparseArray([0.5, 0.0])}), gives(Field("v", Scalar("double")))),
    ("nanoseconds", pd.DataFrame({"t": pd.to_datetime(["2020-01-01T00:00:00.123456789"])}), DATES),
    (
        "lists of unequal length",
        pd.DataFrame({"v": [[0.5], [], [1.5, 2.5]]}),
        gives(Field("v", Array(Scalar("double")))),
    ),
    ("values of several types", [1, "a", None, {"k": (1, 2)}], ANY),
    # no rows, which may be right
    ("no rows", ONES[:0], MATRIX),
    ("an empty list", [], MATRIX),
    ("no rows of any width", np.empty((0, 5), "float32"), gives(tensor("float32", -1, -1))),
    ("rows without columns", np.empty((2, 0, 3), "float32"), gives(tensor("float32", -1, -1, 3))),
    ("no rows of named tensors", {"x": np.empty((0, 2), "float32"), "y": np.arange(0)}, NAMED),
    ("a table without rows", FRAME[:0], TABLE),
    ("a table without rows, but with the optional column", FRAME.assign(o=0.5)[:0], TABLE),
    ("a table made without rows", pd.DataFrame({"n": [], "f": [], "s": []}), TABLE),
    ("nested columns without rows", pd.DataFrame({"v": [], "m": []}), NESTED),
    ("no texts", [], TEXTS),
    ("no numbers", np.array([]), SCORE),
    ("no rows of two numbers", [], PAIR),
    ("an index of 0, 1, 2", pd.DataFrame({"v": [1, 2]}, index=[0, 1]), LONG),
]


@pytest.mark.parametrize(("output", "signature"), [case[1:] for case in FITS], ids=[case[0] for case in FITS])
def test_output_is_taken_and_its_answer_equals_it_when_it_fits(output: Any, signature: Signature) -> None:
    hold_output(output, signature)
    answer = as_array(json.loads(dumps_strict(jsonable(output))), signature)
    hold_output(answer, signature)
    assert compare(nulled(as_array(output, signature)), nulled(answer), Tolerance(0, 0)).agrees


def with_nan(value: float) -> Any:
    changed = ONES.copy()
    changed[1, 2] = value
    return changed


WRONG: list[tuple[str, Any, Signature, str]] = [
    ("float64 for float32", ONES.astype("float64"), MATRIX, "wrong dtype: expected float32, got float64"),
    ("other byte order", ONES.astype(">f4"), MATRIX, "wrong dtype: expected float32, got >f4"),
    ("other width", ONES[:, :2], MATRIX, "wrong shape: expected (-1, 3), got (2, 2)"),
    ("other rank", ONES[0], MATRIX, "wrong shape: expected (-1, 3), got (3,)"),
    ("no rank", np.array(1, "float32"), MATRIX, "wrong shape: expected (-1, 3), got ()"),
    ("ragged", [[1.0], [1.0, 2.0]], MATRIX, "rows of different lengths"),
    ("no rows of another width", ONES[:0, :2], MATRIX, "wrong shape: expected (-1, 3), got (0, 2)"),
    ("no rows of another rank", np.array([], "float32"), MATRIX, "wrong shape: expected (-1, 3), got (0,)"),
    ("no rows for a fixed number", [], gives(tensor("float32", 2, 3)), "wrong shape: expected (2, 3), got (0, 3)"),
    ("an empty list for named tensors", [], NAMED, "expected a DataFrame or a dict with x, y, got a list"),
    (
        "lists for an array",
        [[1.0, 2.0, 3.0]],
        MATRIX,
        "got a list that numpy reads as float64: return numpy.asarray(output",
    ),
    ("NaN", with_nan(np.nan), MATRIX, "1 of 6 values are NaN or infinite, the first at [1, 2]"),
    ("a number too large", as_array([[1e300, 1.0, 1.0]], MATRIX), MATRIX, "NaN or infinite"),
    ("nothing", None, MATRIX, "expected float32 tensor (-1, 3), got None"),
    ("a text", "x", MATRIX, "got a str"),
    ("a frame for a tensor", FRAME, MATRIX, "expected float32 tensor (-1, 3), got a DataFrame with the names n, f, s"),
    ("a missing tensor", {"x": np.ones((2, 2), "float32")}, NAMED, '"y": is missing: expected int64 tensor (-1,)'),
    ("an unknown tensor", {"x": np.ones((2, 2), "float32"), "z": np.arange(2)}, NAMED, 'unknown name "z"'),
    ("one array for two", np.ones(2), NAMED, "expected a DataFrame or a dict with x, y, got a ndarray"),
    ("a column of another type", FRAME.astype({"n": "int32"}), TABLE, '"n": wrong dtype: expected int64, got int32'),
    ("numbers for texts", FRAME.assign(s=[1, 2]), TABLE, '"s": [0]: expected a string, got 1'),
    ("a missing column", FRAME[["n", "f"]], TABLE, '"s": is missing: expected string'),
    ("a misspelt column", FRAME.rename(columns={"s": "ss"}), TABLE, "unknown name \"ss\". Did you mean 's'?"),
    ("a missing text", FRAME.assign(s=["a", None]), TABLE, '"s": [1]: expected string, got null'),
    ("a text in a list", [{"v": ["x"], "m": {"p": 1}}], NESTED, '"v": [0][0]: expected double'),
    ("two columns for one", [[1.0, 2.0]], SCORE, "wrong shape: expected (-1,), got (1, 2)"),
    ("no table for two columns", [1.0, 2.0], PAIR, "expected rows of 2 values, got a list of shape (2,)"),
    ("three columns for two", [[1.0, 2.0, 3.0]], PAIR, 'unknown name "2"'),
    # names that are one in JSON
    ("a column twice", pd.DataFrame([[1, 2, 3]], columns=["v", "w", "v"]), LONG, 'two columns are called "v"'),
    ("columns 1 and '1'", pd.DataFrame([[1, 2]], columns=[1, "1"]), LONG, 'the names 1 and "1" are one in JSON'),
    ("keys 1 and '1'", {1: [1.0], "1": [2.0]}, NUMBER, 'the names 1 and "1" are one in JSON'),
    ("keys of one row", [{"1": 1.0}, {1: 1.0, "1": 2.0}], NUMBER, 'the names 1 and "1" are one in JSON'),
    (
        "keys inside",
        [{"k": {1: 0, "1": 1}}],
        ANY,
        "[0].k: expected what JSON can hold, got an object in which the names 1",
    ),
    ("True for a name", {True: [1.0]}, NUMBER, "expected names that are texts, got True"),
    ("names of two levels", pd.DataFrame({("a", "b"): [1]}), LONG, "expected names that are texts, got ('a', 'b')"),
    # an index, which no answer has
    (
        "an index of texts",
        pd.DataFrame({"v": [1]}, index=["AAAC-1"]),
        LONG,
        "expected the default index, 0 to 0, got 'AAAC-1'",
    ),
    (
        "the index of a part",
        pd.DataFrame({"v": [1, 2, 3]})[1:],
        LONG,
        "expected the default index, 0 to 1, got 1 first",
    ),
    (
        "an index of two levels",
        pd.DataFrame({"v": [1]}, index=[[0], [0]]),
        LONG,
        "expected the default index, 0 to 0, got",
    ),
    ("a Series with an index", pd.Series([0.5], index=["a"]), SCORE, "expected the default index, 0 to 0, got 'a'"),
    # kinds of values that MLflow's server fails on, or changes
    ("a mask", np.ma.masked_array(ONES, ONES == 1), MATRIX, "got numpy.ma.MaskedArray: fill it"),
    (
        "a mask inside",
        [{"k": np.ma.masked_array([1], [True])}],
        ANY,
        "[0].k: expected what JSON can hold, got numpy.ma.Masked",
    ),
    ("bytes", np.array([b"a"]), gives(tensor("bytes", -1)), "got bytes: declare the type binary"),
    ("bytes for texts", ["a", b"a"], TEXTS, "[1]: expected what JSON can hold, got bytes"),
    ("complex numbers", np.array([1j]), gives(tensor("complex128", -1)), "got an array of complex128"),
    ("long doubles", np.ones(2, "longdouble"), gives(tensor("float64", -1)), "got an array of float128"),
    (
        "times of numpy",
        {"t": np.array(["2020-01-01"], "datetime64[ns]")},
        DATES,
        '"t": expected what JSON can hold, got an',
    ),
    (
        "spans of time",
        pd.DataFrame({"v": pd.to_timedelta([5], "s")}),
        LONG,
        '"v": [0]: expected what JSON can hold, got pandas',
    ),
    (
        "a missing whole number",
        pd.DataFrame({"v": pd.array([1, None], "Int64")}),
        LONG,
        '"v": [1]: expected what JSON can',
    ),
    ("a missing truth", pd.DataFrame({"v": pd.array([None], "boolean")}), LONG, "got pandas.NA: take None"),
    (
        "a missing time",
        pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None])}),
        DATES,
        '"t": [1]: expected what JSON',
    ),
    ("a time zone", pd.DataFrame({"t": pd.to_datetime(["2020-01-01T00:00+02:00"])}), DATES, "without a time zone"),
    ("decimals", pd.DataFrame({"v": [Decimal("0.1")]}), NUMBER, "got decimal.Decimal: take float or str"),
    ("a set", [{"k": {1}}], ANY, "[0].k: expected what JSON can hold, got set"),
    ("an enum", [Phase.G1], TEXTS, "Phase"),
    ("a table inside", {"k": FRAME}, ANY, '"k": expected what JSON can hold, got pandas.DataFrame'),
    ("a Series in a dict", {"v": pd.Series([0.5])}, NUMBER, '"v": expected what JSON can hold, got pandas.Series'),
    (
        "a NaN inside",
        [{"k": (1.0, np.nan)}],
        ANY,
        "[0].k[1]: expected what JSON can hold, got NaN or an infinity: the model",
    ),
    (
        "an infinity in a list",
        [{"v": [np.inf], "m": {"p": 1}}],
        NESTED,
        '"v": [0][0]: expected what JSON can hold, got NaN',
    ),
    ("a NaN in an array inside", [{"k": np.array([np.nan], "f4")}], ANY, "[0].k: expected what JSON can hold, got NaN"),
    ("a generator", (n for n in "a"), TEXTS, "got generator"),
    ("fields", np.zeros(1, [("a", "f4")]), MATRIX, "got an array of [('a', '<f4')]"),
]


@pytest.mark.parametrize(("output", "signature", "message"), [c[1:] for c in WRONG], ids=[c[0] for c in WRONG])
def test_output_is_refused_with_its_fault_when_it_does_not_fit(output: Any, signature: Signature, message: str) -> None:
    with pytest.raises(StepError) as caught:
        hold_output(output, signature, subject="the example's output")
    assert str(caught.value).startswith("the example's output: does not fit the output signature:")
    assert message in str(caught.value)


def test_every_fault_is_named_when_there_are_several() -> None:
    with pytest.raises(StepError, match=r"(?s)wrong dtype.*wrong shape.*NaN"):
        hold_output(with_nan(np.nan).astype("float64")[:, 1:], MATRIX)


def test_nan_and_infinity_are_taken_when_the_model_allows_them() -> None:
    hold_output(with_nan(np.nan), MATRIX, allow_nan=True)
    hold_output(with_nan(np.inf), MATRIX, allow_nan=True)
    inside = [{"v": [0.5, np.nan], "m": {"p": 1}}]
    for output, signature in ((inside, NESTED), ([{"k": np.array([np.inf])}], ANY)):
        hold_output(output, signature, allow_nan=True)
        hold_output(as_array(jsonable(output), signature), signature, allow_nan=True)
        require_served(output, signature)
    with pytest.raises(StepError, match="expected long, got null"):
        hold_output([{"v": [0.5], "m": {"p": None}}], NESTED, allow_nan=True)


def test_rows_are_counted_when_their_number_is_known() -> None:
    hold_output(ONES, MATRIX, rows=2)
    hold_output(FRAME, TABLE, rows=2)
    with pytest.raises(StepError, match="expected 3 rows, got 2"):
        hold_output(ONES, MATRIX, rows=3)
    hold_output([], MATRIX, rows=0)
    with pytest.raises(StepError, match="expected 2 rows, got 0"):
        hold_output(FRAME[:0], TABLE, rows=2)


@pytest.mark.parametrize("output", [ONES, list(ONES), ONES[:1], ONES[:0], []])
def test_rows_are_counted_when_a_minimum_is_declared(output: Any) -> None:
    least = replace(MATRIX, minimum_rows=2)
    if len(output) == 2:
        hold_output(output, least)
    else:
        with pytest.raises(StepError, match=f"expected at least 2 rows, as MINIMUM_ROWS says, got {len(output)}"):
            hold_output(output, least)


def test_json_holds_null_when_numbers_are_not_finite() -> None:
    assert jsonable(with_nan(np.nan))[1] == [1.0, 1.0, None]
    assert jsonable(np.array([[np.inf]])) == [[None]]
    assert jsonable(pd.DataFrame({"a": [1.5, np.nan], "s": ["x", None]}))[1] == {"a": None, "s": None}
    assert jsonable({"a": np.float32("nan"), "b": [float("-inf"), pd.NaT, pd.NA]}) == {"a": None, "b": [None] * 3}


def test_json_is_what_mlflow_writes_when_the_output_is_of_a_common_kind() -> None:
    from io import StringIO

    from mlflow.pyfunc.scoring_server import predictions_to_json

    for name, output, _ in FITS:
        if name == "series for one column":
            continue  # named, and its signature is not: MLflow says the name, we do not compare it here
        text = StringIO()
        predictions_to_json(output, text)
        assert json.loads(dumps_strict({"predictions": jsonable(output)})) == json.loads(text.getvalue()), name


@pytest.mark.parametrize(("output", "signature"), [case[1:] for case in FITS], ids=[case[0] for case in FITS])
def test_output_that_fits_is_written_by_mlflows_server_as_it_is(output: Any, signature: Signature) -> None:
    require_served(output, signature)


# What a newer library may bring: nothing here knows it, and MLflow's own writing shows it.
NOT_SERVED = [
    ([Decimal("0.5")], ANY, "MLflow's server cannot write the output: got Object of type Decimal is not JSON"),
    (
        pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None])}),
        DATES,
        "another output:\n  ['t', 1]: predict None, the",
    ),
    ({"t": np.array(["2020-01-01"], "datetime64[ns]")}, DATES, "MLflow's server writes another output"),
]


@pytest.mark.parametrize(("output", "signature", "message"), NOT_SERVED)
def test_output_is_refused_when_mlflows_server_fails_on_it_or_changes_it(
    output: Any, signature: Signature, message: str
) -> None:
    with pytest.raises(StepError, match=re.escape(message)):
        require_served(output, signature)


REFUSED = [
    ([[1.0, 2.0, "3"]], MATRIX, "expected float32, got <U"),
    ([[1.0, 2.0, True], [1.0, "x", None]], MATRIX, "expected float32, got object"),
    ([[1.0], [1.0, 2.0]], MATRIX, "do not fit"),
    ([1.5], gives(tensor("int64", -1)), "expected int64, got float64"),
    ([2**40], gives(tensor("int32", -1)), "out of its range"),
    ([1], gives(tensor("bool", -1)), "expected bool, got int64"),
    ("x", gives(Field(None, Scalar("string"))), "expected a list, got a str"),
]


@pytest.mark.parametrize(("predictions", "signature", "message"), REFUSED)
def test_predictions_are_refused_when_json_holds_another_type(
    predictions: Any, signature: Signature, message: str
) -> None:
    with pytest.raises(StepError, match="predictions: do not fit") as caught:
        as_array(predictions, signature)
    assert message in str(caught.value)


def test_null_is_nan_when_the_output_is_of_floats() -> None:
    made = as_array([[1.0, None, 3]], MATRIX)
    assert isinstance(made, np.ndarray)
    assert made.dtype == np.float32
    assert np.array_equal(made, np.array([[1, np.nan, 3]], "float32"), equal_nan=True)


def objects(*values: Any) -> Any:
    made = np.empty(len(values), object)
    made[:] = values
    return made


def test_outputs_agree_when_floats_are_within_the_tolerance() -> None:
    expected, got = np.array([1.0, 0.0, np.nan, np.inf]), np.array([1.000009, 0.0, np.nan, np.inf])
    found = compare(expected, got, Tolerance())
    assert found.agrees
    assert found.max_absolute == pytest.approx(9e-6)
    assert found.max_relative == pytest.approx(9e-6)
    assert not compare(expected, got, Tolerance(rtol=1e-6)).agrees
    assert compare(expected, got, Tolerance(rtol=0, atol=1e-5)).agrees
    assert compare(objects({"p": [1.0, "a", None]}), objects({"p": [1.0000001, "a", None]}), Tolerance()).agrees


def test_first_cells_are_shown_when_many_differ() -> None:
    expected = np.zeros((10, 3), "float32")
    got = expected.copy()
    got[4:, 1] = 0.5
    found = compare(expected, got, Tolerance())
    assert not found.agrees
    assert (found.differing_cells, found.max_absolute, found.max_relative) == (6, 0.5, 0.0)
    assert [(c.index, c.expected, c.got) for c in found.differing] == [((row, 1), 0.0, 0.5) for row in range(4, 9)]
    found = compare({"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2), "b": np.array([1.0, 2.0])}, Tolerance())
    assert [cell.index for cell in found.differing] == [("b", 1)]


FORMS: list[tuple[Any, Any]] = [
    (np.ones((2, 1)), np.ones((1, 2))),
    (np.ones(2, "float32"), np.ones(2, "float64")),
    ({"a": np.ones(2)}, {"b": np.ones(2)}),
]


@pytest.mark.parametrize(("expected", "got"), FORMS)
def test_outputs_differ_when_the_form_does(expected: Any, got: Any) -> None:
    found = compare(expected, got, Tolerance())
    assert (found.agrees, found.differing_cells) == (False, 0)
    assert found.fault.startswith("expected ")


MOST, INF = sys.float_info.max, np.inf
# By name: two outputs, how many cells differ, and by how much at most.
LARGEST: dict[str, tuple[Any, Any, int, tuple[float | None, float | None]]] = {
    "integers": (np.array([1, 2]), np.array([1, 2002]), 1, (2000.0, 1000.0)),
    "the same integers": (np.array([3]), np.array([3]), 0, (0.0, 0.0)),
    "the largest integers": (np.array([2**63 - 1]), np.array([2**63 - 2]), 1, (1.0, 1 / (2**63 - 1))),
    "texts of numpy": (np.array(["a"]), np.array(["b"]), 1, (None, None)),
    "small integers": (np.array([-128], "int8"), np.array([127], "int8"), 1, (255.0, 255 / 128)),
    "unsigned integers": (np.array([0, 255], "uint8"), np.array([1, 0], "uint8"), 2, (255.0, 1.0)),
    "integers at the ends": (np.array([-(2**63)]), np.array([2**63 - 1]), 1, (2.0**64, 2.0)),
    "booleans": (np.array([True, False]), np.array([True, True]), 1, (1.0, 0.0)),
    "lists of floats": (objects([2.0, 1.0], [4.0]), objects([3.0, 1.0], [4.0]), 1, (1.0, 0.5)),
    "integers in objects": (objects({"p": [1, None, "a"]}), objects({"p": [3, None, "a"]}), 1, (2.0, 2.0)),
    "keys": (objects({"p": 1}, {"p": 1}), objects({"q": 1}, {"p": 1, "q": 2}), 2, (0.0, 0.0)),
    "texts": (objects("a", "a", "a"), objects("b", None, "a"), 2, (None, None)),
    "lists of two lengths": (objects([1.0]), objects([1.0, 2.0]), 1, (None, None)),
    "not finite": (np.array([np.nan, INF, 1.0, INF]), np.array([1.0, 1.0, INF, -INF]), 4, (None, None)),
    "an infinity, a number": (np.array([INF, 1.0]), np.array([0.0, 1.5]), 2, (0.5, 0.5)),
    "the two ends": (np.array([-1e308, 5e-324]), np.array([1e308, 1.0]), 2, (MOST, MOST)),
    "endless integers": (objects(10**400), objects(10**400 + 1), 1, (None, None)),
    "nothing": (np.zeros((0, 2)), np.zeros((0, 2)), 0, (None, None)),
    "the same NaN": (np.array([np.nan]), np.array([np.nan]), 0, (None, None)),
    "a table": ({"n": np.array([1]), "t": objects("b")}, {"n": np.array([4]), "t": objects("b")}, 1, (3.0, 3.0)),
}


@pytest.mark.parametrize(("expected", "got", "cells", "largest"), LARGEST.values(), ids=LARGEST)
def test_differing_cells_are_counted_and_the_largest_differences_are_over_all_numbers(
    expected: Any, got: Any, cells: int, largest: tuple[float | None, float | None]
) -> None:
    found = compare(expected, got, Tolerance())
    assert (found.agrees, found.differing_cells) == (cells == 0, cells)
    assert (found.max_absolute, found.max_relative) == largest


def test_anything_is_compared_exactly_when_the_signature_says_nothing() -> None:
    signature = gives(Field(None, Anything()))
    one, two = (as_array({"a": [1, value]}, signature) for value in ("x", "y"))
    assert compare(one, one, Tolerance()).agrees
    assert not compare(one, two, Tolerance()).agrees
