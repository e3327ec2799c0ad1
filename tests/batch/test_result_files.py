"""A model whose outputs are the URIs of result files: each input's lie in a directory of --out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from model_side.base.errors import UsageError
from tests.object_store import object_store, put

__all__ = ["object_store"]
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("batch"), pytest.mark.filterwarnings("ignore")]
Run = Callable[..., int]
Write = Callable[..., Path]


def test_result_files_are_collected_and_never_taken_for_inputs(
    inputs: Write, run: Run, writes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, out = inputs(a="one", b="two", c="raise", d="beside"), tmp_path / "inputs" / "results"

    def call(**flags: object) -> str:
        given = {"model_uri": str(writes), "inputs": str(directory), "out": str(out), "manifest_format": "csv"}
        code = run(**{**given, **flags})
        return f"{code} {capsys.readouterr().out}"

    assert call().startswith("1 2 done, 2 failed")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.out")) == [
        "a.in.files/a.in.out",
        "b.in.files/b.in.out",
    ]
    with (out / "manifest.csv").open(newline="") as stream:
        rows = {Path(row["input"]).name: row for row in csv.DictReader(stream)}
    content = sha256(b"ONE").hexdigest()
    assert json.loads(rows["a.in"]["files"]) == [["a.in.out", content]]
    assert rows["a.in"]["sha256"] == sha256(f"{content}  a.in.out\n".encode()).hexdigest()
    assert (rows["a.in"]["rows"], rows["c.in"]["kind"], rows["d.in"]["kind"]) == ("1", "KeyError", "output")
    assert "a result lies elsewhere" in rows["d.in"]["error"]
    assert not list((out / ".batch" / "parts").iterdir())
    inputs(b="three", c="four", d="five")
    assert call().startswith("0 3 done, 0 failed, 1 up to date")
    assert (out / "b.in.files" / "b.in.out").read_text() == "THREE"
    assert call() == "0 nothing to do: 4 of 4 are up to date\n"
    (out / "a.in.files" / "a.in.out").write_text("edited")
    with pytest.raises(UsageError, match=r"a\.in\.files"):
        call()


def test_result_files_go_to_the_store(
    inputs: Write, run: Run, writes: Path, object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    monkeypatch.setenv("MODEL_BATCH_CACHE", str(tmp_path / "journals"))
    put(f"{object_store}/bucket")
    inputs(a="one")
    assert run(model_uri=str(writes), out="s3://bucket/results") == 0
    store = s3fs.S3FileSystem(skip_instance_cache=True)
    assert store.cat("bucket/results/a.in.files/a.in.out") == b"ONE"
    inputs(a="two")
    assert run(model_uri=str(writes), out="s3://bucket/results") == 0
    assert store.find("bucket/results/a.in.files") == ["bucket/results/a.in.files/a.in.out"]
    store.invalidate_cache()
    assert store.cat("bucket/results/a.in.files/a.in.out") == b"TWO"


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ({"params": '{"output_dir": "elsewhere"}'}, "output_dir is not yours to give"),
        ({"format": "npy"}, "expected one of files"),
        ({"out": "inputs"}, "they lie in --out"),
    ],
)
def test_request_that_would_lose_result_files_is_refused(
    inputs: Write, run: Run, writes: Path, tmp_path: Path, flags: dict[str, str], fault: str
) -> None:
    inputs(a="one")
    if out := flags.pop("out", ""):
        flags["out"] = str(tmp_path / out)
    with pytest.raises(UsageError, match=fault):
        run(model_uri=str(writes), **flags)
    assert sorted(path.name for path in (tmp_path / "inputs").iterdir()) == ["a.in"]
