"""predict_func on real models: only the answer on stdout, and every fault with its cause."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import predict_func as command
import pytest
from mlflow.models import ModelSignature
from mlflow.types.schema import ParamSchema, ParamSpec

from model_side.base.errors import run_main
from model_side.base.read_only import can_hold

from .conftest import uri_to_pair

Ask = Callable[..., tuple[int, str]]
Make = Callable[..., Path]
Capture = pytest.CaptureFixture[str]

CODE = '''
import ctypes
import os

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


def open_it(uri):
    raise ValueError("cannot open " + uri)


class Speaker(PythonModel):
    """Talk in every way, and give what the first URI asks for."""

    def predict(self, context, model_input, params=None):
        print("words of Python")
        ctypes.CDLL(None).printf(b"words of C\\n")
        os.system("echo words of a child")
        uri = model_input["uri"].iloc[0]
        if uri == "bad":
            open_it(uri)
        if uri == "exit":
            raise SystemExit(0)
        for writes in ("model_data/", "by_link", "sample"):
            if uri.startswith(writes):
                open(uri, "r+").write("changed")
        made = np.full((len(model_input), 2), params["k"], "float64" if uri == "double" else "float32")
        made[0, 1] = np.nan if uri == "nan" else 1.5
        return made


set_model(Speaker())
'''
BROKEN = """
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Broken(PythonModel):
    def load_context(self, context):
        raise KeyError("no such weight")

    def predict(self, context, model_input, params=None):
        return model_input


set_model(Broken())
"""


def signature() -> ModelSignature:
    return uri_to_pair(ParamSchema([ParamSpec("k", "double", 0.5)]))


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Path:
    return save_model("speaker", signature(), CODE)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that predicts in this process and returns the exit code and what went to stdout."""

    def run(model: Path | str, payload: Any, *more: str) -> tuple[int, str]:
        path, data = tmp_path / "payload.json", StringIO()
        path.write_text(json.dumps(payload), encoding="utf-8")
        argv = ["--model-uri", str(model), "--json-payload-file", str(path), *more]
        return run_main(lambda: command.main(argv, data)), data.getvalue()

    return run


def test_only_the_answer_is_on_stdout_when_the_model_prints(model: Path) -> None:
    argv = [sys.executable, command.__file__, "--model-uri", str(model), "--json-payload-file", "-"]
    payload = '{"inputs": {"uri": ["a", "b"]}, "params": {"k": 0.25}}'
    done = subprocess.run(argv, input=payload, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"predictions": [[0.25, 1.5], [0.25, 0.25]]}
    for words in ("words of Python", "words of C", "words of a child", "predicted in"):
        assert words in done.stderr
    assert "output float32 [2, 2], from 0.25 to 1.5" in done.stderr


def test_answer_goes_to_the_file_and_its_form_to_stdout_when_there_is_one(
    model: Path, ask: Ask, tmp_path: Path
) -> None:
    target = tmp_path / "answer.json"
    code, told = ask(model.as_uri(), {"instances": [{"uri": "a"}]}, "--output-path", str(target))
    assert (code, told.splitlines()[1:]) == (0, ["output float32 [1, 2], from 0.5 to 1.5"])
    assert json.loads(target.read_text(encoding="utf-8")) == {"predictions": [[0.5, 1.5]]}


def test_answer_is_the_same_when_the_payload_is_csv(model: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "payload.csv", StringIO()
    path.write_text("uri\na\n", encoding="utf-8")
    assert command.main(["--model-uri", str(model), "--json-payload-file", str(path)], data) == 0
    assert json.loads(data.getvalue()) == {"predictions": [[0.5, 1.5]]}


@pytest.mark.parametrize(
    ("code", "uri", "words"),
    [
        (CODE, "bad", ["in open_it", "error: predict: it raised ValueError: cannot open bad."]),
        (BROKEN, "a", ["in load_context", "load: it raised KeyError: 'no such weight'"]),
        (CODE, "exit", ["it raised SystemExit"]),
    ],
)
def test_authors_traceback_is_shown_without_other_frames_when_the_code_raises(
    save_model: Make, ask: Ask, capsys: Capture, code: str, uri: str, words: list[str]
) -> None:
    assert ask(save_model(f"raising_{uri}", signature(), code), {"inputs": {"uri": [uri]}}) == (1, "")
    said = capsys.readouterr().err
    assert [each for each in words if each not in said] == []
    assert "predict_func.py" not in said
    assert "mlflow/pyfunc" not in said.partition("Traceback")[2]


@pytest.mark.parametrize(("uri", "fault"), [("double", "expected float32, got float64"), ("nan", "NaN or infinite")])
def test_output_is_refused_and_nothing_written_when_it_does_not_fit(
    model: Path, ask: Ask, tmp_path: Path, capsys: Capture, uri: str, fault: str
) -> None:
    target = tmp_path / "answer.json"
    code, told = ask(model, {"inputs": {"uri": [uri]}}, "--output-path", str(target))
    assert code == 1
    assert "output " not in told
    assert fault in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.skipif(not can_hold(Path(__file__)), reason="this system has no namespaces for users")
@pytest.mark.parametrize("uri", ["sample.txt", "model_data/sample.txt", "by_link.txt"])
def test_input_is_as_it_was_when_the_model_writes_to_it(
    model: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model_data").mkdir()
    for name in ("sample.txt", "model_data/sample.txt"):
        (tmp_path / name).write_text("counts", encoding="utf-8")
    (tmp_path / "by_link.txt").symlink_to("sample.txt")
    assert ask(model, {"inputs": {"uri": [uri]}}) == (1, "")
    said = capsys.readouterr().err
    assert f"predict: it raised OSError: [Errno 30] Read-only file system: '{uri}'. See the traceback above." in said
    assert "Open what it only reads for reading" in said
    assert (tmp_path / uri).read_text(encoding="utf-8") == "counts"


def test_file_is_named_when_the_model_writes_to_its_input_and_the_system_lets_it(
    model: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("model_side.base.read_only._works", lambda places: False)  # as a container may refuse it
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.txt").write_text("counts", encoding="utf-8")
    assert ask(model, {"inputs": {"uri": ["sample.txt"]}}, "--output-path", "answer.json") == (1, "")
    assert "predict: it wrote to files that a model may only read: got sample.txt." in capsys.readouterr().err
    assert not (tmp_path / "answer.json").exists()


def test_nan_is_null_when_the_model_allows_it(save_model: Make, ask: Ask) -> None:
    model = save_model("nullable", signature(), CODE, metadata={"allow_nan": True})
    code, answer = ask(model, {"inputs": {"uri": ["nan"]}})
    assert code == 0
    assert json.loads(answer) == {"predictions": [[0.5, None]]}


REFUSED = [
    ('{"inputs": {"uri": ["<string: uri>"]}}', 'inputs.uri[0]: still the placeholder "<string: uri>"'),
    ('{"inputs": {"url": ["a"]}}', "unknown column \"url\". Did you mean 'uri'?"),
    ('{"inputs": {"uri": ["a"]}, "params": {"K": 1}}', 'unknown param "K"'),
    ("{", "standard input: not JSON"),
]


@pytest.mark.parametrize(("payload", "message"), REFUSED)
def test_payload_is_refused_before_mlflow_is_imported_when_it_does_not_fit(
    model: Path, payload: str, message: str
) -> None:
    code = "import sys, predict_func; from model_side.base.errors import run_main; code = run_main(predict_func.main); "
    code += "raise SystemExit(99 if 'mlflow' in sys.modules else code)"
    argv = [sys.executable, "-c", code, "--model-uri", str(model), "--json-payload-file", "-"]
    scripts = Path(command.__file__).parent
    done = subprocess.run(argv, input=payload, cwd=scripts, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_place_is_refused_before_the_work_when_it_cannot_be_written(
    model: Path, ask: Ask, tmp_path: Path, capsys: Capture
) -> None:
    assert ask(model, {"inputs": {"uri": ["a"]}}, "--output-path", str(tmp_path / "no" / "x.json")) == (2, "")
    assert "cannot be written" in capsys.readouterr().err
