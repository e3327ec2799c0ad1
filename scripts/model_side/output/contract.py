"""Check an output against its signature: MLflow itself never does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base.errors import StepError, listed
from ..model.signature import Anything, Array, Field, Map, Object, Scalar, Signature, Tensor, Type, inner_types
from ..payload.values import faults, unknown
from .arrays import array_of, jsonable, kind_of, numpy_dtype, output_fields, parts_of, result_faults
from .kinds import form_faults, is_series, value_faults

LISTED = 20  # faults in one message


def hold_output(
    output: object,
    signature: Signature,
    *,
    allow_nan: bool = False,
    rows: int | None = None,
    subject: str = "output",
) -> None:
    """Check an output against its signature, strictly.

    Parameters
    ----------
    output : object
        What predict returned, or what `as_array` made of an answer.
    signature : Signature
    allow_nan : bool
        Whether numbers may be NaN or infinite.
    rows : int, optional
        How many rows it must have.
    subject : str
        What the output is of, for the message.

    Raises
    ------
    StepError
        With every fault.
    """
    if lines := listed(output_faults(output, signature, allow_nan=allow_nan, rows=rows), LISTED):
        raise StepError(subject, f"does not fit the output signature:{lines}")


def output_faults(
    output: object, signature: Signature, *, allow_nan: bool = False, rows: int | None = None
) -> Iterator[str]:
    """Yield what is wrong with an output."""
    fields = output_fields(signature)
    if output is None:
        yield f"expected {' and '.join(str(each.type) for each in fields.values())}, got None"
        return
    if wrong := list(form_faults(output)):
        yield from wrong
        return
    try:
        parts = parts_of(output, fields)
    except ValueError as error:
        yield str(error)
        return
    yield from (unknown("name", name, fields) for name in parts.keys() - fields.keys())
    for name, each in fields.items():
        label = "" if len(fields) == 1 and each.name is None else f'"{name}": '
        if name in parts:
            finite = isinstance(each.type, Anything | Array | Map | Object) and not allow_nan
            wrong = list(value_faults(parts[name], binary=_holds_binary(each.type), finite=finite))
            yield from (f"{label}{fault}" for fault in wrong)
            if not wrong:
                yield from _part_faults(parts[name], each, label, allow_nan=allow_nan)
                yield from _row_faults(parts[name], label, rows, signature.minimum_rows)
            yield from result_faults(parts[name], label) if signature.output_files else ()
        elif each.required:
            yield f"{label}is missing: expected {each.type}"


def _part_faults(value: Any, field: Field, label: str, *, allow_nan: bool) -> Iterator[str]:
    if not (isinstance(value, np.ndarray | list | tuple) or is_series(value)):
        yield f"{label}expected an ndarray, a list or a Series for {field.type}, got {kind_of(value)}"
        return
    if (dtype := numpy_dtype(field.type)) is not None:
        yield from _array_faults(value, dtype, field, label, allow_nan=allow_nan)
    elif isinstance(value, np.ndarray) and value.ndim != 1:
        yield f"{label}expected one value of type {field.type} per row, got shape {value.shape}"
    else:
        for number, item in enumerate(jsonable(list(value))):
            yield from faults(item, field.type, f"{label}[{number}]", required=field.required, allow_nan=allow_nan)


def _row_faults(value: Any, label: str, rows: int | None, minimum: int) -> Iterator[str]:
    """Yield that there are not as many rows as there must be; none may be right: a page may have no word."""
    if (isinstance(value, np.ndarray) and value.ndim) or isinstance(value, list | tuple) or is_series(value):
        if rows is not None and len(value) != rows:
            yield f"{label}expected {rows} rows, got {len(value)}"
        if len(value) < minimum:
            yield f"{label}expected at least {minimum} rows, as MINIMUM_ROWS says, got {len(value)}"


def _holds_binary(type_: Type) -> bool:
    return type_ == Scalar("binary") or any(map(_holds_binary, inner_types(type_)))


def _array_faults(value: Any, dtype: np.dtype[Any], field: Field, label: str, *, allow_nan: bool) -> Iterator[str]:
    try:
        array = array_of(value, field.type)
    except ValueError:
        yield f"{label}expected {field.type}, got rows of different lengths"
        return
    wanted = field.type.shape if isinstance(field.type, Tensor) else (-1,)
    if array.size and array.dtype != dtype and not (dtype.kind in "US" and array.dtype.kind == dtype.kind):
        advice = f': return numpy.asarray(output, "{dtype}")'
        got = f"a list that numpy reads as {array.dtype}{advice}" if isinstance(value, list | tuple) else array.dtype
        yield f"{label}wrong dtype: expected {dtype}, got {got}"
    if array.ndim != len(wanted) or any(w not in (-1, n) for w, n in zip(wanted, array.shape, strict=True)):
        yield f"{label}wrong shape: expected {wanted}, got {array.shape}"
    if array.dtype.kind in "fc" and not allow_nan and not (finite := np.isfinite(array)).all():
        first = tuple(int(n) for n in np.argwhere(~finite)[0])
        count = f"{int((~finite).sum())} of {array.size} values"
        yield f"{label}{count} are NaN or infinite, the first at {list(first)}; the model does not declare ALLOW_NAN"
