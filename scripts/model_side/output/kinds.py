"""Judge an output, or an input example, as it is: names, an index and values that not every route carries."""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..payload.values import show

_PLAIN = (str, int, float, bool, bytes, bytearray, datetime.date, datetime.time, type(None))
_BYTES = "bytes"
_NOT_FINITE = "NaN or an infinity"
MISSING = {"NAType": "pandas.NA", "NaTType": "pandas.NaT"}  # pandas' missing values, by the names of their types
_NONE = "take None in a column of objects"
# What to give instead of a kind of value.
_INSTEAD = {
    "pandas.Series": "take its to_numpy()",
    "pandas.DataFrame": "take its to_dict('list')",
    "numpy.ma.MaskedArray": "fill it, for example by .filled(numpy.nan), with ALLOW_NAN",
    "pandas.NA": f"{_NONE}, or NaN in one of float64, with ALLOW_NAN",
    "pandas.NaT": f'MLflow would serve the text "NaT": {_NONE}',
    "decimal.Decimal": "take float or str",
    "an array of complex": "take two real numbers",
    "an array of timedelta64": "take seconds",
    "an array of datetime64[ns]": 'MLflow would serve whole numbers: take a DataFrame, or .astype("datetime64[us]")',
    _NOT_FINITE: "the model does not declare ALLOW_NAN",
    _BYTES: "declare the type binary for them, or take text",
}


def form_faults(output: Any) -> Iterator[str]:
    """Yield names of an output that are one in JSON, and an index, which MLflow serves nobody.

    Parameters
    ----------
    output : object
        What predict returned, or an input example.
    """
    if is_frame(output):
        yield from _name_faults(output.columns)
    if is_frame(output) or is_series(output):
        yield from _index_faults(output.index)
    for row in output if isinstance(output, list) else [output]:
        if isinstance(row, Mapping):
            yield from _name_faults(row) if isinstance(row, dict) else [_fault(_type_name(row))]
            columns = {name: each for name, each in row.items() if is_series(each) or is_frame(each)}
            yield from (f"{show(name)}: {_fault(_type_name(each))}" for name, each in columns.items())


def value_faults(value: Any, *, binary: bool = False, finite: bool = False) -> Iterator[str]:
    """Yield each kind of value that MLflow's server fails on or changes, with the place of the first.

    Parameters
    ----------
    value : object
        A part of an output, or an input example.
    binary : bool
        Whether bytes are declared: MLflow writes them in base64.
    finite : bool
        Whether NaN and infinities are among these kinds: MLflow writes them bare, which is not JSON.
    """
    if is_frame(value):
        for number, name in enumerate(value.columns):
            yield from (
                f"{show(name)}: {each}" for each in value_faults(value.iloc[:, number], binary=binary, finite=finite)
            )
        return
    places: dict[str, str] = {}
    for place, kind in _series_kinds(value) if is_series(value) else _kinds(value, ""):
        places.setdefault(kind, place)
    for kind, place in places.items():
        if not ((kind == _BYTES and binary) or (kind == _NOT_FINITE and not finite)):
            yield f"{place}{': ' if place else ''}{_fault(kind)}"


def is_series(value: object) -> bool:
    """Return whether `value` is a pandas Series, without importing pandas."""
    return hasattr(value, "iloc") and hasattr(value, "to_frame")


def is_frame(value: object) -> bool:
    """Return whether `value` is a pandas DataFrame, without importing pandas."""
    return hasattr(value, "iloc") and hasattr(value, "columns")


def _fault(kind: str) -> str:
    instead = next((f": {text}" for name, text in _INSTEAD.items() if kind.startswith(name)), "")
    return f"expected what JSON can hold, got {kind}{instead}"


def _name_faults(names: Iterable[Any]) -> Iterator[str]:
    texts: dict[str, Any] = {}
    for name in names:
        if not isinstance(name, str) and type(name) is not int:
            yield f"expected names that are texts, got {name!r}: JSON has no other"
        elif str(name) not in texts:
            texts[str(name)] = name
        elif texts[str(name)] == name:
            yield f"two columns are called {show(name)}: JSON keeps one of them: give each a name of its own"
        else:
            yield f"the names {show(texts[str(name)])} and {show(name)} are one in JSON: give each a name of its own"


def _index_faults(index: Any) -> Iterator[str]:
    count = len(index)
    if count and not (index.dtype.kind in "iu" and np.array_equal(index.to_numpy(), np.arange(count))):
        advice = "take it as a column, which the signature declares, or drop it by reset_index(drop=True)"
        yield f"expected the default index, 0 to {count - 1}, got {index[0]!r} first: MLflow serves no index: {advice}"


def _series_kinds(series: Any) -> Iterator[tuple[str, str]]:
    """Yield as `_kinds` does; numbers without a missing one need no look."""
    return iter(()) if series.dtype.kind in "biu" and not series.hasnans else _items(series.tolist(), "")


def _kinds(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield where there is a kind of value that not all routes carry, and its name."""
    if isinstance(value, np.ndarray | np.generic):
        if kind := _array_kind(value):
            yield place, kind
        elif value.dtype.kind == "O":
            yield from _items(value.tolist(), place) if value.ndim else _kinds(value.item(), place)
    elif isinstance(value, list | tuple):
        yield from _items(value, place)
    elif isinstance(value, dict):
        yield from ((place, f"an object in which {fault}") for fault in _name_faults(value))
        for key, item in value.items():
            yield from _kinds(item, f"{place}.{key}")
    elif isinstance(value, bytes | bytearray):
        yield place, _BYTES
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, _NOT_FINITE
    elif not isinstance(value, _PLAIN) or isinstance(value, enum.Enum) or type(value).__name__ in MISSING:
        yield place, _type_name(value)


def _items(values: Iterable[Any], place: str) -> Iterator[tuple[str, str]]:
    for number, item in enumerate(values):
        if type(item) not in (str, int):  # of the most there is nothing to say
            yield from _kinds(item, f"{place}[{number}]")


def _array_kind(array: Any) -> str:
    """Return the name of an array's kind where MLflow's server fails on it or changes it, else nothing."""
    dtype = array.dtype
    if isinstance(array, np.ma.MaskedArray):
        return "numpy.ma.MaskedArray"
    if dtype.kind == "S":
        return _BYTES
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return "" if np.isfinite(array).all() else _NOT_FINITE
    too_fine = dtype.kind == "M" and np.datetime_data(dtype)[0] in ("ns", "ps", "fs", "as")
    return f"an array of {dtype}" if dtype.kind in "fcmV" or too_fine else ""


def _type_name(value: object) -> str:
    """Return the name of a type and of its library: where in the library it is differs between releases."""
    library = type(value).__module__.partition(".")[0]
    name = type(value).__qualname__
    return MISSING.get(name) or (name if library == "builtins" else f"{library}.{name}")
