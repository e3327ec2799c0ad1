"""Values that are of their type, and that MLflow changes, loses or refuses all the same in some formats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..model.signature import Anything, Array, Object, Scalar, Tensor, Type
from .forms import Content, Item, is_rows
from .values import children, is_text_type, show

# A data frame has nothing for a missing value of these; for those below, only where `inputs` is a list of rows.
_WHOLE = ("boolean", "integer", "long", "binary")
_WHOLE_IN_ROWS = (*_WHOLE, "float")
_TABLE = "take dataframe_split or dataframe_records"
_DOUBLE = Scalar("double")
_DIGIT = re.compile(r"\d+")


def coercion_faults(form: str, data: Any, content: Content) -> Iterator[str]:
    """Yield what MLflow would change, lose or refuse in a payload whose values fit their types."""
    signature, items = content.signature, content.items
    if signature.from_type_hint:
        return
    if content.listed and not items:
        yield f"{form}: no row has a value: MLflow would lose the rows"
    if signature.is_tensors:
        yield from _tensor_faults(form, data, items)
        return
    if form == "dataframe_records" and not data and any(each.required for each in signature.inputs):
        yield f"{form}: expected at least one row: without one MLflow finds no columns"
    rows = content.row_count()
    columns: dict[str | int, list[Item]] = {}
    for item in items:
        columns.setdefault(item.key, []).append(item)
    for column in columns.values():
        yield from _column_faults(form, column, rows, in_rows=isinstance(data, list))
    types = [type(each.type) for each in signature.inputs]
    one_row = form == "inputs" and signature.is_nested and items and not is_rows(data)
    if one_row and not {Array, Object} & set(types):
        yield f"{form}: expected a list of objects, one per row: MLflow takes a single object apart"


def _column_faults(form: str, items: Sequence[Item], rows: int, *, in_rows: bool) -> Iterator[str]:
    """Check the values of one column."""
    type_, table = items[0].column.type, form.startswith("dataframe")
    label = f"{form}: column {show(items[0].key)}"
    if len(items) < rows and in_rows and (form == "instances" or str(type_) in (_WHOLE if table else _WHOLE_IN_ROWS)):
        advice = "give it a value in every row, or leave it out of all"
        advice += "" if str(type_) in _WHOLE else f", or {_TABLE}"
        yield f"{label}: is in {len(items)} of {rows} rows: {advice}"
    if table and type_ == Scalar("datetime"):
        yield from _date_faults(items)
    if isinstance(type_, Anything):
        yield from _mixed_faults(items, label)
    for item in items:
        yield from _inner_faults(item.value, type_, item.where, in_numpy=not table)
        if item.value is None and not table:
            yield from _null_faults(item)


def _date_faults(items: Sequence[Item]) -> Iterator[str]:
    """Check that a column's dates are written alike: pandas reads them by the form of the first."""
    dates = [item for item in items if item.value is not None]
    for item in dates[1:]:
        if _DIGIT.sub("", item.value) != _DIGIT.sub("", dates[0].value):
            yield f"{item.where}: expected a date and time written as {show(dates[0].value)}, got {show(item.value)}"


def _mixed_faults(items: Sequence[Item], label: str) -> Iterator[str]:
    kinds = {type(item.value) for item in items}
    if len(kinds) > 1 and kinds <= {int, float, type(None)}:
        yield f"{label}: whole numbers, fractions and null in one column: MLflow makes all of them fractions"


def _inner_faults(value: Any, type_: Type, where: str, *, in_numpy: bool) -> Iterator[str]:
    """Check the doubles in arrays, objects and maps, and the end of texts where numpy reads them: in arrays, always."""
    if in_numpy and isinstance(value, str) and value.endswith("\0"):
        yield f"{where}: numpy cuts NUL characters off the end of a text: leave them out"
    if value is None or isinstance(type_, Scalar):
        return
    if type_ == Array(_DOUBLE):
        yield from _double_faults(value, where)
        return
    for item, inner, place in children(value, type_, where):
        if inner == _DOUBLE:
            yield from _double_faults([item], place)
        yield from _inner_faults(item, inner, place, in_numpy=isinstance(type_, Array | Tensor))


def _double_faults(values: Sequence[Any], where: str) -> Iterator[str]:
    """Check doubles that are read together: MLflow takes 2 for a long and refuses it; 0 and 1 it lets through."""
    whole = [each for each in values if isinstance(each, int) and each not in (0, 1)]
    has_fraction = any(isinstance(each, float) for each in values)
    if whole and (not has_fraction or max(map(abs, whole)) >= 2**63):
        yield f"{where}: expected a double with a decimal point, {float(whole[0])!r}, got {show(whole[0])}"


def _null_faults(item: Item) -> Iterator[str]:
    """Check a null in `inputs` or `instances`, which numpy reads."""
    type_ = item.column.type
    if type_ == Scalar("string"):
        yield f'{item.where}: MLflow would make the text "None" of null here: {_TABLE}'
    elif isinstance(type_, Array):
        yield f"{item.where}: null cannot stand for {type_} here: {_TABLE}"


def _tensor_faults(form: str, data: Any, items: Sequence[Item]) -> Iterator[str]:
    if form == "inputs" and is_rows(data) and data:
        yield f"{form}: expected one object with a list for each tensor, got a list of objects: take instances for that"
    lengths = {item.key: len(item.value) for item in items if item.spans}
    if form == "instances" and len(set(lengths.values())) > 1:
        yield f"{form}: expected tensors of one length, got {show(lengths)}"
    if not items or (0 in lengths.values() and form != "inputs"):
        yield f"{form}: expected at least one row"
    for item, tensor in ((item, item.column.type) for item in items if isinstance(item.column.type, Tensor)):
        if form == "inputs" and item.value == [] and len(tensor.shape) > 1:
            yield f"{item.where}: expected at least one row: an empty list has no shape {tensor}"
        if is_text_type(tensor.dtype.name):
            yield from _inner_faults(item.value, tensor, item.where, in_numpy=True)
