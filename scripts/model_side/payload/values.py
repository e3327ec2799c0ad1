"""Hold one JSON value to its declared type, strictly: what MLflow would coerce in silence is a fault here."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from ..model.signature import PARAM_DATE, Anything, Array, Map, Object, Scalar, Tensor, Type

SHOWN = 60
# "<long: n_cells>": what payload writes where it knows no value.
_PLACEHOLDER = re.compile(
    r"<(boolean|integer|long|float|double|string|binary|datetime|any|object|(array|map) of .*|\S+ tensor \(.*\)): .*>"
)
INTEGERS = {"integer": 32, "long": 64, "int8": 8, "int16": 16, "int32": 32, "int64": 64}
UNSIGNED = {"uint8": 8, "uint16": 16, "uint32": 32, "uint64": 64}
# The largest, what rounds to infinity from there on, and what rounds to 0 up to there.
_SINGLE = (3.4028234663852886e38, float(2**128 - 2**103), 2.0**-150)
_DOUBLE = (1.7976931348623157e308, 2**1024 - 2**970, 0.0)
_FLOATS = {
    "float": _SINGLE,
    "double": _DOUBLE,
    "float16": (65504.0, 65520.0, 2.0**-25),
    "float32": _SINGLE,
    "float64": _DOUBLE,
}
DEEPEST = 100  # lists and objects inside one another in a value of any type: MLflow copies them recursively
# A date as pandas and numpy read it alike: no time zone, which MLflow refuses or drops.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?)?", re.ASCII)
_EARLIEST, _LATEST = datetime(1677, 9, 21, 0, 12, 44), datetime(2262, 4, 11, 23, 47, 16)  # nanoseconds in 64 bits
# MLflow turns null in an optional column of these types into a value, or fails on it.
_NEVER_NULL = {"boolean", "bool", "binary", *INTEGERS, *UNSIGNED}


def faults(value: Any, type_: Type, where: str, *, required: bool = True) -> Iterator[str]:
    """Yield what is wrong with `value`, each with its place in the payload.

    Parameters
    ----------
    value : object
        As the json module reads it.
    type_ : Type
    where : str
        The place of the value, for the messages.
    required : bool
        False where null may stand for an absent value.
    """
    if is_placeholder(value):
        yield f"{where}: still the placeholder {show(value)}: put a real value there"
    elif value is None and not isinstance(type_, Anything):
        yield from _null_faults(type_, where, required=required)
    else:
        yield from _CHECKS[type(type_)](value, type_, where)


def placeholder(type_: Type, name: str) -> str:
    """Return the text that stands for a value that only a person can know."""
    return f"<{type_}: {name}>"


def is_placeholder(value: Any) -> bool:
    """Return whether `value` is a placeholder as `placeholder` writes it."""
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None


def show(value: Any) -> str:
    """Return `value` as JSON text, short enough for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a hint at the nearest known name, or at all of them."""
    near = get_close_matches(name, known, 1)
    return f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}"


def _null_faults(type_: Type, where: str, *, required: bool) -> Iterator[str]:
    if required:
        yield f"{where}: expected {type_}, got null"
    elif isinstance(type_, Scalar) and type_.name in _NEVER_NULL:
        yield f"{where}: null cannot stand in a column of type {type_}: leave the column out"


def _scalar_faults(value: Any, type_: Scalar, where: str) -> Iterator[str]:
    expected = _expected(value, type_.name)
    if expected:
        yield f"{where}: expected {expected}, got {show(value)}"


def _array_faults(value: Any, type_: Array, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}: expected {type_}, got {show(value)}"
        return
    for index, item in enumerate(value):
        yield from faults(item, type_.items, f"{where}[{index}]")


def _object_faults(value: Any, type_: Object, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: expected an object, got {show(value)}"
        return
    known = {str(each.name): each for each in type_.properties}
    for name in value.keys() - known.keys():
        yield f'{where}: unknown property "{name}": {did_you_mean(name, list(known))}'
    for name, each in known.items():
        if value.get(name) is None and name in value and not each.required:
            continue
        if name in value:
            yield from faults(value[name], each.type, f"{where}.{name}", required=each.required)
        elif each.required:
            yield f'{where}: property "{name}" is missing: expected {each.type}'


def _map_faults(value: Any, type_: Map, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: expected {type_}, got {show(value)}"
        return
    for key, item in value.items():
        yield from faults(item, type_.values, f"{where}.{key}")


def _any_faults(value: Any, type_: Anything, where: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {show(value)} is not JSON"
    elif isinstance(value, str) and not _is_text(value):
        yield f"{where}: expected text that UTF-8 can hold, got {show(value)}"
    elif isinstance(value, list | dict) and depth == DEEPEST:
        yield f"{where[:SHOWN]}…: expected at most {DEEPEST} lists and objects inside one another"
    elif isinstance(value, list | dict):
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            yield from _any_faults(item, type_, f"{where}[{json.dumps(key)}]", depth + 1)


def _tensor_faults(value: Any, type_: Tensor, where: str) -> Iterator[str]:
    yield from _level_faults(value, type_, where, list(type_.shape), 0)


def _level_faults(value: Any, type_: Tensor, where: str, lengths: list[int], depth: int) -> Iterator[str]:
    """Check one dimension and those below; `lengths` learns each free length from the first list that it meets."""
    if depth == len(lengths) or is_placeholder(value):
        yield from faults(value, type_.dtype, where)
    elif not isinstance(value, list):
        yield f"{where}: expected {len(lengths) - depth} more nested lists for a {type_}, got {show(value)}"
    elif lengths[depth] not in (-1, len(value)):
        yield f"{where}: expected {lengths[depth]} items for a {type_}, got {len(value)}"
    else:
        lengths[depth] = len(value)
        for index, item in enumerate(value):
            yield from _level_faults(item, type_, f"{where}[{index}]", lengths, depth + 1)


_CHECKS: dict[type, Callable[..., Iterator[str]]] = {
    Scalar: _scalar_faults,
    Array: _array_faults,
    Object: _object_faults,
    Map: _map_faults,
    Anything: _any_faults,
    Tensor: _tensor_faults,
}


def _expected(value: Any, name: str) -> str:
    """Return what a scalar of that type would have been, or nothing where `value` is one."""
    if name in INTEGERS or name in UNSIGNED:
        return _expected_integer(value, name)
    if name in _FLOATS:
        return _expected_float(value, name)
    match name:
        case "boolean" | "bool":
            return "" if isinstance(value, bool) else "true or false"
        case "binary":
            return "" if _is_base64(value) else "text in base64"
        case _ if name.startswith("datetime"):
            return _expected_datetime(value, name)
        case _ if name in ("string", "str", "bytes", "unicode") or name[:2] in ("<U", "|S"):
            return _expected_text(value)
    return ""


def _expected_text(value: Any) -> str:
    if not isinstance(value, str):
        return "a string"
    return "" if _is_text(value) else "text that UTF-8 can hold"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _expected_integer(value: Any, name: str) -> str:
    bits = INTEGERS.get(name)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else (0, 2 ** UNSIGNED[name] - 1)
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{name}, a whole number"
    return "" if low <= value <= high else f"{name}, from {low} to {high}"


def _expected_float(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name}, a number"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name}, a finite number"
    largest, infinite, zero = _FLOATS[name]
    if abs(value) >= infinite:
        return f"{name}, at most {largest:.3g} in size"
    return f"{name}, which cannot tell this from 0" if 0 < abs(value) <= zero else ""


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _expected_datetime(value: Any, name: str) -> str:
    expected = "a date and time, 2020-01-31T23:59:59, without a time zone"
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return expected
    try:
        date = datetime.fromisoformat(value[:19])
    except ValueError:
        return expected
    if name == PARAM_DATE.name:
        return "" if len(value.partition(".")[2]) <= 6 else "a date and time with at most 6 digits of a second"
    return "" if _EARLIEST <= date < _LATEST else f"a date and time from {_EARLIEST} to {_LATEST}"
