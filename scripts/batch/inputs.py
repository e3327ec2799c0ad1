"""The inputs of a batch: a pattern, a directory, a list of URIs, a table or a payload file, checked as a whole."""

from __future__ import annotations

import csv
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import UsageError, listed
from model_side.base.files import read_text
from model_side.base.named_files import named_file
from model_side.model.model import ModelFiles
from model_side.model.signature import Scalar, Signature
from model_side.payload.carried import FORMS, not_carried
from model_side.payload.csv import payload_from_csv
from model_side.payload.forms import content_of, read_form, write_form
from model_side.payload.payload import LISTED, payload_faults
from model_side.payload.text import loads_payload

from .request import SCHEMES, Request, require_pyarrow

LISTS, TABLES, PAYLOADS = (".txt", ".list"), (".csv", ".parquet"), (".json",)
_PATTERN = re.compile(r"[*?\[]")
_NOT_TEXT = re.compile("[\ud800-\udfff]")  # how Python shows bytes of a name that are not UTF-8
_ROW = re.compile(r"^(?:dataframe_split\.data|dataframe_records)\[(\d+)\](?:: |\.)?")


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


def read_cohort(request: Request, files: ModelFiles) -> Cohort:
    """Return the inputs that a request names.

    Raises
    ------
    UsageError
        With every fault of every input, and its line.
    """
    source, signature = request.inputs, files.signature
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_file() and suffix in TABLES:
        return _rows(path, _table(path, signature), files, 1)
    if path.is_file() and suffix in PAYLOADS:
        return _rows(path, loads_payload(read_text(path), source), files, request.rows)
    return _uris(request, files)


def _uris(request: Request, files: ModelFiles) -> Cohort:
    """Return inputs each of which is one URI."""
    source = request.inputs
    signature = files.signature
    key = _column(source, files)
    form = next(form for form in FORMS if not not_carried(form, signature))
    found = list(_listed(source, request.place()))
    if not found:
        what, advice = "it names no input", "Put files into it, or a URI on each line of a list."
        if _PATTERN.search(source):
            what, advice = "no file matches the pattern", "Quote a pattern, so that the shell leaves it as it is."
        raise UsageError(f"--inputs {source}", what, expected="at least one", got="none", advice=advice)
    if faults := listed(_uri_faults(source, found), LISTED):
        raise UsageError(f"--inputs {source}", f"not inputs that can be predicted:{faults}")
    names = [_whole(uri) for _, uri in found]
    return Cohort(names, lambda number: {form: write_form(form, [{key: names[number]}], signature)}, alone=True)


def _column(source: str, files: ModelFiles) -> str | int:
    """Return the one column that takes a URI."""
    signature, archetype = files.signature, str(files.metadata.get("archetype", ""))
    required = {key: each for key, each in signature.columns.items() if each.required} or signature.columns
    is_one = len(required) == 1 and next(iter(required.values())).type == Scalar("string")
    if is_one and not archetype.startswith("text_to"):
        return next(iter(required))
    takes = ", ".join(f"{key}: {each.type}" for key, each in signature.columns.items())
    advice = "Give a table (.csv, .parquet) with these columns, or a payload file (.json)."
    fault = "the model takes no list of files"
    raise UsageError(f"--inputs {source}", fault, expected=f"a table or a payload of {takes}", advice=advice)


def _listed(source: str, out: Path) -> Iterator[tuple[int, str]]:
    """Yield each URI with its line, 0 where there are no lines."""
    path = Path(source)
    if path.is_dir():
        yield from _outside(source, [str(each) for each in sorted(path.iterdir()) if each.name[0] != "."], out)
    elif path.is_file() and path.suffix.lower() in LISTS:
        lines = enumerate(read_text(path).removeprefix("\ufeff").splitlines(), 1)  # some editors put a mark first
        yield from ((number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#"))
    elif os.path.lexists(source) or SCHEMES in source:
        yield 0, source
    elif _PATTERN.search(source):
        yield from _outside(source, sorted(glob.glob(source, recursive=True)), out)  # noqa: PTH207  any text
    else:
        advice = "Give a pattern, a directory, a list, a table or a payload."
        raise UsageError(f"--inputs {source}", "no such file or directory", advice=advice)


def _outside(source: str, found: Sequence[str], out: Path) -> Iterator[tuple[int, str]]:
    """Yield what does not lie among the outputs: the next call would take these for inputs.

    Raises
    ------
    UsageError
        If nothing else is there.
    """
    outside = [each for each in found if not Path(_whole(each)).is_relative_to(out)]
    if found and not outside:
        advice = "Take another --out: the next call would take the outputs for inputs."
        raise UsageError(f"--inputs {source}", "they lie in --out", got=str(out), advice=advice)
    yield from ((0, each) for each in outside)


def _uri_faults(source: str, found: Sequence[tuple[int, str]]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for line, uri in found:
        where = f"{source}:{line}: " if line else ""
        named = named_file(uri)
        if _NOT_TEXT.search(_whole(uri)):
            yield f"{where}{uri!r}: its name is not UTF-8. Rename it"
        elif named and not named.path.exists():
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
        return payload_from_csv(read_text(path), signature, str(path))
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


def _rows(path: Path, payload: Any, files: ModelFiles, rows: int) -> Cohort:
    """Return requests of some rows each of what a table or a payload file holds."""
    signature = replace(files.signature, one_row=False)  # each request has its rows
    faults = listed(_with_lines(path, chain(payload_faults(payload, signature), _missing(payload, files))), LISTED)
    if faults:
        raise UsageError(str(path), f"does not fit the model's signature:{faults}")
    if payload.get("params"):
        raise UsageError(str(path), "it has params", expected="none", got="params", advice="Give them by --params.")
    form = next(form for form in FORMS if form in payload)
    table = content_of({form: payload[form]}, signature).rows()
    if not table:
        raise UsageError(str(path), "no rows", expected="at least one", got="none")
    rows = 1 if files.signature.one_row else rows
    starts = range(0, len(table), rows)
    absolute = path.absolute()
    names = [f"{absolute}[{start}]" if rows == 1 else f"{absolute}[{start}:{start + rows}]" for start in starts]
    return Cohort(
        names,
        lambda number: {form: write_form(form, table[starts[number] : starts[number] + rows], signature)},
        alone=False,
    )


def _missing(payload: Any, files: ModelFiles) -> Iterator[str]:
    """Yield each local file that a row names and that is not there; the archetype tells that a column names files."""
    signature = files.signature
    names = [
        key for key, each in signature.columns.items() if str(key).endswith("uri") and each.type == Scalar("string")
    ]
    if not names or not str(files.metadata.get("archetype", "")).startswith("file_uri_to"):
        return
    form = next((form for form in FORMS if form in payload), "") if isinstance(payload, dict) else ""
    content = read_form(form, payload[form], signature) if form else None
    if content is None or next(content.all_faults(), None):
        return
    for number, row in enumerate(content.rows()):
        for name in names:
            uri = row.get(name)
            if isinstance(uri, str) and (named := named_file(uri)) and not named.path.exists():
                yield f"dataframe_records[{number}].{name}: {uri}: no such file"


def _with_lines(path: Path, faults: Iterable[str]) -> Iterator[str]:
    """Yield faults of a table with the line of the file, and those of other files with the row's number."""
    lines: list[int] = []
    if path.suffix.lower() == ".csv":
        reader = csv.reader(StringIO(read_text(path)))
        lines = [reader.line_num for row in reader if row][1:]

    def place(row: re.Match[str]) -> str:
        return f"{path}:{lines[int(row[1])]}: " if lines else f"{path}, row {int(row[1]) + 1}: "

    yield from (_ROW.sub(place, fault, count=1) for fault in faults)
