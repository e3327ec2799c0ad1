"""Payloads as CSV: what `mlflow models predict --content-type csv` takes, named columns of plain values without params.

It lets pandas guess a column's type from its cells; `READ` are the types of which it reads what is written.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from ..base.errors import UsageError
from ..model.signature import Field, Scalar, Signature
from .carried import FORMS, not_carried
from .forms import content_of
from .values import show

READ = ("boolean", "double", "long", "string")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# What pandas takes for a missing value in any column, and for a number, a boolean or an empty line.
_MISSING = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
_MISSING |= {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
_NO_TEXT = re.compile(r"\s*([+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)|true|false)?\s*", re.ASCII | re.IGNORECASE)


def payload_to_csv(payload: Mapping[str, Any], signature: Signature) -> str:
    """Return a payload's rows as CSV with a header; params cannot travel in it.

    Raises
    ------
    UsageError
        If CSV cannot carry the inputs.
    """
    _require_plain_columns(signature)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(signature.columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(content_of(payload, signature).rows())
    return out.getvalue()


def payload_from_csv(text: str, signature: Signature, subject: str = "CSV") -> dict[str, Any]:
    """Return CSV text as a payload; a cell that is not of its column's type stays text, for the check to refuse.

    Raises
    ------
    UsageError
        If CSV cannot carry the inputs, the text is not CSV, or MLflow would read something else in it.
    """
    _require_plain_columns(signature, subject)
    columns = {str(key): each for key, each in signature.columns.items()}
    try:
        header, *rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)) or [[]]
    except csv.Error as error:
        raise UsageError(subject, "cannot be read", got=str(error)) from error
    fields = [columns.get(name) for name in header]
    data = [[_read_cell(cell, column) for cell, column in zip_longest(row, fields[: len(row)])] for row in rows if row]
    if not data:
        raise UsageError(subject, "no rows", expected="at least one below the header", got="none")
    for column, *cells in zip(fields, *data, strict=False):
        if column and column.type == Scalar("string") and not any(cells):
            fault = f'column "{column.name}": no row has a text: MLflow reads numbers there'
            raise UsageError(subject, fault, advice="Leave the column out.")
    return {"dataframe_split": {"columns": header, "data": data}}


def _require_plain_columns(signature: Signature, subject: str = "CSV") -> None:
    for each in signature.inputs:
        if each.name is None or str(each.type) not in READ:
            form = next((form for form in FORMS if not not_carried(form, signature)), "inputs")
            expected, got = f"named columns of {', '.join(READ)}", f"{each.type} {each.name or 'without a name'}"
            fault = "CSV cannot carry this model's inputs" if subject != "CSV" else "cannot carry this model's inputs"
            raise UsageError(subject, fault, expected=expected, got=got, advice=f"Take {form}.")


def _read_cell(cell: str, column: Field | None) -> Any:
    """Return a cell as pandas reads it; it stays text where the signature has no such column."""
    if column is None or (not cell and not column.required):
        return None if column else cell
    if column.type == Scalar("boolean"):
        return _BOOLEANS.get(cell, cell)
    if column.type == Scalar("string"):
        if cell in _MISSING or _NO_TEXT.fullmatch(cell):
            fault = f'column "{column.name}": MLflow does not read {show(cell)} as a text'
            raise UsageError("CSV", fault, advice="Take a JSON payload.")
        return cell
    try:
        number = json.loads(cell)
    except ValueError:
        return cell
    return cell if column.type == Scalar("double") and isinstance(number, int) and abs(number) >= 2**63 else number
