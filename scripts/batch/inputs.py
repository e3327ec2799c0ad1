"""The inputs of a batch: a pattern, a directory, a list of URIs, a table or a payload file, checked as a whole."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import UsageError, listed
from model_side.base.files import read_text
from model_side.base.named_files import named_file
from model_side.model.signature import Scalar, Signature
from model_side.payload.carried import FORMS, not_carried
from model_side.payload.csv import payload_from_csv
from model_side.payload.forms import content_of, write_form
from model_side.payload.payload import LISTED, check_payload, payload_faults
from model_side.payload.text import loads_payload

from .request import SCHEMES, Request, require_pyarrow

LISTS, TABLES, PAYLOADS = (".txt", ".list"), (".csv", ".parquet"), (".json",)
_PATTERN = re.compile(r"[*?\[]")
_ROW = re.compile(r"(?:dataframe_split\.data|dataframe_records)\[(\d+)\]")


class Cohort(NamedTuple):
    """The inputs.

    Parameters
    ----------
    names : sequence of str
        What each is called in the manifest: an absolute path, a URI, or ``FILE[ROWS]``.
    payload : callable
        Of an input's number: its payload, without params.
    alone : bool
        Whether each is one file or URI.
    """

    names: Sequence[str]
    payload: Callable[[int], dict[str, Any]]
    alone: bool


def read_cohort(request: Request, signature: Signature) -> Cohort:
    """Return the inputs that a request names.

    Raises
    ------
    UsageError
        With every fault of every input, and its line.
    """
    source = request.inputs
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_file() and suffix in TABLES:
        return _rows(path, _table(path, signature), signature, 1, first_line=2 if suffix == ".csv" else 1)
    if path.is_file() and suffix in PAYLOADS:
        payload = loads_payload(read_text(path), source)
        check_payload(payload, signature, subject=source)
        return _rows(path, payload, signature, request.rows, first_line=1)
    return _uris(source, signature)


def _uris(source: str, signature: Signature) -> Cohort:
    """Return inputs each of which is one URI."""
    key = _column(source, signature)
    form = next(form for form in FORMS if not not_carried(form, signature))
    found = list(_listed(source))
    if not found:
        what = "no file matches the pattern" if _PATTERN.search(source) else "it names no input"
        advice = "Quote a pattern, so that the shell leaves it as it is." if _PATTERN.search(source) else ""
        raise UsageError(f"--inputs {source}", what, advice=advice)
    if faults := listed(_uri_faults(source, found), LISTED):
        raise UsageError(f"--inputs {source}", f"not inputs that can be predicted:{faults}")
    names = [_whole(uri) for _, uri in found]
    return Cohort(names, lambda number: {form: write_form(form, [{key: names[number]}], signature)}, alone=True)


def _column(source: str, signature: Signature) -> str | int:
    """Return the one column that takes a URI."""
    required = {key: each for key, each in signature.columns.items() if each.required} or signature.columns
    if len(required) == 1 and next(iter(required.values())).type == Scalar("string"):
        return next(iter(required))
    takes = ", ".join(f"{key}: {each.type}" for key, each in signature.columns.items())
    advice = "Give a table (.csv, .parquet) with these columns, or a payload file (.json)."
    raise UsageError(f"--inputs {source}", "the model takes more than one URI", got=takes, advice=advice)


def _listed(source: str) -> Iterator[tuple[int, str]]:
    """Yield each URI with its line, 0 where there are no lines."""
    path = Path(source)
    if path.is_dir():
        yield from ((0, str(each)) for each in sorted(path.iterdir()) if not each.name.startswith("."))
    elif path.is_file() and path.suffix.lower() in LISTS:
        lines = enumerate(read_text(path).splitlines(), 1)
        yield from ((number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#"))
    elif os.path.lexists(source) or SCHEMES in source:
        yield 0, source
    elif _PATTERN.search(source):
        yield from ((0, each) for each in sorted(glob.glob(source, recursive=True)))  # noqa: PTH207  any text
    else:
        raise UsageError(f"--inputs {source}", "no such file or directory")


def _uri_faults(source: str, found: Sequence[tuple[int, str]]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for line, uri in found:
        where = f"{source}:{line}: " if line else ""
        named = named_file(uri)
        if named and not named.path.exists():
            yield f"{where}{uri}: no such file"
        elif named and not os.access(named.path, os.R_OK):
            yield f"{where}{uri}: it cannot be read: permission denied"
        first = seen.setdefault(_whole(uri), line)
        if first != line:
            yield f"{where}{uri}: it is the same input as in line {first}, and would have the same output"


def _whole(uri: str) -> str:
    """Return a local path as an absolute one."""
    return uri if SCHEMES in uri else os.path.abspath(uri)  # noqa: PTH100  `::` and links stay


def _table(path: Path, signature: Signature) -> dict[str, Any]:
    if path.suffix.lower() == ".csv":
        return payload_from_csv(read_text(path), signature)
    require_pyarrow(f"--inputs {path}", "Or give the table as .csv.")
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowInvalid

    try:
        table = pq.read_table(path)
    except (ArrowInvalid, OSError) as error:
        raise UsageError(str(path), "cannot be read as parquet", got=str(error)) from error
    columns = [column.to_pylist() for column in table.columns]
    return {
        "dataframe_split": {"columns": table.column_names, "data": [list(row) for row in zip(*columns, strict=True)]}
    }


def _rows(path: Path, payload: dict[str, Any], signature: Signature, rows: int, first_line: int) -> Cohort:
    """Return requests of some rows each of what a table or a payload file holds."""

    def lined(fault: str) -> str:
        return _ROW.sub(lambda found: f"{path}:{int(found[1]) + first_line}: ", fault, count=1)

    payload = {form: payload[form] for form in FORMS if form in payload}
    if faults := listed(map(lined, payload_faults(payload, signature)), LISTED):
        raise UsageError(str(path), f"does not fit the model's signature:{faults}")
    form, content = next(iter(payload)), content_of(payload, signature)
    table = content.rows()
    if not table:
        raise UsageError(str(path), "no rows")
    rows = 1 if signature.one_row else rows
    starts = range(0, len(table), rows)
    absolute = path.absolute()
    names = [f"{absolute}[{start}]" if rows == 1 else f"{absolute}[{start}:{start + rows}]" for start in starts]
    return Cohort(
        names,
        lambda number: {form: write_form(form, table[starts[number] : starts[number] + rows], signature)},
        alone=False,
    )
