"""The manifest of a batch, a row for each input: an append-only journal while it runs, a table afterwards."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from model_side.base.errors import UsageError

COLUMNS: Mapping[str, type] = {
    "input": str, "fingerprint": str, "output": str, "sha256": str, "shape": str, "dtype": str, "rows": int,
    "seconds": float, "peak_memory": int, "worker": str, "status": str, "kind": str, "error": str, "input_bytes": int,
    "key": str, "stamp": str, "output_stamp": str, "model": str, "params": str, "format": str,
    "files": str,
}  # fmt: skip
DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"
FORMATS = ("parquet", "csv")
_BATCH, _GROUP = 1_000, 20  # rows held at a time, and how many times as many are written at once
Row = Mapping[str, Any]


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


def known_rows(directory: Path, journal: Path, wanted: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the last row of each wanted input.

    Parameters
    ----------
    directory : Path
        That of the manifest.
    journal : Path
    wanted : collection of str
        Inputs; a dictionary or a set.
    """
    found = {row["input"]: row for row in _kept(directory, wanted) if row["input"] in wanted}
    return found | {row["input"]: row for row in journal_rows(journal) if row["input"] in wanted}


def all_rows(directory: Path, journal: Path) -> Iterator[dict[str, Any]]:
    """Yield the last row of each input."""
    later = {row["input"]: row for row in journal_rows(journal)}
    yield from (row for row in _kept(directory, None) if row["input"] not in later)
    yield from later.values()


def taken_names(directory: Path, journal: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each output that is recorded, and its input."""
    for row in _kept(directory, None, ("input", "output")):
        yield row["output"], row["input"]
    for row in journal_rows(journal):
        yield row["output"], row["input"]


def close_journal(directory: Path, journal: Path, form: str) -> Path | None:
    """Make the manifest of the one before and of the journal, and empty the journal.

    Parameters
    ----------
    directory : Path
    journal : Path
    form : str
        One of `FORMATS`.

    Returns
    -------
    Path or None
        The manifest; None where there is nothing to record.
    """
    last = {hash(row["input"]): number for number, row in enumerate(journal_rows(journal))}
    target, before = directory / f"manifest.{form}", manifest_of(directory)
    if not last and before == target:
        return before
    if not last and before is None:
        return None

    def rows() -> Iterator[Row]:
        yield from (row for row in _kept(directory, None) if hash(row["input"]) not in last)
        yield from (row for number, row in enumerate(journal_rows(journal)) if last[hash(row["input"])] == number)

    part = directory / f".manifest.{form}.part"
    try:
        (_write_parquet if form == "parquet" else _write_csv)(rows(), part)
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
    directory: Path, wanted: Collection[str] | None, columns: Collection[str] = tuple(COLUMNS)
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the manifest in a directory; of a large one those alone that are wanted."""
    path = manifest_of(directory)
    if path is None:
        return
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                yield {name: COLUMNS[name](row.get(name) or COLUMNS[name]()) for name in columns}
        return
    from .request import require_pyarrow

    require_pyarrow(str(path))
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            values = pa.array(list(wanted), pa.string()) if wanted is not None else None
            for batch in file.iter_batches(_BATCH, columns=list(columns)):
                yield from (batch if values is None else batch.filter(pc.is_in(batch["input"], values))).to_pylist()
    except (pa.ArrowInvalid, KeyError) as error:
        advice = "Move it away: what is recorded in it runs again."
        raise UsageError(
            str(path), "cannot be read as the manifest of a batch", got=str(error), advice=advice
        ) from error


def _write_csv(rows: Iterator[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(COLUMNS), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Iterator[Row], path: Path) -> None:
    from itertools import islice

    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with pq.ParquetWriter(path, schema) as writer:
        while some := list(islice(_tables(rows, schema), _GROUP)):
            writer.write_table(pa.concat_tables(some))


def _tables(rows: Iterator[Row], schema: Any) -> Iterator[Any]:
    """Yield rows as small tables: as dictionaries they take many times as much memory."""
    from itertools import islice

    import pyarrow as pa

    while some := list(islice(rows, _BATCH)):
        yield pa.table({name: [row.get(name) for row in some] for name in COLUMNS}, schema)
