"""serve_predict answers from the rebuilt environment, or hands the manual way's command to MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import check_model
import pytest
import serve_predict as command

from model_side.base.errors import UsageError
from model_side.model.manifest import seal
from model_side.verify.checks import held_checks, lines
from serving.predict import author_part, require_manager
from serving.rebuilt import cache_directory
from serving.sandbox.leash import Limits, allows

from .conftest import PINS, uri_to_pair

CODE = '''
import os
import pickle
import socket
import sys
import ctypes
from contextlib import suppress
from importlib.metadata import distributions

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

PLACE = os.path.expanduser("~/weights.bin")


class Echo(PythonModel):
    """Print, and fail where the URI says so."""

    def predict(self, context, model_input, params=None):
        installed = sorted(f"{each.name}=={each.version}" for each in distributions())
        print("the model's own words, from", sys.prefix, *installed)
        if model_input["uri"].iloc[0] == "here":
            open("beside_the_package.txt").close()
        if model_input["uri"].iloc[0] == "there":
            socket.create_connection(("192.0.2.1", 9), timeout=5)
        if model_input["uri"].iloc[0] == "home" and not ctypes.CDLL(None).fopen(PLACE.encode(), b"r"):
            raise FileNotFoundError(PLACE)  # which no audit hook sees
        if model_input["uri"].iloc[0] == "watched":
            print("watched:", "PREDICTION_WATCH_LOG" in os.environ)
        if model_input["uri"].iloc[0] == "kill":
            os.kill(os.getpid(), 9)
        if model_input["uri"].iloc[0] == "crash":
            ctypes.string_at(0)
        if model_input["uri"].iloc[0] == "module":
            import no_such_module
        if model_input["uri"].iloc[0] == "cache" and os.path.exists(PLACE):
            open(PLACE).close()
        if model_input["uri"].iloc[0] == "writes":
            for name in ("mkdir", "unlink", "rmdir"):
                with suppress(OSError):
                    getattr(os, name)("/no/such/" + name)
            for name in ("rename", "symlink", "link"):
                with suppress(OSError):
                    getattr(os, name)("/no/such/source", "/no/such/" + name)
            with suppress(OSError):
                open("/no/such/open", "w")
            with suppress(OSError):
                pickle.loads(b"cos\\nmkdir\\n(S'/no/such/pickled'\\ntR.")
        if model_input["uri"].iloc[0] == "variable":
            os.environ["REF_SCALE"]
        if model_input["uri"].iloc[0] == "default":
            return np.full((len(model_input), 2), float(os.getenv("REF_SCALE", "0.5")), "float32")
        if model_input["uri"].iloc[0] == "locale":
            return np.full((len(model_input), 2), {"C": 1, "C.UTF-8": 2}[os.environ["LC_ALL"]], "float32")
        if model_input["uri"].iloc[0].endswith(".bam"):
            with open(model_input["uri"].iloc[0] + ".bai") as index:
                return np.full((len(model_input), 2), float(index.read()), "float32")
        if model_input["uri"].iloc[0].endswith("itself"):
            open(__file__, "a").close()
        if model_input["uri"].iloc[0] == "bad":
            raise ValueError("cannot open it")
        return np.full((len(model_input), 2), 0.5, "float32")


set_model(Echo())
'''


@pytest.mark.parametrize(("manager", "program"), [("virtualenv", "pyenv"), ("conda", "conda")])
def test_program_is_named_with_how_to_get_it_when_it_is_missing(manager: str, program: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{program}: not found: --env-manager {manager} needs it. .*http|Install"):
        require_manager(manager, {"PATH": str(tmp_path)})


@pytest.mark.parametrize(("manager", "more"), [("uv", {}), ("local", {}), ("conda", {"CONDA_EXE": "/opt/bin/conda"})])
def test_no_program_is_asked_for_when_the_manager_needs_none(
    manager: str, more: dict[str, str], tmp_path: Path
) -> None:
    require_manager(manager, {"PATH": str(tmp_path), **more})


LOG = """INFO mlflow: start
Traceback (most recent call last):
  File "/env/mlflow/pyfunc/model.py", line 1, in predict
    return self.model.predict(x)
  File "/p/model/code/model_code/foo.py", line 7, in _forward
    raise ValueError("x")
  File "/env/numpy/core.py", line 3, in f
ValueError: x
Traceback (most recent call last):
  File "/env/mlflow/cli.py", line 1, in predict
mlflow.exceptions.MlflowException: exit 1
"""


def test_traceback_starts_in_the_models_code_when_the_log_has_one() -> None:
    shown = author_part(LOG.splitlines(keepends=True), "/p/model")
    assert shown.splitlines()[1].startswith('  File "/p/model/code/model_code/foo.py"')
    assert shown.splitlines()[-1] == "ValueError: x"
    assert author_part(LOG.splitlines(keepends=True), "/p/other") == ""


def saved(save_model: Callable[..., Path], name: str, **given: Any) -> Path:
    return save_model(name, uri_to_pair(), CODE, pip_requirements=PINS, **given)


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Path:
    return saved(save_model, "served")


def serve(
    model: Path, directory: Path, uri: str, *flags: str, name: str = "payload.json"
) -> subprocess.CompletedProcess[str]:
    (directory / name).write_text(json.dumps({"inputs": {"uri": [uri]}}), encoding="utf-8")
    argv = [sys.executable, command.__file__, "--model-uri", str(model), "--json-payload-file", name]
    argv += ["--output-path", "answer.json", *flags]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def report_in(directory: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    return made


REST = ("--rest-output", "rest.json", "--report", "report.json")


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["served.json", "answer.json", "used.log"])
def test_payload_may_have_any_name(model: Path, tmp_path: Path, name: str) -> None:
    done = serve(model, tmp_path, "a", "--output-path", "out.json", name=name)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == {"predictions": [[0.5, 0.5]]}


def seen_by_the_model(done: subprocess.CompletedProcess[str]) -> tuple[str, list[str]]:
    """Return the model's sys.prefix and what is installed there."""
    assert done.returncode == 0, done.stderr
    prefix, *distributions = done.stderr.partition("the model's own words, from ")[2].splitlines()[0].split()
    return prefix, distributions


def test_payload_is_refused_before_anything_starts_when_it_has_a_placeholder(model: Path, tmp_path: Path) -> None:
    done = serve(model, tmp_path, "<string: uri>")
    assert done.returncode == 2
    assert "still the placeholder" in done.stderr
    assert "mlflow.models" not in done.stderr


@pytest.mark.e2e
def test_answer_is_written_and_kept_when_a_later_call_fails_in_the_model(model: Path, tmp_path: Path) -> None:
    done = serve(model, tmp_path, "a", "--env-manager", "local")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert json.loads((tmp_path / "answer.json").read_text(encoding="utf-8")) == {"predictions": [[0.5, 0.5]]}
    done = serve(model, tmp_path, "bad", *REST)
    assert done.returncode == 1
    tail = done.stderr[done.stderr.rindex("Traceback") :]
    assert "served.py" in tail.splitlines()[1]
    assert "ValueError: cannot open it" in tail
    assert "error: mlflow models predict: failed with exit code 1." in tail
    assert {path.name for path in tmp_path.iterdir()} == {"payload.json", "answer.json"}


@pytest.mark.e2e
def test_rebuilt_environment_and_mlflows_own_give_the_same_from_the_same_packages(model: Path, tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    prefix, distributions = seen_by_the_model(serve(model, tmp_path, "a"))
    rebuilt = answer.read_bytes()
    assert prefix.startswith(str(cache_directory(os.environ)))
    assert {"mlflow-skinny", "numpy", "pandas"} <= {each.partition("==")[0] for each in distributions}
    answer.unlink()
    other, same = seen_by_the_model(serve(model, tmp_path, "a", "--strict"))
    assert not {other, prefix} & {"", sys.prefix}
    assert other != prefix
    assert same == distributions
    assert answer.read_bytes() == rebuilt


@pytest.mark.e2e
def test_server_answers_the_same_and_the_report_is_reproducible_but_for_its_figures(
    model: Path, tmp_path: Path
) -> None:
    assert serve(model, tmp_path, "a", *REST, "--parallel", "2").returncode == 0
    first = report_in(tmp_path)
    figures = first.pop("figures")
    assert (tmp_path / "rest.json").read_bytes() == (tmp_path / "answer.json").read_bytes()
    assert str(Path.home()) not in json.dumps(first)
    assert figures.keys() == {"served", "rest"}
    assert all(each["seconds"] > 0 and each["peak_memory"] > 50 * 2**20 for each in figures.values())  # mlflow itself
    kept = tmp_path / "rest.failed"
    kept.mkdir()
    for name in ("expected.json", "got.json", "notes.txt"):
        (kept / name).write_text("x", encoding="utf-8")
    done = serve(model, tmp_path, "a", *REST, "--parallel", "2")
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]
    assert done.stdout == ""
    assert first["coerced"].keys() == {"number-uri", "unknown-column"}
    assert "rebuilding" not in done.stderr
    assert {**report_in(tmp_path), "figures": None} == {**first, "figures": None}


NOTHING: dict[str, list[str]] = {"files": [], "network": [], "programs": [], "variables": [], "writes": []}


@pytest.mark.e2e
@pytest.mark.parametrize("hermetic", [True, False])
def test_prediction_is_watched_only_when_the_model_is_to_be_hermetic(
    save_model: Callable[..., Path], tmp_path: Path, *, hermetic: bool
) -> None:
    metadata = {"verification": {"hermetic": hermetic}}
    model = saved(save_model, f"hermetic_{hermetic}", metadata=metadata)
    assert f"watched: {hermetic}" in serve(model, tmp_path, "watched", *REST).stderr
    assert report_in(tmp_path)["used_from_outside"] == (NOTHING if hermetic else None)


@pytest.mark.e2e
def test_checks_are_made_in_the_rebuilt_environment_when_the_answer_comes_from_mlflows_own(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    import pandas as pd

    model = saved(save_model, "strictly", input_example=pd.DataFrame({"uri": ["watched"]}))
    done = serve(model, tmp_path, "watched", "--env-manager", "local", *REST)
    assert done.returncode == 0, done.stderr
    watched = [line for line in done.stderr.splitlines() if line.startswith("watched: ")]
    assert watched == ["watched: False", "watched: True"]
    report = report_in(tmp_path)
    assert (report["portable"], report["used_from_outside"]) == ("passed", NOTHING)
    assert report["figures"]["served"]["seconds"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"payload.json", "answer.json", "rest.json", "report.json"}


ONLY_ONE = """
import atexit
import os

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Alone(PythonModel):
    def load_context(self, context):
        os.close(os.open("copy", os.O_CREAT | os.O_EXCL))  # not beside another copy
        atexit.register(os.remove, "copy")

    def predict(self, context, model_input, params=None):
        waits = len(os.environ.get("OMP_WAIT_POLICY", ""))
        return np.array([[os.environ.get("OMP_NUM_THREADS", 0), waits]] * len(model_input), "float32")


set_model(Alone())
"""


@pytest.mark.e2e
def test_one_copy_of_the_model_is_loaded_at_a_time_when_serial_and_has_all_processors(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    metadata = {"verification": {"portable": False}}
    model = save_model("alone", uri_to_pair(), ONLY_ONE, pip_requirements=PINS, metadata=metadata)
    done = serve(model, tmp_path, "a", "--serial", *REST)
    assert done.returncode == 0, done.stderr
    answers = [json.loads((tmp_path / name).read_text())["predictions"] for name in ("answer.json", "rest.json")]
    assert answers == [[[0.0, 0.0]]] * 2


@pytest.mark.e2e
@pytest.mark.parametrize("own", [{}, {"OMP_NUM_THREADS": "7"}])
def test_prediction_and_server_share_the_processors_when_they_run_side_by_side(
    save_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str]
) -> None:
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    code = ONLY_ONE.replace("os.O_EXCL", "0").replace("os.remove", "print")
    model = save_model(f"beside_{len(own)}", uri_to_pair(), code, pip_requirements=PINS)
    done = serve(model, tmp_path, "a", *REST)
    assert done.returncode == 0, done.stderr
    answers = [json.loads((tmp_path / name).read_text())["predictions"] for name in ("answer.json", "rest.json")]
    share = float(own.get("OMP_NUM_THREADS", max(1, len(os.sched_getaffinity(0)) // 2)))
    assert answers == [[[share, len("passive")]]] * 2


NOT_PORTABLE = {
    "here": ["No such file or directory: 'beside_the_package.txt'"],
    "variable": ["KeyError: 'REF_SCALE'", "It looked for REF_SCALE", '{"environment": ["REF_SCALE"]}'],
    "there": ["Network is unreachable", "It asked for 192.0.2.1."] if allows(Limits(offline=True)) else ["timed out"],
}
if allows(Limits(only=("/usr",))):
    NOT_PORTABLE["home"] = ["weights.bin", "with no files but its own, its environment's and the system's"]


@pytest.mark.e2e
@pytest.mark.parametrize(("uri", "words"), NOT_PORTABLE.items())
def test_model_is_refused_when_its_example_needs_what_its_receiver_does_not_have(
    save_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, words: list[str]
) -> None:
    import pandas as pd

    for name in ("beside_the_package.txt", "weights.bin"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REF_SCALE", "3")
    bound = saved(save_model, f"bound_{uri}", input_example=pd.DataFrame({"uri": [uri]}))
    done = serve(bound, tmp_path, uri)
    assert done.returncode == 1
    assert all(each in done.stderr for each in words), done.stderr
    assert "It ran on a read-only copy of the model, in an empty directory" in done.stderr


@pytest.mark.e2e
def test_file_is_named_that_only_the_server_finds(
    save_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    model = saved(save_model, "cached", input_example=pd.DataFrame({"uri": ["cache"]}))
    (tmp_path / "weights.bin").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "work").mkdir()
    done = serve(model, tmp_path / "work", "cache", *REST)
    assert done.returncode == 0, done.stderr
    report = report_in(tmp_path / "work")
    assert (report["used_from_outside"]["files"], report["portable"]) == (["~/weights.bin"], "passed")


@pytest.mark.e2e
def test_what_a_run_writes_elsewhere_is_named_by_whatever_call_and_by_a_pickle(model: Path, tmp_path: Path) -> None:
    done = serve(model, tmp_path, "writes", *REST)
    assert done.returncode == 0, done.stderr
    names = ("link", "mkdir", "open", "pickled", "rename", "rmdir", "source", "symlink", "unlink")
    used = report_in(tmp_path)["used_from_outside"]
    assert used == {**NOTHING, "writes": [f"/no/such/{name}" for name in names]}
    said = lines(held_checks({}, {"used_from_outside": used}, {})).splitlines()
    assert said[0].startswith(
        "hermetic    passed          it writes elsewhere than in temporary directories: /no/such/l"
    )


def answers_in(directory: Path) -> list[float]:
    """Return the first number of the served answer, and of that over REST."""
    texts = [(directory / name).read_text(encoding="utf-8") for name in ("answer.json", "rest.json")]
    return [json.loads(text)["predictions"][0][0] for text in texts]


@pytest.mark.e2e
def test_run_has_a_receivers_variables_and_those_that_the_model_declares(
    save_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = saved(save_model, "declared", metadata={"verification": {"environment": ["REF_SCALE"]}})
    plain = saved(save_model, "undeclared")
    monkeypatch.setenv("REF_SCALE", "3")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for model, uri, expected, lacked in (
        (plain, "locale", 2.0, []),
        (plain, "default", 0.5, ["REF_SCALE"]),
        (declared, "default", 3.0, []),
    ):
        done = serve(model, tmp_path, uri, *REST)
        assert done.returncode == 0, done.stderr
        assert answers_in(tmp_path) == [expected] * 2
        assert report_in(tmp_path)["used_from_outside"]["variables"] == lacked
    monkeypatch.delenv("REF_SCALE")
    done = serve(declared, tmp_path, "default")
    assert done.returncode == 2
    assert "environment variable REF_SCALE: not set, and the model needs it" in done.stderr
    assert "mlflow.models" not in done.stderr


EXPLAINED = {
    "kill": ["failed with signal SIGKILL", "it may have run out of memory. It held "],
    "crash": ["failed with signal SIGSEGV", "Compiled code of a library that it uses crashed"],
    "module": ["The rebuilt environment has no module no_such_module: name what brings it in requirements.in"],
}


@pytest.mark.e2e
@pytest.mark.parametrize(("uri", "words"), EXPLAINED.items())
def test_cause_is_told_and_not_what_the_run_was_without_when_it_has_nothing_to_do_with_it(
    save_model: Callable[..., Path], tmp_path: Path, uri: str, words: list[str]
) -> None:
    import pandas as pd

    done = serve(saved(save_model, f"explained_{uri}", input_example=pd.DataFrame({"uri": [uri]})), tmp_path, uri)
    assert done.returncode == 1
    assert all(each in done.stderr for each in words), done.stderr
    assert not any(each in done.stderr for each in ("ARTIFACTS", "exit code 247", "read-only copy"))


def test_input_is_read_with_its_index_and_what_links_beside_it_lead_to(model: Path, tmp_path: Path) -> None:
    for name in ("store", "run", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "a.bam").write_text("reads", encoding="utf-8")
    (tmp_path / "store" / "index").write_text("7", encoding="utf-8")
    (tmp_path / "run" / "a.bam.bai").symlink_to(tmp_path / "store" / "index")
    done = serve(model, tmp_path / "here", str(tmp_path / "run" / "a.bam"), *REST)
    assert done.returncode == 0, done.stderr
    report = report_in(tmp_path / "here")
    assert (report["portable"], report["used_from_outside"]) == ("passed", NOTHING)
    assert report["without_other_files"] == allows(Limits(only=("/usr",)))
    for answer in ("answer.json", "rest.json"):
        assert json.loads((tmp_path / "here" / answer).read_text(encoding="utf-8")) == {"predictions": [[7.0, 7.0]]}


@pytest.mark.e2e
@pytest.mark.skipif(not allows(Limits(only=("/usr",))), reason="this system has no namespaces for users")
@pytest.mark.parametrize("flags", [(), ("--env-manager", "local", *REST)], ids=["rebuilt", "by MLflow"])
def test_model_cannot_change_itself(model: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    before = [(path, path.stat().st_mtime_ns) for path in model.rglob("*")]
    done = serve(model, tmp_path, "/itself", *flags)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert "starts in the model's code. Open what it only reads for reading" in done.stderr
    assert "What it reads belongs to ARTIFACTS" not in done.stderr
    assert [(path, path.stat().st_mtime_ns) for path in model.rglob("*")] == before


@pytest.mark.e2e
@pytest.mark.skipif(not allows(Limits(only=("/usr",))), reason="this system has no namespaces for users")
def test_received_model_is_as_it_was_when_check_ran_it(save_model: Callable[..., Path], tmp_path: Path) -> None:
    import pandas as pd

    received = saved(save_model, "received", input_example=pd.DataFrame({"uri": ["itself"]}))
    seal(received, tmp_path)
    before = [(path, path.stat().st_mtime_ns) for path in received.rglob("*")]
    argv = [sys.executable, check_model.__file__, "--model-uri", str(received)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Read-only file system" in done.stderr) == (1, True), done.stderr
    assert [(path, path.stat().st_mtime_ns) for path in received.rglob("*")] == before


@pytest.mark.e2e
def test_edited_payload_is_predicted_elsewhere_when_it_names_nothing_here(
    save_model: Callable[..., Path], tmp_path: Path
) -> None:
    import pandas as pd

    carried = saved(save_model, "carried", input_example=pd.DataFrame({"uri": ["a"]}))
    (tmp_path / "beside_the_package.txt").write_text("x", encoding="utf-8")
    for uri, portable in ((str(tmp_path / "b.txt"), "passed"), ("b.txt", EDITED)):
        done = serve(carried, tmp_path, uri, *REST)
        assert done.returncode == 0, done.stderr
        assert report_in(tmp_path)["portable"] == portable


EDITED = "not checked: the payload is not the model's example, and may name files in the working directory"
