"""The manifest of a batch: what is in it stays, of whatever version and size, and what is recorded last counts."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.manifest import COLUMNS, DECIDING, Journal, all_rows, close_journal, manifest_of, recorded_rows
from model_side.base.errors import UsageError

ROWS = 5_000


def older(directory: Path, form: str) -> None:
    """Write a manifest as a version did that had one column less."""
    names = [name for name in COLUMNS if name != "files"]
    empty = {name: COLUMNS[name]() for name in names}
    rows = [{**empty, "input": f"in{n}", "output": f"in{n}.npy", "status": "done", "rows": n} for n in range(ROWS)]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), directory / "manifest.parquet")
        return
    with (directory / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)


def record(path: Path, *rows: dict[str, object]) -> None:
    journal = Journal(path)
    for row in rows:
        journal.append(row)
    journal.close()


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("before", ["parquet", "csv"])
def test_manifest_keeps_what_is_in_it_and_the_last_that_a_journal_has_of_an_input(
    before: str, form: str, tmp_path: Path
) -> None:
    older(tmp_path, before)
    path = tmp_path / "journal.jsonl"
    facts = {"output": "x.npy", "status": "done", "files": "[]"}
    record(path, *({"input": name, "rows": rows, **facts} for name, rows in (("in7", 70), ("in7", 77), ("new", 1))))
    assert close_journal(tmp_path, path, form) == manifest_of(tmp_path) == tmp_path / f"manifest.{form}"
    found = {row["input"]: row for row in all_rows(tmp_path, path)}
    assert len(found) == ROWS + 1
    assert [found[name]["rows"] for name in ("in0", "in7", "in4999", "new")] == [0, 77, 4999, 1]
    assert [found[name].get("files") or "" for name in ("in0", "in7")] == ["", "[]"]
    assert not path.read_bytes()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_manifest_that_pandas_has_written_again_is_read(form: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    record(path, {"input": "in1", "rows": 3, "files": "x" * 200_000}, {"input": "in2"})
    table = pd.read_csv if form == "csv" else pd.read_parquet
    made = close_journal(tmp_path, path, form)
    assert made
    frame = table(made).astype({"rows": float, "input": "category"})
    frame.to_csv(made) if form == "csv" else frame.to_parquet(made)
    record(path, {"input": "in3"})
    close_journal(tmp_path, path, form)
    assert [(row["input"], row["rows"] or 0) for row in all_rows(tmp_path, path)] == [
        ("in1", 3),
        ("in2", 0),
        ("in3", 0),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.parquet", b"junk"),
        ("manifest.csv", b"\xff\xfe"),
        ("manifest.csv", b"input,output\na,b\n"),
        ("manifest.csv", f"{','.join(COLUMNS)}\n{'x,' * len(COLUMNS)}\n".encode()),
    ],
)
def test_manifest_that_cannot_be_read_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read as the manifest of a batch"):
        list(all_rows(tmp_path, tmp_path / "journal.jsonl"))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_what_is_asked_of_a_large_manifest_is_found_by_inputs_and_by_outputs(form: str, tmp_path: Path) -> None:
    older(tmp_path, form)
    path = tmp_path / "journal.jsonl"
    record(path, {"input": "in9", "output": "in9.npz", "status": "interrupted"})
    found = list(recorded_rows(tmp_path, path, "input", {"in9", "absent"}))
    assert [(row["input"], row["output"], row["status"]) for row in found] == [
        ("in9", "in9.npy", "done"),
        ("in9", "in9.npz", "interrupted"),
    ]
    assert found[0].keys() == set(DECIDING)
    assert [row["input"] for row in recorded_rows(tmp_path, path, "output", {"in8.npy", "in9.npz"})] == ["in8", "in9"]
