"""Check one JSON value against its declared type, strictly: what MLflow would coerce in silence is a fault here."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ..base.errors import near
from ..model.signature import PARAM_DATE, Anything, Array, Map, Object, Scalar, Tensor, Type

SHOWN = 60
# "<long: n_cells>": what payload writes where it knows no value.
_PLACEHOLDER = re.compile(
    r"<(boolean|integer|long|float|double|string|binary|datetime|any|object|(array|map) of .*|\S+ tensor \(.*\)): .*>"
)
# The lowest and the highest value of each type of whole numbers, MLflow's names and numpy's.
INTEGERS = dict.fromkeys(("integer", "int32"), (-(2**31), 2**31 - 1))
INTEGERS |= dict.fromkeys(("long", "int64"), (-(2**63), 2**63 - 1))
INTEGERS |= {"int8": (-(2**7), 2**7 - 1), "int16": (-(2**15), 2**15 - 1)}
INTEGERS |= {f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)}
# The largest, what rounds to infinity from there on, and what rounds to 0 up to there.
_SINGLE = (3.4028234663852886e38, float(2**128 - 2**103), 2.0**-150)
_DOUBLE = (1.7976931348623157e308, 2**1024 - 2**970, 0.0)
_HALF = (65504.0, 65520.0, 2.0**-25)
_FLOATS = {"float": _SINGLE, "double": _DOUBLE, "float16": _HALF, "float32": _SINGLE, "float64": _DOUBLE}
DEEPEST = 100  # lists and objects inside one another in a value of any type: MLflow copies them recursively
# A date as pandas and numpy read it alike: no time zone, which MLflow refuses or drops.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?)?", re.ASCII)
_EARLIEST, _LATEST = datetime(1677, 9, 21, 0, 12, 44), datetime(2262, 4, 11, 23, 47, 16)  # nanoseconds in 64 bits
# MLflow turns null in an optional column of these types into a value, or fails on it.
_NEVER_NULL = {"boolean", "bool", "binary", *INTEGERS}


def faults(
    value: Any,
    type_: Type,
    where: str,
    *,
    required: bool = True,
    shape: list[int] | None = None,
    allow_nan: bool = False,
) -> Iterator[str]:
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
    shape : list of int, optional
        Of a tensor; it learns each free length, -1, from the first list that it meets.
    allow_nan : bool
        Whether null may stand for NaN: in an output.
    """
    if is_placeholder(value):
        yield f"{where}: still the placeholder {show(value)}: put a real value there"
        return
    match type_:
        case Anything():
            yield from _any_faults(value, where)
        case Scalar("float" | "double") if value is None and allow_nan:
            return
        case _ if value is None and required:
            yield f"{where}: expected {type_}, got null"
        case Scalar(name) if value is None and name in _NEVER_NULL:
            yield f"{where}: null cannot stand in a column of type {type_}: leave the column out"
        case _ if value is None:
            return
        case Scalar(name):
            if expected := _expected(value, name):
                yield f"{where}: expected {expected}, got {show(value)}"
        case Tensor():
            yield from _level_faults(value, type_, where, shape or list(type_.shape), 0)
        case _ if not isinstance(value, list if isinstance(type_, Array) else dict):
            yield f"{where}: expected {type_}, got {show(value)}"
        case Object():
            yield from _object_faults(value, type_, where, allow_nan=allow_nan)
        case _:
            for item in children(value, type_, where):
                yield from faults(*item, allow_nan=allow_nan)


def children(value: Any, type_: Type, where: str) -> Iterator[tuple[Any, Type, str]]:
    """Yield the values right inside one that is a list or an object as its type says, each with its type and place."""
    match type_:
        case Array(inner):
            yield from ((item, inner, f"{where}[{index}]") for index, item in enumerate(value))
        case Tensor(_, (_, *_)):
            yield from ((item, type_.row(), f"{where}[{index}]") for index, item in enumerate(value))
        case Map(inner):
            yield from ((item, inner, f"{where}.{key}") for key, item in value.items())
        case Object(properties):
            yield from ((value.get(each.name), each.type, f"{where}.{each.name}") for each in properties)


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


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the fault of a name that is not known, with the nearest known one, or with all of them."""
    names = list(known)
    return f"unknown {kind} {show(name)}. {near(name, names) or 'Known: ' + (', '.join(names) or 'none')}"


def _object_faults(value: Any, type_: Object, where: str, *, allow_nan: bool) -> Iterator[str]:
    known = {str(each.name): each for each in type_.properties}
    for name in value.keys() - known.keys():
        yield f"{where}: {unknown('property', name, known)}"
    for name, each in known.items():
        if each.required and name not in value:
            yield f'{where}: property "{name}" is missing: expected {each.type}'
        elif each.required or value.get(name) is not None:
            yield from faults(value[name], each.type, f"{where}.{name}", allow_nan=allow_nan)


def _any_faults(value: Any, where: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {show(value)} is not JSON"
    elif isinstance(value, str) and not _is_text(value):
        yield f"{where}: expected text that UTF-8 can hold, got {show(value)}"
    elif isinstance(value, list | dict) and depth == DEEPEST:
        yield f"{where[:SHOWN]}…: expected at most {DEEPEST} lists and objects inside one another"
    elif isinstance(value, list | dict):
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            yield from _any_faults(item, f"{where}[{json.dumps(key)}]", depth + 1)


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


def is_text_type(name: str) -> bool:
    """Tell whether values of the type with this name, MLflow's or numpy's, are texts."""
    return name in ("string", "str", "bytes", "unicode") or name[:2] in ("<U", "|S")


def _expected(value: Any, name: str) -> str:
    """Return what a scalar of that type would have been, or nothing where `value` is one."""
    if name in INTEGERS:
        return _expected_integer(value, name)
    if name in _FLOATS:
        return _expected_float(value, name)
    if name in ("boolean", "bool"):
        return "" if isinstance(value, bool) else "true or false"
    if name.startswith("datetime"):
        return _expected_datetime(value, name)
    if name == "binary":
        return "" if _is_base64(value) else "text in base64"
    if is_text_type(name) and not isinstance(value, str):
        return "a string"
    return "" if not is_text_type(name) or _is_text(value) else "text that UTF-8 can hold"


def _expected_integer(value: Any, name: str) -> str:
    low, high = INTEGERS[name]
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


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (AttributeError, ValueError):
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
