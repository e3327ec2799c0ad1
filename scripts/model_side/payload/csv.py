"""Payloads as CSV, for models whose inputs are named columns of plain values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..base.errors import UsageError
from ..model.signature import Field, Scalar, Signature
from .forms import FORMS, read_form
from .values import show

# `mlflow models predict` lets pandas guess a column's type from its cells; over REST the signature says it.
_NOT_READ = ("binary", "datetime", "float", "integer")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r" *[+-]?\d{1,4000} *", re.ASCII)
_NUMBER = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
# What pandas.read_csv takes for a missing value in any column.
_MISSING = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
_MISSING |= {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
_JSON = "Take a JSON payload."


def payload_to_csv(payload: Mapping[str, Any], signature: Signature) -> str:
    """Return a payload's rows as CSV with a header; params cannot travel in it.

    Raises
    ------
    UsageError
        If the inputs are not named columns of plain values.
    """
    _require_plain_columns(signature)
    form = next(form for form in FORMS if form in payload)
    out = io.StringIO()
    writer = csv.DictWriter(out, [str(each.name) for each in signature.inputs], lineterminator="\n")
    writer.writeheader()
    writer.writerows(read_form(form, payload[form], signature).rows())  # type: ignore[arg-type]  # the keys are names
    return out.getvalue()


def payload_from_csv(text: str, signature: Signature) -> dict[str, Any]:
    """Return CSV text as a payload; a cell that is not of its column's type stays text, for the check to refuse.

    Raises
    ------
    UsageError
        If CSV cannot carry the inputs, the text is not CSV, or MLflow would read something else in it.
    """
    _require_plain_columns(signature)
    readers = {str(each.name): _cell_reader(each) for each in signature.inputs}
    try:
        header, *rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)) or [[]]
    except csv.Error as error:
        raise UsageError("CSV", "cannot be read", got=str(error)) from error
    cells = [
        [readers.get(name, str)(cell) for name, cell in zip(header, row, strict=False)] + row[len(header) :]
        for row in rows
        if row
    ]
    if not cells:
        raise UsageError("CSV", "no rows", expected="at least one below the header")
    for number, name in enumerate(header):
        _require_text(name, signature, (row[number] for row in cells if number < len(row)))
    return {"dataframe_split": {"columns": header, "data": cells}}


def _require_text(name: str, signature: Signature, cells: Iterable[Any]) -> None:
    """Check that a column of strings has one: MLflow takes it for one of numbers else."""
    if Scalar("string") in (each.type for each in signature.inputs if each.name == name) and not any(cells):
        fault = f'column "{name}": no row has a text: MLflow reads numbers there'
        raise UsageError("CSV", fault, advice="Leave the column out.")


def _require_plain_columns(signature: Signature) -> None:
    if not signature.is_named or signature.is_tensors or signature.is_nested:
        raise UsageError("CSV", "cannot carry this model's inputs", expected="named columns of plain values")
    for each in signature.inputs:
        if str(each.type) in _NOT_READ:
            fault = f'cannot carry column "{each.name}": MLflow does not read {each.type} from CSV'
            raise UsageError("CSV", fault, advice=_JSON)


def _cell_reader(column: Field) -> Callable[[str], Any]:
    """Return what reads a cell as pandas does, whose `read_csv` MLflow uses."""
    name = column.type.name if isinstance(column.type, Scalar) else ""

    def read(cell: str) -> Any:
        if not cell and not column.required:
            return None
        match name:
            case "boolean":
                return _BOOLEANS.get(cell, cell)
            case "long":
                return int(cell) if _WHOLE.fullmatch(cell) else cell
            case "double" if _WHOLE.fullmatch(cell) and not -(2**63) <= int(cell) < 2**63:
                fault = f'column "{column.name}": MLflow reads {cell.strip()} as no double'
                raise UsageError("CSV", fault, advice="Write it with a decimal point.")
            case "double":
                return float(cell) if _NUMBER.fullmatch(cell) else cell
        if meaning := _other_meaning(cell):
            fault = f'column "{column.name}": MLflow reads the text {show(cell)} as {meaning}'
            raise UsageError("CSV", fault, advice=_JSON)
        return cell

    return read


def _other_meaning(cell: str) -> str:
    """Return what pandas may take a text for, or nothing."""
    bare = cell.strip(" \t\v\f")
    if cell in _MISSING:
        return "a missing value"
    if not bare:
        return "an empty line"
    if _NUMBER.fullmatch(bare) or _INFINITE.fullmatch(bare):
        return "a number"
    return "true or false" if cell.lower() in ("true", "false") else ""
