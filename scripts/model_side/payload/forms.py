"""The four request formats of MLflow's scoring protocol: read one to rows, and write rows as any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..base.errors import UsageError
from ..model.signature import Field, Signature, Tensor
from .carried import FORMS, not_carried
from .values import faults, show, unknown

Key = str | int  # a column's name, or its number where the signature has no names
Row = dict[Key, Any]
_SPLIT = ("columns", "data", "index")


@dataclass(frozen=True)
class Item:
    """One value of a payload.

    Parameters
    ----------
    where : str
        Its place, for messages.
    key : str or int
        The column's name, or its number where the signature has no names.
    column : Field
    value : object
    row : int or None
        None: the value spans all rows, as a tensor does.
    """

    where: str
    key: Key
    column: Field
    value: Any
    row: int | None

    @property
    def spans(self) -> bool:
        """Whether the value is a list with an entry for each row."""
        return self.row is None and isinstance(self.value, list)

    def faults(self, shapes: dict[Key, list[int]]) -> Iterator[str]:
        """Yield what is wrong with the value; `shapes` learns that of each tensor's first row, for the other rows."""
        type_ = self.column.type
        shape = shapes.setdefault(self.key, list(type_.shape)) if isinstance(type_, Tensor) else []
        return faults(self.value, type_, self.where, required=self.column.required, shape=shape)


@dataclass(frozen=True)
class Content:
    """What a payload holds.

    Parameters
    ----------
    signature : Signature
    form_faults : list of str
        The faults of its form, not of its values.
    items : list of Item
        Its values.
    listed : int
        How many rows it lists, with values or without.
    """

    signature: Signature
    form_faults: list[str]
    items: list[Item]
    listed: int

    def all_faults(self) -> Iterator[str]:
        """Yield every fault, of the form first."""
        yield from self.form_faults
        shapes: dict[Key, list[int]] = {}
        for item in self.items:
            yield from item.faults(shapes)

    def rows(self) -> list[Row]:
        """Return the values by row and column name, or number where the signature has no names."""
        rows: list[Row] = [{} for _ in range(self.row_count())]
        for item in self.items:
            for number, value in enumerate(item.value) if item.spans else [(item.row or 0, item.value)]:
                rows[number][item.key] = value
        return rows

    def row_count(self) -> int:
        """Return the number of rows."""
        return max([self.listed, *(len(item.value) if item.spans else (item.row or 0) + 1 for item in self.items)])


def form_of_payload(payload: Mapping[str, Any]) -> str:
    """Return the format of a payload that fits."""
    return next(form for form in FORMS if form in payload)


def content_of(payload: Mapping[str, Any], signature: Signature) -> Content:
    """Return what a payload that fits holds."""
    form = form_of_payload(payload)
    return read_form(form, payload[form], signature)


def read_form(form: str, data: Any, signature: Signature) -> Content:
    """Read what a payload has under the key `form`."""
    if fault := not_carried(form, signature):
        return Content(signature, [f"{form} {fault}"], [], 0)
    read = {"dataframe_split": _read_split, "dataframe_records": _read_records}.get(form, _read_values)
    content = list(read(data, form, signature))
    is_split = form == "dataframe_split" and isinstance(data, dict)
    table = data.get("data") if is_split else data if is_rows(data) else None
    form_faults = [each for each in content if isinstance(each, str)]
    items = [each for each in content if isinstance(each, Item)]
    return Content(signature, form_faults, items, len(table) if isinstance(table, list) else 0)


def is_rows(data: Any) -> bool:
    """Tell whether data is a list of objects."""
    return isinstance(data, list) and all(isinstance(row, dict) for row in data)


Found = Iterator[Item | str]  # the values of a format, and its faults


def _read_split(data: Any, where: str, signature: Signature) -> Found:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        yield f'{where}: expected an object with the lists "columns" and "data", got {show(data)}'
        return
    yield from (f"{where}: {unknown('key', key, _SPLIT)}" for key in data.keys() - set(_SPLIT))
    rows, index = data["data"], data.get("index")
    names: Any = data.get("columns")
    if index is not None and index != list(range(len(rows))):
        default = f"none, or 0 to {len(rows) - 1}" if rows else "none"
        yield f"{where}.index: expected {default}, got {show(index)}: no other format carries labels of rows"
    if signature.is_named and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        yield f"{where}.columns: expected names, {show(list(signature.columns))}, got {show(names)}"
    elif signature.is_named:
        yield from _name_faults(names, f"{where}.columns", signature)
        yield from _read_table(rows, f"{where}.data", names, signature)
    else:
        width = len(rows[0]) if rows and isinstance(rows[0], list) else 1
        if names is not None and not (isinstance(names, list) and len(names) == width):
            yield f"{where}.columns: expected a list of {width} names, got {show(names)}"
        yield from _read_bare(rows, f"{where}.data", signature, in_table=True)


def _read_records(data: Any, where: str, signature: Signature) -> Found:
    if not is_rows(data):
        yield f"{where}: expected a list of objects, one per row, got {show(data)}"
    elif signature.is_named:
        columns = signature.columns
        for number, row in enumerate(data):
            yield from _name_faults(list(row), f"{where}[{number}]", signature)
            for key in (key for key in row if key in columns):
                yield _item(f"{where}[{number}].{key}", key, columns[key], row[key], number)
    elif any(row.keys() != data[0].keys() for row in data):
        yield f"{where}: expected the same keys in each row: the signature names none"
    else:
        yield from _read_split({"data": [[row[key] for key in data[0]] for row in data]}, where, signature)


def _read_values(data: Any, where: str, signature: Signature) -> Found:
    """Read `inputs` or `instances`: by column, by row, or bare where there is one column or tensor."""
    columns = signature.columns
    if signature.from_type_hint or not signature.is_named:
        yield from _read_bare(data, where, signature)
    elif isinstance(data, dict):
        yield from _name_faults(list(data), where, signature)
        for key in (key for key in data if key in columns):
            yield from _read_column(data[key], f"{where}.{key}", key, signature)
        lengths = {name: len(values) if isinstance(values, list) else 1 for name, values in data.items()}
        if len(set(lengths.values())) > 1 and not (signature.is_tensors or signature.is_nested):
            yield f"{where}: expected columns of one length, got {show(lengths)}"
    elif data and is_rows(data):
        yield from _read_records(data, where, signature)
    elif len(columns) == 1 and isinstance(data, list):
        yield from _read_column(data, where, next(iter(columns)), signature)
    else:
        yield f"{where}: expected an object with the keys {show(list(columns))}, got {show(data)}"


def _read_bare(data: Any, where: str, signature: Signature, *, in_table: bool = False) -> Found:
    """Read the value of a signature without names: of a tensor, of one column, or of several by row."""
    first, *others = signature.columns
    if signature.is_tensors:
        yield _item(where, first, signature.columns[first], data)
    elif others or in_table:
        yield from _read_table(data, where, [first, *others], signature)
    elif isinstance(data, list) or not (signature.from_type_hint or isinstance(data, dict)):
        yield from _read_column(data, where, first, signature)
    else:
        yield f"{where}: expected a list, one item per row, got {show(data)}"


def _read_table(data: Any, where: str, keys: Sequence[Key], signature: Signature) -> Found:
    """Read rows of values, each in a column with one of these keys; values of unknown columns are left out."""
    columns = signature.columns
    if not isinstance(data, list):
        yield f"{where}: expected a list, one item per row, got {show(data)}"
        return
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(keys):
            yield f"{where}[{number}]: expected a list of {len(keys)} values, got {show(row)}"
            continue
        for index, (key, value) in enumerate(zip(keys, row, strict=True)):
            if key in columns:
                name = f' (column "{key}")' if isinstance(key, str) else ""
                yield _item(f"{where}[{number}][{index}]{name}", key, columns[key], value, number)


def _read_column(data: Any, where: str, key: Key, signature: Signature) -> Found:
    """Read a tensor, or the values of one column; MLflow reads what nests, or is no list, as one row."""
    column = signature.columns[key]
    if isinstance(column.type, Tensor):
        yield _item(where, key, column, data)
    elif not isinstance(data, list) or (signature.is_nested and signature.is_named):
        yield _item(where, key, column, data, 0)
    else:
        yield from (_item(f"{where}[{number}]", key, column, value, number) for number, value in enumerate(data))


def _name_faults(names: Sequence[str], where: str, signature: Signature) -> Iterator[str]:
    """Yield which names of columns are unknown, duplicated or missing."""
    columns = {str(key): each for key, each in signature.columns.items()}
    for name in dict.fromkeys(names):
        if name not in columns:
            yield f"{where}: {unknown('column', name, columns)}"
        elif names.count(name) > 1:
            yield f'{where}: column "{name}" is duplicated'
    for name, each in columns.items():
        if each.required and name not in names:
            yield f'{where}: column "{name}" is missing: expected {each.type}'


def _item(where: str, key: Key, column: Field, value: Any, row: int | None = None) -> Item:
    """Return a value with its place; of a tensor's row, the column has the shape of a row."""
    if row is not None and isinstance(column.type, Tensor):
        column = Field(column.name, column.type.row(), column.required)
    return Item(where, key, column, value, row)


def write_form(form: str, rows: Sequence[Row], signature: Signature) -> Any:
    """Return what a payload has under the key `form` for these rows.

    Raises
    ------
    UsageError
        If MLflow cannot carry such inputs in that format.
    """
    if fault := not_carried(form, signature):
        raise UsageError(f"--format {form}", fault)
    columns = signature.columns
    keys = [key for key in columns if not rows or any(key in row for row in rows)]
    if signature.is_named and form == "inputs" and not signature.is_nested:
        return {key: _spanning(rows, key, columns[key]) for key in keys}
    if signature.is_named and form != "dataframe_split":
        return [dict(row) for row in rows]
    table = [[row.get(key) for key in keys] for row in rows]
    if signature.is_named:
        return {"columns": keys, "data": table}
    bare = _spanning(rows, 0, columns[0]) if signature.is_tensors else table
    if form == "dataframe_split":
        return {"data": bare}
    if form == "dataframe_records":
        return [{str(number): value for number, value in enumerate(row)} for row in bare]
    return _spanning(rows, 0, columns[0]) if len(columns) == 1 else table


def _spanning(rows: Sequence[Row], key: Key, column: Field) -> Any:
    """Return what a column, or a tensor, holds in all rows; a tensor without rows is one value."""
    without_rows = isinstance(column.type, Tensor) and not column.type.shape
    return rows[0].get(key) if without_rows else [row.get(key) for row in rows]
