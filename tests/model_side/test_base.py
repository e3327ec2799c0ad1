"""What every room of model_side uses: hints at names, lists of faults, and what a step reports to the engine."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from model_side.base.directories import temporary_directory
from model_side.base.errors import StepError, UsageError, invoke, listed, near, run_main
from model_side.base.files import move
from model_side.base.found import report_found
from model_side.base.tracebacks import author_traceback
from model_side.base.variables import shared_processors
from model_side.run.late import advice, late_imports
from tests.overlay import can_layer, run_in_layers

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


@pytest.mark.parametrize(
    ("is_tool", "error", "said"),
    [
        (False, ModuleNotFoundError("", name="mlflow"), "has no mlflow. Run it with .venv/bin/python of the model's"),
        (True, ModuleNotFoundError("", name="filelock"), f"has no filelock. Run it with {REPOSITORY}/.venv/bin/python"),
    ],
)
def test_interpreter_without_the_libraries_of_a_command_line_is_named(
    capsys: pytest.CaptureFixture[str], is_tool: bool, error: Exception, said: str
) -> None:
    def main() -> int:
        raise error

    assert run_main(main, is_tool=is_tool) == 2
    assert f"{sys.executable} {said}" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ModuleNotFoundError("", name="authors"), AttributeError("x"), ImportError("x")])
def test_error_of_another_kind_is_not_taken_for_a_wrong_interpreter(error: Exception) -> None:
    def main() -> int:
        raise error

    with pytest.raises(type(error)):
        run_main(main)


MODEL, PAYLOAD = ("--model-uri", "model"), ("--json-payload-file", "payload.json")
OF_MODEL, OF_TOOL = ".venv/bin/python of the model's package", f"{REPOSITORY}/.venv/bin/python"
COMMAND_LINES: dict[str, tuple[tuple[str, ...], str]] = {
    "batch_predict.py": ((*MODEL, "--inputs", "x", "--out", "made"), OF_TOOL),
    "check_model.py": (MODEL, OF_TOOL),
    "download_cache.py": ((), OF_TOOL),
    "download_data.py": ((), OF_TOOL),
    "generate_mlflow_test_payload.py": (MODEL, OF_MODEL),
    "generate_model_pkg_dir_structure.py": (("--model-name", "foo", "--target", "."), OF_TOOL),
    "make_card.py": ((), OF_TOOL),
    "make_report.py": ((), OF_TOOL),
    "make_sbom.py": ((), OF_TOOL),
    "predict_func.py": ((*MODEL, *PAYLOAD), OF_MODEL),
    "prepare_environment.py": ((), OF_TOOL),
    "register_model.py": (("--name", "foo"), OF_MODEL),
    "serve_model.py": ((*MODEL, *PAYLOAD), OF_TOOL),
    "serve_report.py": ((), OF_TOOL),
    "serve_predict.py": ((*MODEL, *PAYLOAD), OF_TOOL),
    "try_model.py": (PAYLOAD, OF_MODEL),
    "sign_model.py": (("--sigstore",), OF_TOOL),
    "verify.py": ((*MODEL, "--predict-output", "p.json", "--test-output", "t.json"), OF_MODEL),
    "write_image.py": ((), OF_TOOL),
    "../model_template/mlflow_template/mlflow_packager.py": (("--out-dir", "made"), OF_MODEL),
    "../tasks.py": ((), str(REPOSITORY / ".venv")),
}
NO_LIBRARY = ("compile_requirements.py", "sync_environment.py")  # uv does their work


def test_table_has_every_command_line() -> None:
    scripts = {path.name for path in (REPOSITORY / "scripts").glob("*.py")}
    assert {Path(name).name for name in (*COMMAND_LINES, *NO_LIBRARY)} == scripts | {"mlflow_packager.py", "tasks.py"}


@pytest.mark.parametrize("script", COMMAND_LINES)
def test_wrong_interpreter_is_told_in_one_line_with_the_right_one(tmp_path: Path, script: str) -> None:
    words, interpreter = COMMAND_LINES[script]
    bare = [sys._base_executable, "-S", os.path.normpath(REPOSITORY / "scripts" / script)]  # type: ignore[attr-defined]
    environment = {"MODEL_SIDE": str(REPOSITORY / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*bare, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {Path(script).name}: {sys._base_executable} has no ")  # type: ignore[attr-defined]
    assert len(done.stderr.splitlines()) == 1
    assert interpreter in done.stderr


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
    assert [each for each in found if each[0] not in ("errors.py", "try_model.py")] == []


@pytest.mark.parametrize(("beside", "share"), [(2, 0.5), (4, 0.25), (10**6, 0)])
def test_processors_are_divided_among_what_runs_side_by_side(beside: int, share: float) -> None:
    processors = len(os.sched_getaffinity(0))
    variables = shared_processors(beside, {"HOME": "/root"})
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"} <= variables.keys()
    assert {"RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "TF_NUM_INTEROP_THREADS"} <= variables.keys()
    assert variables.pop("OMP_WAIT_POLICY") == "passive"
    assert set(variables.values()) == {str(max(1, int(processors * share)))}


@pytest.mark.parametrize(
    ("beside", "own"), [(1, {}), (0, {}), (4, {"MKL_NUM_THREADS": "16", "OMP_WAIT_POLICY": "active"})]
)
def test_processors_are_left_alone_when_nothing_runs_beside_or_their_author_has_decided(
    beside: int, own: dict[str, str]
) -> None:
    assert shared_processors(beside, own) == own


CODE = """
import json
from . import beside

class Model:
    def load_context(self, context):
        import colorsys, json, stringprep
        from sys import path
        from never_imported import x
"""


def test_import_inside_a_function_is_named_after_a_slow_prediction(tmp_path: Path) -> None:
    (tmp_path / "model_code").mkdir()
    (tmp_path / "model_code" / "m.py").write_text(CODE)
    (tmp_path / "model_code" / "beside.py").write_text("import stringprep\n")
    before = frozenset({"sys", "json"})
    __import__("colorsys")
    __import__("stringprep")
    assert late_imports(tmp_path / "model_code", before) == ["colorsys"]  # the others are there before, or at a top
    assert "colorsys: imported inside a function" in advice(2.1, tmp_path / "model_code", before)
    assert advice(1.9, tmp_path / "model_code", before) == ""
    assert advice(2.1, tmp_path / "model_code", {*before, "colorsys"}) == ""


HOLDS = """
import os, sys
from model_side.base.directories import temporary_directory
with temporary_directory("ours-") as directory:
    (directory / "model").mkdir()
    (directory / "model" / "w.bin").touch(0o400)
    (directory / "model").chmod(0o500)
    print(directory, flush=True)
    sys.stdin.read() or os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    command = [sys.executable, "-c", HOLDS]
    dead = subprocess.run(command, env=env, input="", capture_output=True, text=True, check=False)
    assert dead.returncode == -9
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as alive:
        assert alive.stdout
        assert alive.stdin
        places = {
            name: Path(text.strip()) for name, text in (("dead", dead.stdout), ("alive", alive.stdout.readline()))
        }
        (tmp_path / "ours-too").write_text("a file")
        for path in tmp_path.iterdir():
            os.utime(path, (0, 0))
        with temporary_directory("ours-") as young:
            assert sorted(tmp_path.iterdir()) == sorted([places["alive"], young, tmp_path / "ours-too"])
        alive.stdin.write("go on")
        alive.stdin.close()
    assert alive.returncode == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "ours-too"]


def test_traceback_begins_in_the_authors_code_and_not_in_the_base_class_that_called_it(tmp_path: Path) -> None:
    code = tmp_path / "model_code"
    code.mkdir()
    sources = {
        "__init__.py": "def predict(forward):\n    return forward()\n",
        "own.py": "def forward():\n    raise KeyError\n",
    }
    names: dict[str, Any] = {}
    for name, source in sources.items():
        (code / name).write_text(source)
        exec(compile(source, str(code / name), "exec"), names)
    with pytest.raises(KeyError) as raised:
        names["predict"](names["forward"])
    frames = [line for line in author_traceback(raised.value, [code]).splitlines() if line.startswith("  File")]
    assert frames == [f'  File "{code}/own.py", line 2, in forward']
    with pytest.raises(TypeError) as raised_by_base:
        names["predict"](None)
    assert f'File "{code}/__init__.py", line 2, in predict' in author_traceback(raised_by_base.value, [code])


# Puts a new directory in the place of one from a layer below, and moves another.
REPLACED = """
from pathlib import Path
from model_side.base.files import move, publish_directory
for name in ("new/deep", "other"):
    Path(name).mkdir(parents=True)
Path("new/deep/file").write_text("2")
publish_directory(Path("new"), Path("model"))
move(Path("data"), Path("other/data"))
print({str(path): path.is_symlink() or path.read_text() for path in sorted(Path().rglob("*")) if not path.is_dir()})
"""


@pytest.mark.skipif(not can_layer(), reason="this system does not let a user mount layers")
def test_directory_is_replaced_and_moved_when_it_lies_in_a_layer_of_a_container(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("model/deep/file", "model/gone", "data/file"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1")
    (root / "data" / "link").symlink_to("nowhere")
    done = run_in_layers(root, REPLACED)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == {"model/deep/file": "2", "other/data/file": "1", "other/data/link": True}


def test_mount_point_is_named_when_it_is_to_be_moved(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"/proc: cannot be moved: got Device or resource busy\. It is a mount point"):
        move(Path("/proc"), Path("/proc.old"))
