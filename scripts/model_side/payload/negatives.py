"""Payloads that must be refused, each one fault away from a payload that fits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model.signature import Anything, Array, Field, Map, Object, Scalar, Signature, Tensor, Type
from .forms import FORMS, Row, read_form, write_form
from .payload import payload_faults
from .values import INTEGERS, UNSIGNED


@dataclass(frozen=True)
class Negative:
    """A payload that must be refused.

    Parameters
    ----------
    name : str
        Fit for a file's name.
    why : str
        What is wrong with it.
    payload : mapping
    """

    name: str
    why: str
    payload: dict[str, Any]


MOST_ALIKE = 3  # columns of one type that are made wrong: a table may have thousands
Faulty = tuple[str, Any]  # what is wrong with a value, and the value
_UNKNOWN = "no_such"  # a name that nothing has
_NOT_FINITE: tuple[Faulty, ...] = (("nan", math.nan), ("infinity", math.inf))
_DATE: tuple[Faulty, ...] = (("not-a-date", "yesterday"), ("with-a-zone", "2020-01-01T00:00:00+02:00"), ("number", 0))
# What MLflow would coerce, or what cannot be held, by type; numpy's and MLflow's names for one type stand together.
_WRONG: Mapping[str, tuple[Faulty, ...]] = {
    **dict.fromkeys(("double", "float64"), (("text", "1.5"), *_NOT_FINITE)),
    **dict.fromkeys(
        ("float", "float16", "float32"), (("too-large", 1e300), ("too-small", 1e-60), ("text", "1.5"), *_NOT_FINITE)
    ),
    **dict.fromkeys(("boolean", "bool"), (("text", "false"), ("number", 1))),
    **dict.fromkeys(("string", "str"), (("number", 1), ("nul-at-the-end", "a\0"))),
    **{name: (("fraction", 1.7), ("too-large", 2**bits), ("text", "1")) for name, bits in INTEGERS.items()},
    **{
        name: (("fraction", 1.7), ("too-large", 2**bits), ("negative", -1), ("text", "1"))
        for name, bits in UNSIGNED.items()
    },
    "datetime": _DATE,
    "binary": (("not-base64", "%%%"), ("number", 1)),
}


def negative_payloads(payload: Mapping[str, Any], signature: Signature) -> tuple[Negative, ...]:
    """Return what must be refused, derived from a payload that fits.

    Parameters
    ----------
    payload : mapping
        Its values serve for everything but the one fault of each case.
    signature : Signature
    """
    made = (*_of_form(payload), *_of_columns(payload, signature), *_of_params(payload, signature))
    return tuple(each for each in made if any(payload_faults(each.payload, signature)))


def _of_form(payload: Mapping[str, Any]) -> Iterator[Negative]:
    form, params = _form(payload), {"params": payload["params"]} if "params" in payload else {}
    yield Negative("no-data", "no key says what the data is", dict(params))
    yield Negative("unknown-key", "a key that the protocol does not have", {**payload, "dataframe_splt": {}})
    yield Negative("two-formats", "the data twice", {**payload, next(key for key in FORMS if key != form): []})
    yield Negative("data-null", "null for the data", {**payload, form: None})


def _of_columns(payload: Mapping[str, Any], signature: Signature) -> Iterator[Negative]:
    form = _form(payload)
    rows = read_form(form, payload[form], signature).rows()
    if not rows:
        return

    def with_rows(name: str, why: str, changed: list[Row], shape: Signature = signature) -> Negative:
        return Negative(name, why, {**payload, form: write_form(form, changed, shape)})

    first, *others = rows
    alike = Counter[tuple[Type, bool]]()
    for number, column in enumerate(signature.inputs):
        alike[column.type, column.required] += 1
        if alike[column.type, column.required] > MOST_ALIKE:
            continue
        key: str | int = number if column.name is None else column.name
        label = str(key)
        if column.required and column.name is not None:
            less = replace(signature, inputs=tuple(each for each in signature.inputs if each is not column))
            yield with_rows(f"missing-{label}", f'"{label}" is missing', [_without(row, key) for row in rows], less)
        if column.required and not isinstance(column.type, Tensor):
            yield with_rows(f"null-{label}", f'null in "{label}"', [{**first, key: None}, *others])
        for kind, value in _wrong(first.get(key), column.type):
            yield with_rows(f"{kind}-{label}", f'{kind} in "{label}"', [{**first, key: value}, *others])
        if isinstance(column.type, Tensor) and len(column.type.shape) > 1:
            wide = [{**row, key: _wider(row[key])} for row in rows]
            yield with_rows(f"too-wide-{label}", f'one item more in each row of "{label}"', wide)
            yield with_rows(f"ragged-{label}", f'rows of two lengths in "{label}"', [wide[0], *others])
    if not signature.from_type_hint and not (signature.is_tensors and not signature.is_named):
        yield with_rows("unknown-column", "a column that the model does not have", *_one_more(rows, signature))


def _one_more(rows: list[Row], signature: Signature) -> tuple[list[Row], Signature]:
    """Return the rows and the signature with the first column once more, under another name."""
    first = signature.inputs[0]
    given: str | int = 0 if first.name is None else first.name
    key = len(signature.inputs) if first.name is None else _UNKNOWN
    more = Field(None if first.name is None else _UNKNOWN, first.type)
    return [{**row, key: row.get(given)} for row in rows], replace(signature, inputs=(*signature.inputs, more))


def _of_params(payload: Mapping[str, Any], signature: Signature) -> Iterator[Negative]:
    given = payload.get("params") or {}
    yield Negative(
        "unknown-param", "a param that the model does not have", {**payload, "params": {**given, _UNKNOWN: 1}}
    )
    for param in signature.params:
        for kind, value in _wrong(given.get(param.name, param.default), param.type):
            changed = {**payload, "params": {**given, param.name: value}}
            yield Negative(f"{kind}-param-{param.name}", f'{kind} in param "{param.name}"', changed)


def _wrong(value: Any, type_: Type) -> Iterator[Faulty]:
    """Yield values that are each one fault away from one that fits, null where there is none."""
    match type_:
        case Scalar(name):
            yield from _DATE if name.startswith("datetime") else _WRONG.get(name, (("number", 1),))
        case Anything():
            yield from _NOT_FINITE
        case Array(items):
            yield "not-a-list", 1
            first, *others = value or [None]
            yield from ((f"item-{kind}", [bad, *others]) for kind, bad in _wrong_inside(first, items))
        case Map(values):
            yield "not-an-object", 1
            given: Mapping[str, Any] = value or {}
            key = next(iter(given), "key")
            yield from ((f"value-{kind}", {**given, key: bad}) for kind, bad in _wrong_inside(given.get(key), values))
        case Object(properties):
            yield "not-an-object", 1
            yield from _wrong_object(value or {}, properties)
        case Tensor(dtype):
            yield "too-deep", [value]
            yield from ((kind, _with_leaf(value, bad)) for kind, bad in _wrong_inside(None, dtype))


def _wrong_inside(value: Any, type_: Type) -> Iterator[Faulty]:
    yield "null", None
    yield from _wrong(value, type_)


def _wrong_object(value: Mapping[str, Any], properties: tuple[Field, ...]) -> Iterator[Faulty]:
    yield "unknown-property", {**value, _UNKNOWN: 1}
    for each in properties:
        name = str(each.name)
        if each.required:
            yield f"missing-{name}-of", {key: kept for key, kept in value.items() if key != name}
        inside = _wrong_inside(value.get(name), each.type) if each.required else _wrong(value.get(name), each.type)
        yield from ((f"{kind}-{name}-of", {**value, name: bad}) for kind, bad in inside)


def _with_leaf(value: Any, bad: Any) -> Any:
    """Return a tensor's row with its first number, or text, changed."""
    if isinstance(value, list) and value:
        return [_with_leaf(value[0], bad), *value[1:]]
    return bad


def _wider(row: list[Any]) -> list[Any]:
    return [*row, *row[-1:]]


def _without(row: Row, key: str | int) -> Row:
    return {name: value for name, value in row.items() if name != key}


def _form(payload: Mapping[str, Any]) -> str:
    return next(form for form in FORMS if form in payload)
