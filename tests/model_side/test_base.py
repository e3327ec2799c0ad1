"""What every room of model_side uses: hints at names, lists of faults, and what a step reports to the engine."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path

import pytest

from model_side.base.errors import UsageError, listed, near, run_main
from model_side.base.found import report_found


def test_report_is_written_whole_when_the_engine_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report_found({"digest": "sha256:00"})
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("STEP_FOUND", str(tmp_path / "found.json"))
    report_found({"digest": "sha256:00"})
    report_found({"digest": "sha256:11", "rows": 2})
    assert {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {
        "found.json": {"digest": "sha256:11", "rows": 2}
    }


def test_nearest_name_is_asked_for_when_one_is_near() -> None:
    assert near("parms", ("inputs", "params")) == "Did you mean 'params'?"
    assert near("x", {"params": 1}) == ""


def test_list_of_faults_ends_at_the_most_when_there_are_more() -> None:
    assert listed([]) == ""
    assert listed(["a", "b"], 2) == listed(["a", "b"]) == "\n  a\n  b"
    assert listed(map(str, count()), 2) == "\n  0\n  1\n  and more"


def test_interpreter_without_the_models_libraries_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    assert run_main(main) == 2
    assert f"{sys.executable} has no mlflow. Run it with .venv/bin/python" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["did you mean 'a'?", "it is wrong", "it is wrong."])
def test_error_ends_in_one_stop(fault: str) -> None:
    assert str(UsageError("x", fault)) == f"x: {fault.removesuffix('.')}{'' if fault.endswith('?') else '.'}"
