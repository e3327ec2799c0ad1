"""A cohort through a model on this machine: what runs, what is recorded, and what a bad input costs."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_side.base.errors import StepError, UsageError

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("batch")]
Capture = pytest.CaptureFixture[str]
Run = Callable[..., int]
Write = Callable[..., Path]
SCRIPT = Path(__file__).parents[2] / "scripts" / "batch_predict.py"


def rows(out: Path) -> dict[str, Mapping[str, str]]:
    with (out / "manifest.csv").open(newline="") as stream:
        return {Path(row["input"]).name: row for row in csv.DictReader(stream)}


def test_each_input_has_its_output_and_a_row_and_a_second_call_does_nothing(
    inputs: Write, run: Run, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs(a="1", b="2", c="3")
    (tmp_path / "mlflow.py").write_text("raise RuntimeError('of the working directory')")
    monkeypatch.chdir(tmp_path)
    assert run() == 0
    import pyarrow.parquet as pq

    out = tmp_path / "out"
    assert [np.load(out / f"{name}.in.npy").tolist() for name in "abc"] == [[[1, 1]], [[2, 1]], [[3, 1]]]
    table = pq.read_table(out / "manifest.parquet").to_pylist()
    assert {(Path(row["input"]).name, row["output"], row["status"], row["dtype"]) for row in table} == {
        (f"{name}.in", f"{name}.in.npy", "done", "float32") for name in "abc"
    }
    assert all(row["peak_memory"] > 2**24 and row["shape"] == "[1, 2]" for row in table)
    capsys.readouterr()
    assert run() == 0
    assert capsys.readouterr().out == "nothing to do: 3 of 3 are up to date\n"
    assert (out / ".batch" / "journal.jsonl").read_bytes() == b""


def test_only_what_is_stale_runs(inputs: Write, run: Run, obeys: Path, tmp_path: Path, capsys: Capture) -> None:
    inputs(a="1", b="2", c="3")
    assert run(manifest_format="csv") == 0

    def reasons(**flags: object) -> dict[str, int]:
        capsys.readouterr()
        before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "out").iterdir())
        run(manifest_format="csv", dry_run=True, json=True, **flags)
        assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "out").iterdir()) == before
        found: dict[str, int] = json.loads(capsys.readouterr().out)["found"]["reasons"]
        return found

    (obeys / "model.sig").write_text("MLflow never loads it")
    assert reasons() == {}
    (obeys / "model.sig").unlink()
    assert reasons(params='{"scale": 2.0}') == {"the params changed": 3}
    assert reasons(format="npz") == {"another format is wanted": 3}
    inputs(a="1", b="20", d="4")
    (tmp_path / "out" / "c.in.npy").unlink()
    assert reasons() == {"the input changed": 1, "its output has been removed": 1, "never predicted": 1}
    assert run(manifest_format="csv") == 0
    assert np.load(tmp_path / "out" / "b.in.npy")[0, 0] == 20
    assert sorted(rows(tmp_path / "out")) == ["a.in", "b.in", "c.in", "d.in"]


def test_bad_input_costs_itself_only(inputs: Write, run: Run, tmp_path: Path, capsys: Capture) -> None:
    once = tmp_path / "died"
    good = {f"good{number}": str(number) for number in range(6)}
    bad = {
        "raises": "raise gene",
        "exits": "exit 7",
        "crashes": "crash",
        "writes": "write",
        "nans": "nan",
        "wide": "wide",
    }
    inputs(**good, **bad, survives=f"once {once}")
    assert run(manifest_format="csv", workers=2) == 1
    told, found = capsys.readouterr().out, rows(tmp_path / "out")
    assert {name for name, row in found.items() if row["status"] == "failed"} == {f"{name}.in" for name in bad}
    assert len(list((tmp_path / "out").glob("*.npy"))) == 7
    assert "7 done, 6 failed" in told
    assert re.search(r"^died +2$", told, re.MULTILINE)
    assert "KeyError: 'gene'" in found["raises.in"]["error"]
    assert found["raises.in"]["kind"] == "KeyError"
    assert "exit code 7" in found["exits.in"]["error"]
    assert "SIGSEGV" in found["crashes.in"]["error"]
    assert found["survives.in"]["worker"].startswith("alone")
    log = (tmp_path / "out" / "errors.log").read_text()
    assert "raise KeyError(rest)" in log
    assert "in main" not in log
    (tmp_path / "inputs" / "raises.in").write_text("9")
    (tmp_path / "inputs" / "new.in").write_text("10")
    for name in ("exits", "crashes", "writes", "nans", "wide"):
        (tmp_path / "inputs" / f"{name}.in").write_text("8")
    capsys.readouterr()
    assert run(manifest_format="csv", retry_failed=True) == 0
    assert "6 done, 0 failed, 7 up to date" in capsys.readouterr().out
    assert "new.in" not in rows(tmp_path / "out")


def test_hang_ends_at_the_time_limit(inputs: Write, run: Run, tmp_path: Path) -> None:
    inputs(a="1", hangs="hang")
    assert run(manifest_format="csv", time_limit=2.0) == 1
    row = rows(tmp_path / "out")["hangs.in"]
    assert (row["status"], row["kind"]) == ("failed", "time limit")


def test_model_that_cannot_be_loaded_is_one_fault(
    inputs: Write, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs(a="1", b="2")
    monkeypatch.setenv("MLFLOW_TEST_NO_LOAD", "1")
    with pytest.raises(StepError, match="RuntimeError: no weights"):
        run()
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_names_do_not_collide_and_files_of_others_stay(inputs: Write, run: Run, tmp_path: Path) -> None:
    directory = inputs(a="1")
    (directory / "sub").mkdir()
    (directory / "sub" / "a.in").write_text("2")
    pattern, out = str(directory / "**" / "*.in"), tmp_path / "out"
    assert run(inputs=pattern) == 0
    names = sorted(path.name for path in out.glob("*.npy"))
    assert len(names) == 2
    assert all(name.startswith("a.in-") for name in names)
    (directory / "b.in").write_text("3")
    (out / "b.in.npy").write_text("mine")
    with pytest.raises(UsageError, match=r"b\.in\.npy"):
        run(inputs=pattern)
    assert (out / "b.in.npy").read_text() == "mine"
    (out / names[0]).write_text("edited")
    with pytest.raises(UsageError, match=names[0]):
        run(inputs=str(directory / "**" / "a.in"))


def test_outputs_have_short_names_that_are_not_the_tools_own(inputs: Write, run: Run, tmp_path: Path) -> None:
    directory, long = inputs(), "語" * 84
    (directory / "envelope").write_text("1")
    (directory / f"{long}.i").write_text("2")
    assert run(inputs=str(directory), format="json") == 0
    names = {path.name for path in (tmp_path / "out").glob("*.json")}
    (own,) = {name for name in names if name.startswith("envelope-")}
    assert names == {own, f"{long[-59:]}.i.json"}


def command(model: Path, tmp_path: Path, *words: str) -> list[str]:
    given = ["--model-uri", str(model), "--inputs", str(tmp_path / "inputs"), "--out", str(tmp_path / "out")]
    return [sys.executable, str(SCRIPT), *given, "--workers", "1", "--manifest-format", "csv", *words]


def wait_for(process: subprocess.Popen[Any], path: Path) -> None:
    """Return when a file is there, or the process has ended."""
    while not path.exists() and process.poll() is None:
        os.sched_yield()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_batch_goes_on_where_it_was(inputs: Write, obeys: Path, tmp_path: Path, number: signal.Signals) -> None:
    inputs(a="1", b="2", zz="hang")
    words = command(obeys, tmp_path)
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        wait_for(process, tmp_path / "out" / "b.in.npy")
        process.send_signal(number)
        told = process.communicate()[1]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert re.search("[12] are left; to go on:\n", told)  # as below
        assert str(SCRIPT) in told
    inputs(zz="3")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    finished = 1 if "1 done" in done.stdout else 2  # the row of the last may not have been written
    assert f"{finished} done, 0 failed, {3 - finished} up to date" in done.stdout
    assert sorted(rows(tmp_path / "out")) == ["a.in", "b.in", "zz.in"]


def test_rows_of_tables_and_payloads_are_units(obeys: Path, inputs: Write, run: Run, tmp_path: Path) -> None:
    directory = inputs(a="1", b="2", c="3")
    paths = [str(directory / f"{name}.in") for name in "abc"]
    table, payload = tmp_path / "cohort.csv", tmp_path / "asked.json"
    table.write_text("\n".join(["uri", *paths]) + "\n")
    payload.write_text(json.dumps({"dataframe_records": [{"uri": each} for each in paths]}))
    assert run(inputs=str(table), manifest_format="csv", format="json") == 0
    assert sorted(rows(tmp_path / "out")) == ["cohort.csv[0]", "cohort.csv[1]", "cohort.csv[2]"]
    answer = json.loads((tmp_path / "out" / "cohort.csv_1.json").read_text())
    assert answer == {"predictions": [[2.0, 1.0]]}
    assert run(inputs=str(payload), manifest_format="csv", rows=2) == 0
    assert {"asked.json[0:2]", "asked.json[2:4]"} <= rows(tmp_path / "out").keys()


FULL = """
mkdir out && mount -t tmpfs -o size=1m tmpfs out || exit 77
"$@"
code=$?
find out -name '*.npy' -size +0; grep -c '"done"' out/.batch/journal.jsonl out/manifest.csv
exit $code
"""


def test_full_disk_ends_the_batch_and_what_is_done_stays(inputs: Write, obeys: Path, tmp_path: Path) -> None:
    inputs(a="rows 10", b="rows 1000000", c="rows 10")
    words = ["unshare", "-rm", "sh", "-c", FULL, "sh", *command(obeys, tmp_path)]
    try:
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 1
    assert "/out: cannot be written: got " in done.stderr
    assert "out/a.in.npy" in done.stdout
