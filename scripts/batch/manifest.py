"""The manifest of a batch, a row for each input: an append-only journal while it runs, a table afterwards."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from model_side.base.errors import UsageError

COLUMNS: Mapping[str, type] = {
    "input": str, "fingerprint": str, "output": str, "sha256": str, "shape": str, "dtype": str, "rows": int,
    "seconds": float, "peak_memory": int, "worker": str, "status": str, "kind": str, "error": str, "input_bytes": int,
    "key": str, "stamp": str, "output_stamp": str, "model": str, "params": str, "format": str,
    "files": str,
}  # fmt: skip
# What decides whether a unit runs again, and whether its output is as it was written.
DECIDING = ("input", "output", "status", "model", "params", "format", "stamp", "key", "sha256", "output_stamp")
DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"
FORMATS = ("parquet", "csv")
_BATCH, _GROUP = 1_000, 4  # rows held at a time, and how many times as many are written at once
_READ = 65_536  # rows of a large manifest that are read at a time
Row = Mapping[str, Any]
_Wanted = tuple[str, Collection[str]]  # a column, and values


class Journal:
    """Results as they come, a line of JSON each, on the disk before the next is asked for.

    Parameters
    ----------
    path : Path
        In an existing directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("ab")
        if path.stat().st_size and not _ends_whole(path):
            self._stream.write(b"\n")  # a killed process left half a line

    def append(self, row: Row) -> None:
        """Add a row."""
        self._stream.write(f"{json.dumps(row)}\n".encode())
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def journal_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a journal; what a kill has cut off is left out."""
    with suppress(FileNotFoundError), path.open("rb") as stream:
        for line in stream:
            with suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and "input" in row:
                    yield row


def recorded_rows(directory: Path, journal: Path, column: str, wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield what is recorded of some inputs or of some outputs: of each, what was recorded last comes last.

    Parameters
    ----------
    directory : Path
        That of the manifest.
    journal : Path
    column : str
        ``input`` or ``output``.
    wanted : collection of str
        A dictionary or a set.

    Yields
    ------
    dict
        Of a manifest, the columns in `DECIDING`.
    """
    rows = chain(_kept(directory, DECIDING, (column, wanted)), journal_rows(journal))
    yield from (row for row in rows if row[column] in wanted)


def all_rows(directory: Path, journal: Path) -> Iterator[dict[str, Any]]:
    """Yield the last row of each input."""
    later = {row["input"]: row for row in journal_rows(journal)}
    yield from (row for row in _kept(directory) if row["input"] not in later)
    yield from later.values()


def close_journal(directory: Path, journal: Path, form: str) -> Path | None:
    """Make the manifest of the one before and of the journal, and empty the journal.

    Parameters
    ----------
    directory : Path
    journal : Path
        Of one run: what it holds of an input is in lines one after another, of which the last counts.
    form : str
        One of `FORMATS`.

    Returns
    -------
    Path or None
        The manifest; None where there is nothing to record.
    """
    target, before = directory / f"manifest.{form}", manifest_of(directory)
    is_empty = next(journal_rows(journal), None) is None
    if is_empty and before in (None, target):
        return before
    inputs = dict.fromkeys(row["input"] for row in journal_rows(journal)) if before else {}
    last = (deque(lines, maxlen=1).pop() for _, lines in groupby(journal_rows(journal), lambda row: row["input"]))
    part = directory / f".manifest.{form}.part"
    try:
        if before and form == "parquet" == before.suffix[1:]:
            _write_parquet(last, part, _batches(before, tuple(COLUMNS), ("input", inputs), inverted=True))
        else:
            rows = chain((row for row in _kept(directory) if row["input"] not in inputs), last)
            _write_parquet(rows, part) if form == "parquet" else _write_csv(rows, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    if before and before != target:
        before.unlink()
    with journal.open("wb"):
        pass
    return target


def manifest_of(directory: Path) -> Path | None:
    """Return the manifest in a directory, None where it has none."""
    return next((path for form in FORMATS if (path := directory / f"manifest.{form}").is_file()), None)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _kept(
    directory: Path, columns: Collection[str] = tuple(COLUMNS), wanted: _Wanted | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the manifest in a directory; of a large one those alone with a wanted value in a column."""
    path = manifest_of(directory)
    if path is None:
        return
    if path.suffix == ".csv":
        with _manifest_at(path), path.open(newline="", encoding="utf-8") as stream:
            csv.field_size_limit(sys.maxsize)
            reader = csv.DictReader(stream)
            _require_columns(reader.fieldnames or ())
            for row in reader:
                yield {name: _read(row.get(name), COLUMNS[name]) for name in columns}
        return
    for batch in _batches(path, columns, wanted):
        names = batch.schema.names
        yield from (
            dict(zip(names, row, strict=True)) for row in zip(*(each.to_pylist() for each in batch), strict=True)
        )


def _read(text: str | None, kind: type) -> Any:
    if not text or kind is str:
        return text or kind()
    return kind(float(text))  # other programs write whole numbers as 3.0 where some are missing


def _batches(
    path: Path, columns: Collection[str], wanted: _Wanted | None = None, *, inverted: bool = False
) -> Iterator[Any]:
    """Yield the rows of a manifest in parquet as record batches; of a large one those alone that are wanted, or not."""
    from .request import require_pyarrow

    require_pyarrow(str(path))
    import pyarrow.parquet as pq

    with _manifest_at(path), pq.ParquetFile(path) as file:
        _require_columns(file.schema_arrow.names)
        is_large = wanted is not None and (inverted or file.metadata.num_rows > 2 * len(wanted[1]))
        keep = _filter(*wanted, inverted=inverted) if wanted is not None and is_large else lambda batch: batch
        for batch in file.iter_batches(_READ if is_large else _BATCH, columns=list(columns)):
            yield keep(batch.cast(_schema(batch.schema.names)))


@contextmanager
def _manifest_at(path: Path) -> Iterator[None]:
    try:
        yield
    except (csv.Error, KeyError, TypeError, ValueError) as error:  # those of pyarrow, too
        fault, advice = "cannot be read as the manifest of a batch", "Move it away: what is recorded in it runs again."
        raise UsageError(str(path), fault, got=str(error), advice=advice) from error


def _require_columns(names: Collection[str]) -> None:
    if missing := [name for name in DECIDING if name not in names]:
        raise ValueError(f"no column {', '.join(missing)}")


def _filter(column: str, wanted: Iterable[str], *, inverted: bool) -> Callable[[Any], Any]:
    """Return what leaves the rows of a record batch that have a wanted value in a column, or those that have none."""
    import pyarrow.compute as pc

    values = _array(wanted)

    def keep(batch: Any) -> Any:
        mask = pc.is_in(batch[column], values)
        return batch.filter(pc.invert(mask) if inverted else mask)

    return keep


def _array(texts: Iterable[str]) -> Any:
    """Return texts as an Arrow array; pyarrow.array would import pandas."""
    from pyarrow.lib import StringBuilder

    builder = StringBuilder()
    for each in texts:
        builder.append(each)
    return builder.finish()


def _write_csv(rows: Iterator[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(COLUMNS), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Iterator[Row], path: Path, batches: Iterable[Any] = ()) -> None:
    """Write record batches, and then rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(COLUMNS)
    empty = schema.empty_table()  # an older manifest has fewer columns
    before = (pa.concat_tables([empty, pa.table(batch)], promote_options="default") for batch in batches)
    tables = chain(before, _tables(rows, schema))
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(islice(tables, _GROUP)):
            writer.write_table(pa.concat_tables(some))


def _schema(names: Iterable[str]) -> Any:
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    return pa.schema([(name, types[COLUMNS[name]]) for name in names])


def _tables(rows: Iterator[Row], schema: Any) -> Iterator[Any]:
    """Yield rows as small tables: as dictionaries they take many times as much memory."""
    import pyarrow as pa

    while some := list(islice(rows, _BATCH)):
        yield pa.table({name: [row.get(name) for row in some] for name in COLUMNS}, schema)
