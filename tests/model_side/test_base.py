"""What every room of model_side uses: hints at names, lists of faults, and what a step reports to the engine."""

from __future__ import annotations

import ast
import json
import sys
from itertools import count
from pathlib import Path

import pytest

from model_side.base.advice import invoke
from model_side.base.errors import UsageError, listed, near, run_main
from model_side.base.found import report_found

REPOSITORY = Path(__file__).parents[2]


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


@pytest.mark.parametrize(
    ("place", "flags"),
    [
        ("clone/models/foo_mlflow_pkg", "--model foo"),
        ("clone/models/foo_mlflow_pkg/model_data/deep/w.bin", "--model foo"),
        ("clone/others/foo_mlflow_pkg", "--model foo --models-dir {base}/clone/others"),
        ("models/foo_mlflow_pkg", "--model foo --models-dir {base}/models"),
        ("my models/foo_mlflow_pkg", "--model foo --models-dir '{base}/my models'"),
        ("received/model", "--model NAME"),
    ],
)
def test_advice_names_the_model_that_it_is_about(tmp_path: Path, place: str, flags: str) -> None:
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "tasks.py").touch()
    expected = f"`invoke download-data --lock {flags.format(base=tmp_path)}`"
    assert invoke("download-data --lock", tmp_path / place) == expected


def test_advice_is_about_the_working_directory_where_no_place_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foo_mlflow_pkg").mkdir()
    monkeypatch.chdir(tmp_path / "foo_mlflow_pkg")
    assert invoke("payload") == f"`invoke payload --model foo --models-dir {tmp_path}`"


def test_advice_that_is_a_command_is_written_by_one_function() -> None:
    """Text in code that quotes an invoke command would act on the default model; docstrings explain tasks."""
    found = []
    for path in sorted((REPOSITORY / "scripts").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "`invoke " in node.value:
                found.append((path.name, node.value.split("\n")[0]))
    assert [each for each in found if each[0] not in ("advice.py", "try_model.py")] == []
