"""Payloads as CSV, for models whose inputs are named columns of plain values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from .errors import UsageError
from .payload_forms import FORMS, read_form
from .signatures import Field, Scalar, Signature


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
    """Return CSV text as a payload; a cell that is not of its column's type stays text, for the check to refuse."""
    _require_plain_columns(signature)
    readers = {str(each.name): _cell_reader(each) for each in signature.inputs}
    header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    cells = [
        [readers.get(name, str)(cell) for name, cell in zip(header, row, strict=False)] + row[len(header) :]
        for row in rows
        if row
    ]
    return {"dataframe_split": {"columns": header, "data": cells}}


def _require_plain_columns(signature: Signature) -> None:
    if not signature.is_named or signature.is_tensors or signature.is_nested:
        raise UsageError("CSV", "cannot carry this model's inputs", expected="named columns of plain values")


def _cell_reader(column: Field) -> Callable[[str], Any]:
    name = column.type.name if isinstance(column.type, Scalar) else ""
    plain = name in ("string", "binary", "datetime")

    def read(cell: str) -> Any:
        if not cell and not column.required:
            return None
        if plain:
            return cell
        try:
            return json.loads(cell.lower() if name == "boolean" else cell)
        except json.JSONDecodeError:
            return cell

    return read
