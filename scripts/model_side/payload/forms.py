"""The four request formats of MLflow's scoring protocol: read one to rows, and write rows as any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import UsageError
from ..model.signature import Anything, Array, Field, Map, Object, Scalar, Signature, Tensor, Type
from .values import did_you_mean, faults, show

FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
Row = dict[str | int, Any]


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
    key: str | int
    column: Field
    value: Any
    row: int | None

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the value."""
        return faults(self.value, self.column.type, self.where, required=self.column.required)


@dataclass
class Content:
    """What a payload holds: its values, the faults of its form, and how many rows it lists, with values or without."""

    signature: Signature
    listed: int = 0
    items: list[Item] = field(default_factory=list)
    form_faults: list[str] = field(default_factory=list)

    def all_faults(self) -> Iterator[str]:
        """Yield every fault, of the form first."""
        yield from self.form_faults
        for item in self.items:
            yield from item.faults()

    def rows(self) -> list[Row]:
        """Return the values by row and column name, or number where the signature has no names."""
        rows: dict[int, Row] = {}
        for item in self.items:
            spans = item.row is None and isinstance(item.value, list)
            for number, value in enumerate(item.value) if spans else [(item.row or 0, item.value)]:
                rows.setdefault(number, {})[item.key] = value
        return [rows.get(number, {}) for number in range(max([self.listed, *(number + 1 for number in rows)]))]

    def row_count(self) -> int:
        """Return the number of rows; a value that is no list is none, since it is a fault of its own."""
        spanning = (len(item.value) for item in self.items if item.row is None and isinstance(item.value, list))
        return max([self.listed, *spanning, *(item.row + 1 for item in self.items if item.row is not None)])

    def add(self, where: str, column: Field, value: Any, row: int | None = None, position: int = 0) -> None:
        """Take in one value; a row of a tensor is held to the shape of a row."""
        if row is not None and isinstance(column.type, Tensor):
            column = Field(column.name, column.type.row(), column.required)
        self.items.append(Item(where, position if column.name is None else column.name, column, value, row))

    def columns(self, names: Sequence[Any], where: str) -> list[Field | None]:
        """Return the field of each name; names that are unknown, doubled or missing are faults."""
        known = {str(each.name): each for each in self.signature.inputs}
        if not all(isinstance(name, str) for name in names):
            self.form_faults.append(f"{where}: expected names, got {show(names)}")
            return [None for _ in names]
        for name in dict.fromkeys(names):
            if name not in known:
                self.form_faults.append(f"{where}: unknown column {show(name)}: {did_you_mean(str(name), list(known))}")
            elif list(names).count(name) > 1:
                self.form_faults.append(f'{where}: column "{name}" stands there more than once')
        for name, each in known.items():
            if each.required and name not in names:
                self.form_faults.append(f'{where}: column "{name}" is missing: expected {each.type}')
        return [known.get(name) for name in names]


def read_form(form: str, data: Any, signature: Signature) -> Content:
    """Read what stands under the key `form` of a payload."""
    content = Content(signature)
    if fault := not_carried(form, signature):
        content.form_faults.append(f"{form} {fault}")
    else:
        _READERS[form](data, form, content)
    return content


def _read_split(data: Any, where: str, content: Content) -> None:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        content.form_faults.append(f'{where}: expected an object with the lists "columns" and "data", got {show(data)}')
        return
    for key in data.keys() - {"columns", "data", "index"}:
        content.form_faults.append(f'{where}: unknown key "{key}": {did_you_mean(key, ["columns", "data", "index"])}')
    content.listed = rows = len(data["data"])
    index = data.get("index")
    if index is not None and not (isinstance(index, list) and len(index) == rows):
        content.form_faults.append(f"{where}.index: expected a list of {rows} labels, one per row, got {show(index)}")
    fields = _split_columns(data, where, content)
    if fields is None:
        return
    for number, row in enumerate(data["data"]):
        _read_row(row, f"{where}.data[{number}]", number, fields, content)


def _split_columns(data: Mapping[str, Any], where: str, content: Content) -> list[Field | None] | None:
    """Return the field of each column, or None where the rows need not be looked at."""
    names, signature = data.get("columns"), content.signature
    if not signature.is_named:
        _check_width(data, where, content)
        if signature.is_tensors:
            content.add(f"{where}.data", signature.inputs[0], data["data"])
            return None
        return list(signature.inputs)
    if not isinstance(names, list):
        expected = [each.name for each in signature.inputs]
        content.form_faults.append(f"{where}.columns: expected {show(expected)}, got {show(names)}")
        return None
    return content.columns(names, f"{where}.columns")


def _check_width(data: Mapping[str, Any], where: str, content: Content) -> None:
    """Check that columns which the signature does not name are as many as those of a row."""
    names, first = data.get("columns"), next(iter(data["data"]), None)
    width = len(first) if isinstance(first, list) else 1
    if names is not None and not (isinstance(names, list) and len(names) == width):
        content.form_faults.append(f"{where}.columns: expected a list of {width} names, got {show(names)}")


def _read_row(row: Any, where: str, number: int, fields: Sequence[Field | None], content: Content) -> None:
    if not isinstance(row, list) or len(row) != len(fields):
        content.form_faults.append(f"{where}: expected a list of {len(fields)} values, got {show(row)}")
        return
    for index, (column, value) in enumerate(zip(fields, row, strict=True)):
        if column:
            name = f' (column "{column.name}")' if column.name else ""
            content.add(f"{where}[{index}]{name}", column, value, number, index)


def _read_records(data: Any, where: str, content: Content) -> None:
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        content.form_faults.append(f"{where}: expected a list of objects, one per row, got {show(data)}")
    elif content.signature.is_named:
        content.listed = len(data)
        for number, row in enumerate(data):
            place = f"{where}[{number}]"
            for name, column in zip(row, content.columns(list(row), place), strict=True):
                if column:
                    content.add(f"{place}.{name}", column, row[name], number)
    elif any(row.keys() != data[0].keys() for row in data):
        content.form_faults.append(f"{where}: expected the same keys in each row: the signature names none")
    else:
        _read_split({"data": [[row[key] for key in data[0]] for row in data]}, where, content)


def _read_values(data: Any, where: str, content: Content) -> None:
    """Read `inputs` or `instances`: by column, by row, or bare where there is one column or tensor."""
    signature = content.signature
    if signature.from_type_hint or not signature.is_named:
        _read_bare(data, where, content)
    elif isinstance(data, dict):
        _read_columns(data, where, content)
    elif isinstance(data, list) and data and all(isinstance(row, dict) for row in data):
        _read_records(data, where, content)
    elif len(signature.inputs) == 1 and isinstance(data, list):
        _read_column(signature.inputs[0], data, where, content)
    else:
        names = [each.name for each in signature.inputs]
        content.form_faults.append(f"{where}: expected an object with the keys {show(names)}, got {show(data)}")


def _read_bare(data: Any, where: str, content: Content) -> None:
    fields = content.signature.inputs
    if content.signature.is_tensors:
        content.add(where, fields[0], data)
    elif len(fields) == 1 and not content.signature.from_type_hint and not isinstance(data, list | dict):
        content.add(where, fields[0], data, 0)  # MLflow reads a single value as one row
    elif not isinstance(data, list):
        content.form_faults.append(f"{where}: expected a list, one item per row, got {show(data)}")
    elif len(fields) > 1:
        for number, row in enumerate(data):
            _read_row(row, f"{where}[{number}]", number, fields, content)
    else:
        for number, value in enumerate(data):
            content.add(f"{where}[{number}]", fields[0], value, number)


def _read_columns(data: Mapping[str, Any], where: str, content: Content) -> None:
    for name, column in zip(data, content.columns(list(data), where), strict=True):
        if column:
            _read_column(column, data[name], f"{where}.{name}", content)
    if content.signature.is_tensors or content.signature.is_nested:
        return
    lengths = {name: len(values) if isinstance(values, list) else 1 for name, values in data.items()}
    if len(set(lengths.values())) > 1:
        content.form_faults.append(f"{where}: expected columns of one length, got {show(lengths)}")


def _read_column(column: Field, data: Any, where: str, content: Content) -> None:
    if isinstance(column.type, Tensor):
        content.add(where, column, data)
    elif content.signature.is_nested or not isinstance(data, list):
        content.add(where, column, data, 0)  # MLflow reads such columns as one row
    else:
        for number, value in enumerate(data):
            content.add(f"{where}[{number}]", column, value, number)


_READERS: dict[str, Callable[[Any, str, Content], None]] = {
    "dataframe_split": _read_split,
    "dataframe_records": _read_records,
    "inputs": _read_values,
    "instances": _read_values,
}


def write_form(form: str, rows: Sequence[Row], signature: Signature) -> Any:
    """Return what stands under the key `form` for these rows.

    Raises
    ------
    UsageError
        If MLflow cannot carry such inputs in that format.
    """
    if fault := not_carried(form, signature):
        raise UsageError(f"--format {form}", fault)
    return _WRITERS[form](rows, signature)


def _keys(rows: Sequence[Row], signature: Signature) -> list[str | int]:
    """Return the columns that are there, in the signature's order."""
    keys = [each.name if each.name is not None else n for n, each in enumerate(signature.inputs)]
    return [key for key in keys if any(key in row for row in rows)] or keys


def _write_split(rows: Sequence[Row], signature: Signature) -> Any:
    keys = _keys(rows, signature)
    if signature.is_named:
        return {"columns": keys, "data": [[row.get(key) for key in keys] for row in rows]}
    return {"data": _bare(rows, signature)}


def _write_records(rows: Sequence[Row], signature: Signature) -> Any:
    if signature.is_named:
        return [dict(row) for row in rows]
    return [{str(n): value for n, value in enumerate(row)} for row in _bare(rows, signature)]


def _write_inputs(rows: Sequence[Row], signature: Signature) -> Any:
    if not signature.is_named:
        single = len(signature.inputs) == 1 and not signature.is_tensors
        return [row[0] for row in rows] if single else _bare(rows, signature)
    if signature.is_nested:
        return [dict(row) for row in rows]
    return {key: _spanning(rows, key, signature) for key in _keys(rows, signature)}


def _write_instances(rows: Sequence[Row], signature: Signature) -> Any:
    return [dict(row) for row in rows] if signature.is_named else _write_inputs(rows, signature)


def _spanning(rows: Sequence[Row], key: str | int, signature: Signature) -> Any:
    """Return what a column, or a tensor, holds in all rows; a tensor without rows is one value."""
    types = (each.type for each in signature.inputs if each.name in (key, None))
    without_rows = any(isinstance(type_, Tensor) and not type_.shape for type_ in types)
    return rows[0].get(key) if without_rows else [row.get(key) for row in rows]


def _bare(rows: Sequence[Row], signature: Signature) -> Any:
    """Return the rows of an unnamed signature: one tensor's, or lists of values."""
    if signature.is_tensors:
        return _spanning(rows, 0, signature)
    return [[row.get(key) for key in _keys(rows, signature)] for row in rows]


_WRITERS: dict[str, Callable[[Sequence[Row], Signature], Any]] = {
    "dataframe_split": _write_split,
    "dataframe_records": _write_records,
    "inputs": _write_inputs,
    "instances": _write_instances,
}


# Inside an array, object or map MLflow holds these to what JSON gives, and refuses them; what can be declared instead.
_NOT_INSIDE = {"integer": "long", "float": "double", "binary": "string", "datetime": "string"}


def not_carried(form: str, signature: Signature) -> str:
    """Return what of a model's inputs a format cannot carry, and which can; nothing where it carries all."""
    return next(_not_carried(form, signature), "")


def _not_carried(form: str, signature: Signature) -> Iterator[str]:
    if signature.from_type_hint:
        if form != "inputs":
            yield "cannot carry this model's input, which is declared by a type hint: expected inputs"
        return
    for each in signature.inputs:
        if (inside := _not_inside(each.type)) and not isinstance(each.type, Tensor):
            instead = f"declare {_NOT_INSIDE[inside]} instead"
            yield f"cannot carry {inside} inside {_short(each)}: MLflow refuses it in any format; {instead}"
    if form.startswith("dataframe"):
        yield from (_tensor_in_table(each) for each in signature.inputs if _tensor_in_table(each))
    else:
        yield from _not_in_values(form, signature)


def _not_in_values(form: str, signature: Signature) -> Iterator[str]:
    """Yield what `inputs` or `instances` cannot carry."""
    kinds = {str(each.type) for each in signature.inputs}
    table = "expected dataframe_split or dataframe_records"
    if form == "instances" and signature.is_nested:
        yield "cannot carry arrays, objects, maps or any: expected dataframe_split, dataframe_records or inputs"
    if "binary" in kinds:
        yield f"cannot carry binary: MLflow would not decode it; {table}"
    if any(isinstance(each.type, Array) and isinstance(each.type.items, Array | Anything) for each in signature.inputs):
        yield f"cannot carry arrays of arrays or of any: {table}"
    if form == "instances" and any(isinstance(each.type, Tensor) and not each.type.shape for each in signature.inputs):
        yield "cannot carry a tensor without rows: expected inputs"
    if not signature.is_named and len(kinds) > 1:
        yield f"cannot carry unnamed columns of different types: {table}"


def _tensor_in_table(field: Field) -> str:
    """Return why a data frame cannot carry a field; nothing where it can."""
    if not isinstance(field.type, Tensor):
        return ""
    tensor, named = field.type, field.name is not None
    first, *others = tensor.shape or (0,)
    fixed = first == -1 and len(others) <= 1 and -1 not in others
    text = is_text(tensor.dtype)
    read = named if text else bool(others) or not tensor.dtype.name.startswith("datetime")
    return "" if fixed and read else f"cannot carry a {tensor}: expected inputs or instances"


def is_text(dtype: Scalar) -> bool:
    """Tell whether a tensor of this dtype holds texts."""
    return dtype.name in ("str", "unicode") or dtype.name[:2] == "<U"


def _not_inside(type_: Type) -> str:
    """Return the name of a type that is inside this one and must not be, or nothing."""
    match type_:
        case Array(items):
            inner: tuple[Type, ...] = (items,)
        case Map(values):
            inner = (values,)
        case Object(properties):
            inner = tuple(each.type for each in properties)
        case _:
            return ""
    names = (each.name if isinstance(each, Scalar) else _not_inside(each) for each in inner)
    return next((name for name in names if name in _NOT_INSIDE), "")


def _short(field: Field) -> str:
    return f'"{field.name}", {field.type}' if field.name is not None else str(field.type)
