"""Payloads that must be refused, each one fault away from a payload that fits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model.signature import Anything, Array, Field, Map, Object, Scalar, Signature, Tensor, Type
from .carried import FORMS
from .forms import Key, Row, content_of, form_of_payload, write_form
from .payload import payload_faults
from .values import INTEGERS


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
_DOUBLE: tuple[Faulty, ...] = (("text", "1.5"), *_NOT_FINITE)
_SINGLE: tuple[Faulty, ...] = (("too-large", 1e300), ("too-small", 1e-60), *_DOUBLE)
# What MLflow would coerce, or what cannot be held, by type; numpy's and MLflow's names for one type are together. What
# fits a type all the same, -1 in a signed one, makes no negative.
_WRONG: Mapping[str, tuple[Faulty, ...]] = {
    **dict.fromkeys(("double", "float64"), _DOUBLE),
    **dict.fromkeys(("float", "float16", "float32"), _SINGLE),
    **dict.fromkeys(("boolean", "bool"), (("text", "false"), ("number", 1))),
    **dict.fromkeys(("string", "str"), (("number", 1), ("nul-at-the-end", "a\0"))),
    **{name: (("fraction", 1.7), ("too-large", high - low + 1), ("negative", -1), ("text", "1"))
       for name, (low, high) in INTEGERS.items()},
    "binary": (("not-base64", "%%%"), ("number", 1)),
}  # fmt: skip


# What MLflow of these major versions lets through to columns and tensors that no type hint declares, by how the names
# of the negatives start: it makes numbers of texts and texts of numbers, and drops the column.
_COERCED: Mapping[str, tuple[str, ...]] = {"3": ("text-", "number-", "not-base64-", "unknown-column")}


def is_known_to_be_coerced(negative: Negative, signature: Signature, mlflow: str) -> bool:
    """Return whether a version of MLflow is known to let a negative through to the model."""
    starts = _COERCED.get(mlflow.partition(".")[0], ())
    is_simple = all(isinstance(each.type, Scalar | Tensor) for each in signature.inputs)
    return is_simple and not signature.from_type_hint and negative.name.startswith(starts)


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
    form, params = form_of_payload(payload), {"params": payload["params"]} if "params" in payload else {}
    yield Negative("no-data", "no key says what the data is", dict(params))
    yield Negative("unknown-key", "a key that the protocol does not have", {**payload, "dataframe_splt": {}})
    yield Negative("two-formats", "the data twice", {**payload, next(key for key in FORMS if key != form): []})
    yield Negative("data-null", "null for the data", {**payload, form: None})


def _of_columns(payload: Mapping[str, Any], signature: Signature) -> Iterator[Negative]:
    form, rows = form_of_payload(payload), content_of(payload, signature).rows()
    if not rows:
        return

    def with_rows(name: str, why: str, changed: list[Row], shape: Signature = signature) -> Negative:
        return Negative(name, why, {**payload, form: write_form(form, changed, shape)})

    alike = Counter[tuple[Type, bool]]()
    for key, column in signature.columns.items():
        alike[column.type, column.required] += 1
        if alike[column.type, column.required] > MOST_ALIKE:
            continue
        if column.required and column.name is not None:
            without = [{name: value for name, value in row.items() if name != key} for row in rows]
            yield with_rows(f"missing-{key}", f'"{key}" is missing', without)
        null = column.required and not isinstance(column.type, Tensor)
        for kind, value in _wrong(rows[0].get(key), column.type, null=null):
            yield with_rows(f"{kind}-{key}", f'{kind} in "{key}"', [{**rows[0], key: value}, *rows[1:]])
        if isinstance(column.type, Tensor) and len(column.type.shape) > 1:
            wide = [{**row, key: [*row[key], *row[key][-1:]]} for row in rows]
            yield with_rows(f"too-wide-{key}", f'one item more in each row of "{key}"', wide)
            yield with_rows(f"ragged-{key}", f'rows of two lengths in "{key}"', [wide[0], *rows[1:]])
    if not signature.from_type_hint and (signature.is_named or not signature.is_tensors):
        yield with_rows("unknown-column", "a column that the model does not have", *_one_more(rows, signature))


def _one_more(rows: list[Row], signature: Signature) -> tuple[list[Row], Signature]:
    """Return the rows and the signature with the first column once more, under another name."""
    first, column = next(iter(signature.columns.items()))
    more: Key = len(signature.inputs) if column.name is None else _UNKNOWN
    added = Field(None if column.name is None else _UNKNOWN, column.type)
    return [{**row, more: row.get(first)} for row in rows], replace(signature, inputs=(*signature.inputs, added))


def _of_params(payload: Mapping[str, Any], signature: Signature) -> Iterator[Negative]:
    params = payload.get("params") or {}
    unknown = {**payload, "params": {**params, _UNKNOWN: 1}}
    yield Negative("unknown-param", "a param that the model does not have", unknown)
    for param in signature.params:
        for kind, value in _wrong(params.get(param.name, param.default), param.type):
            changed = {**payload, "params": {**params, param.name: value}}
            yield Negative(f"{kind}-param-{param.name}", f'{kind} in param "{param.name}"', changed)


def _wrong(value: Any, type_: Type, *, null: bool = False) -> Iterator[Faulty]:
    """Yield values that are each one fault away from one that fits, null where there is none.

    With `null`, null is one of them.
    """
    if null:
        yield "null", None
    match type_:
        case Scalar(name):
            yield from _DATE if name.startswith("datetime") else _WRONG.get(name, (("number", 1),))
        case Anything():
            yield from _NOT_FINITE
        case Array(items):
            yield "not-a-list", 1
            first, *others = value or [None]
            yield from ((f"item-{kind}", [bad, *others]) for kind, bad in _wrong(first, items, null=True))
        case Map(values):
            yield "not-an-object", 1
            entries: Mapping[str, Any] = value or {}
            key = next(iter(entries), "key")
            wrong = _wrong(entries.get(key), values, null=True)
            yield from ((f"value-{kind}", {**entries, key: bad}) for kind, bad in wrong)
        case Object(properties):
            yield "not-an-object", 1
            yield from _wrong_object(value or {}, properties)
        case Tensor(dtype):
            yield "too-deep", [value]
            yield from ((kind, _with_leaf(value, bad)) for kind, bad in _wrong(None, dtype, null=True))


def _wrong_object(value: Mapping[str, Any], properties: tuple[Field, ...]) -> Iterator[Faulty]:
    yield "unknown-property", {**value, _UNKNOWN: 1}
    for each in properties:
        name = str(each.name)
        if each.required:
            yield f"missing-{name}-of", {key: kept for key, kept in value.items() if key != name}
        wrong = _wrong(value.get(name), each.type, null=each.required)
        yield from ((f"{kind}-{name}-of", {**value, name: bad}) for kind, bad in wrong)


def _with_leaf(value: Any, bad: Any) -> Any:
    """Return a tensor's row with its first number, or text, changed."""
    if isinstance(value, list) and value:
        return [_with_leaf(value[0], bad), *value[1:]]
    return bad
