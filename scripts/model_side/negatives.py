"""Payloads that must be refused, each one fault away from a payload that fits."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .payload_forms import FORMS, Row, read_form, write_form
from .payloads import payload_faults
from .signatures import Array, Field, Scalar, Signature, Tensor


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


# What MLflow would coerce, or what cannot be held, by type.
_WRONG: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "integer": (("fraction", 1.7), ("too-large", 2**40), ("text", "1")),
    "long": (("fraction", 1.7), ("too-large", 2**70), ("text", "1")),
    "float": (("too-large", 1e300), ("too-small", 1e-60), ("text", "1.5"), ("nan", math.nan)),
    "double": (("text", "1.5"), ("nan", math.nan)),
    "boolean": (("text", "false"), ("number", 1)),
    "string": (("number", 1), ("nul-at-the-end", "a\0")),
    "datetime": (("not-a-date", "yesterday"), ("with-a-zone", "2020-01-01T00:00:00+02:00"), ("number", 0)),
    "binary": (("not-base64", "%%%"), ("number", 1)),
}
_OF_NUMPY = {
    "int32": "integer",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "bool": "boolean",
    "str": "string",
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

    def with_rows(name: str, why: str, changed: list[Row]) -> Negative:
        return Negative(name, why, {**payload, form: write_form(form, changed, signature)})

    for number, column in enumerate(signature.inputs):
        key: str | int = number if column.name is None else column.name
        label = str(key)
        if column.required and column.name is not None and len(signature.inputs) > 1:
            yield with_rows(f"missing-{label}", f'"{label}" is missing', [_without(row, key) for row in rows])
        if column.required:
            yield with_rows(f"null-{label}", f'null in "{label}"', [{**rows[0], key: None}, *rows[1:]])
        for kind, value in _wrong(column):
            yield with_rows(f"{kind}-{label}", f'{kind} in "{label}"', [{**rows[0], key: value}, *rows[1:]])


def _of_params(payload: Mapping[str, Any], signature: Signature) -> Iterator[Negative]:
    given = payload.get("params") or {}
    yield Negative(
        "unknown-param", "a param that the model does not have", {**payload, "params": {**given, "no_such": 1}}
    )
    for param in signature.params:
        kinds = _WRONG.get(param.type.name, ()) if isinstance(param.type, Scalar) else (("not-a-list", 1),)
        for kind, value in kinds:
            changed = {**payload, "params": {**given, param.name: value}}
            yield Negative(f"{kind}-param-{param.name}", f'{kind} in param "{param.name}"', changed)


def _wrong(column: Field) -> Iterator[tuple[str, Any]]:
    match column.type:
        case Scalar(name):
            yield from _WRONG.get(name, ())
        case Array(items):
            yield "not-a-list", 1
            yield from ((f"item-{kind}", [value]) for kind, value in _WRONG.get(str(items), ()))
        case Tensor() as tensor:
            row = tensor.row()
            yield "too-deep", _nested(row, 0, extra=1)
            for kind, value in _WRONG.get(_OF_NUMPY.get(tensor.dtype.name, tensor.dtype.name), ()):
                yield kind, _nested(row, value)
        case _:
            yield "number", 1


def _nested(tensor: Tensor, value: Any, extra: int = 0) -> Any:
    made = value
    for length in (*(1,) * extra, *reversed(tensor.shape)):
        made = [copy.copy(made) for _ in range(max(1, length))]
    return made


def _without(row: Row, key: str | int) -> Row:
    return {name: value for name, value in row.items() if name != key}


def _form(payload: Mapping[str, Any]) -> str:
    return next(form for form in FORMS if form in payload)
