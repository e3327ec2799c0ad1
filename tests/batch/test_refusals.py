"""What a batch refuses before any work: nothing is loaded, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batch.run
from model_side.base.errors import ReportedError, StepError, UsageError
from tests.predict.conftest import uri_to_pair

Run = Callable[..., int]
Write = Callable[..., Path]
pytestmark = pytest.mark.xdist_group("batch")


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ({"inputs": "nowhere/*.h5ad"}, "no file matches the pattern"),
        ({"inputs": "nowhere"}, "no such file or directory"),
        ({"params": '{"scal": 2.0}'}, "Did you mean 'scale'?"),
        ({"params": '{"scale": "two"}'}, "params.scale: expected double"),
        ({"params": "{"}, "not JSON"),
        ({"workers": -1}, "--workers: out of range"),
        ({"rows": 0}, "--rows: out of range"),
        ({"time_limit": 0.0}, "--time-limit: out of range"),
        ({"actor_cpus": -1.0}, "--actor-cpus: out of range"),
        ({"manifest_format": "cvs"}, "Did you mean 'csv'?"),
        ({"ray": "localhost"}, "--ray: not an address"),
        ({"inputs": ""}, "--inputs: missing"),
        ({"verified_only": True}, "it is not verified"),
        ({"out": "nosuch://place/x"}, "nosuch"),
    ],
)
def test_request_is_refused(inputs: Write, run: Run, tmp_path: Path, flags: dict[str, object], fault: str) -> None:
    inputs(a="1")
    with pytest.raises(UsageError) as caught:
        run(**flags)
    assert fault in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("manifest", "said"), [(False, "mlflow_packager.py did not make it"), (True, "`check_model.py --model-uri ")]
)
def test_model_without_a_proof_is_warned_of_with_what_can_be_done(
    obeys: Path,
    inputs: Write,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    manifest: bool,
    said: str,
) -> None:
    model = shutil.copytree(obeys, tmp_path / "received")
    if manifest:
        (model / "package_manifest.json").write_text("{}")
    inputs(a="1")
    assert run(model_uri=str(model), dry_run=True) == 0
    assert f"warning: {model}: it is not verified: {said}" in capsys.readouterr().err


def test_every_fault_of_a_list_is_named_with_its_line(inputs: Write, run: Run, tmp_path: Path) -> None:
    directory = inputs(a="1", b="2")
    listed = tmp_path / "list.txt"
    listed.write_text(f"\ufeff# ours\n{directory}/a.in\n\n{directory}/c.in\n{directory}/b.in\n{directory}/./a.in\n")
    with pytest.raises(UsageError) as caught:
        run(inputs=str(listed))
    assert f"{listed}:1:" not in str(caught.value)
    assert f"{listed}:4: {directory}/c.in: no such file" in str(caught.value)
    assert f"{listed}:6: {directory}/./a.in: it is the same input as in line 2" in str(caught.value)


def test_input_whose_name_no_manifest_can_hold_is_refused(inputs: Write, run: Run, tmp_path: Path) -> None:
    (inputs(a="1") / os.fsdecode(b"b\xff.in")).write_text("2")
    with pytest.raises(UsageError, match=r"b.udcff.in': its name is not UTF-8"):
        run()
    assert not (tmp_path / "out").exists()


def test_list_for_a_model_of_texts_is_refused_with_what_it_takes(
    save_model: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    listed = tmp_path / "texts.txt"
    listed.write_text("a sentence\n")
    model = save_model("texts", uri_to_pair(), metadata={"archetype": "text_to_tensor"})
    with pytest.raises(UsageError, match="expected a table or a payload of uri: string"):
        run(model_uri=str(model), inputs=str(listed))


def test_table_without_the_models_columns_is_refused(inputs: Write, run: Run, tmp_path: Path) -> None:
    table = tmp_path / "cohort.csv"
    table.write_text("url\nx.in\n")
    with pytest.raises(UsageError) as caught:
        run(inputs=str(table))
    assert "unknown column \"url\". Did you mean 'uri'?" in str(caught.value)
    assert 'column "uri" is missing' in str(caught.value)


def test_rows_at_fault_are_named_with_their_line_and_params_of_a_payload_are_refused(run: Run, tmp_path: Path) -> None:
    table, payload = tmp_path / "cohort.csv", tmp_path / "asked.json"
    table.write_text("uri\na\n\nb,c\n")
    with pytest.raises(UsageError, match=rf"{table}:4: expected a list of 1 values"):
        run(inputs=str(table))
    payload.write_text('{"dataframe_records": [{"uri": "a"}], "params": {"scale": 2.0}}')
    with pytest.raises(UsageError, match="Give them by --params"):
        run(inputs=str(payload))


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"schema": 99, "model": {}}, "a newer version of this tool wrote it"),
        ({"schema": 1, "model": {"name": "other", "signature": "x"}}, "it holds outputs of another model"),
        ([], "cannot be read as what a batch wrote"),
        (None, "this tool did not write it"),
    ],
)
def test_directory_of_others_is_refused_and_stays(
    inputs: Write, run: Run, tmp_path: Path, header: object, fault: str
) -> None:
    inputs(a="1")
    hidden = tmp_path / "out" / ".batch"
    hidden.mkdir(parents=True)
    if header is not None:
        (hidden / "batch.json").write_text(json.dumps(header))
    else:
        (tmp_path / "out" / "manifest.csv").write_text("mine")
    before = {path: path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=fault):
        run(manifest_format="csv")
    assert {path: path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_place_that_cannot_be_written_is_named(inputs: Write, run: Run) -> None:
    inputs(a="1")
    with pytest.raises(ReportedError, match="/proc/nowhere: cannot be written"):
        run(out="/proc/nowhere")


def test_two_batches_do_not_write_to_one_place(inputs: Write, run: Run, tmp_path: Path) -> None:
    from filelock import FileLock

    inputs(a="1")
    half = tmp_path / "out" / ".batch" / "parts" / "0"
    half.parent.mkdir(parents=True)
    half.write_text("of the other")
    with FileLock(half.parents[1] / "lock"), pytest.raises(StepError, match="another batch is writing to it"):
        run()
    assert half.read_text() == "of the other"


def test_batch_that_ended_since_it_was_decided_what_runs_keeps_its_outputs(
    inputs: Write, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, plan = tmp_path / "other" / "a.in", batch.run.make_plan
    inputs(a="1")
    other.parent.mkdir()
    other.write_text("2")

    def meanwhile(*words: Any, **flags: Any) -> Any:
        monkeypatch.undo()
        made = plan(*words, **flags)
        assert run(inputs=str(other)) == 0
        return made

    monkeypatch.setattr(batch.run, "make_plan", meanwhile)
    with pytest.raises(StepError, match="another batch has just written to it"):
        run()
    assert np.load(tmp_path / "out" / "a.in.npy").tolist() == [[2, 1]]
