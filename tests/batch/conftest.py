"""One model whose answer depends on what its input says, and its environment, each made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batch.request import Request
from batch.run import run_batch
from serving.rebuilt import rebuilt_environment
from tests.predict.conftest import PINS, own_cache, save_model, uri_to_pair

__all__ = ["own_cache", "save_model"]

# What an input holds decides what becomes of it.
OBEYS = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Obeys(PythonModel):
    def load_context(self, context):
        if os.environ.get("MLFLOW_TEST_NO_LOAD"):
            raise RuntimeError("no weights")

    def predict(self, context, model_input, params=None):
        path = Path(model_input["uri"][0])
        word, _, rest = path.read_text().strip().partition(" ")
        scale = (params or {}).get("scale", 1.0)
        if word == "raise":
            raise KeyError(rest)
        if word == "exit":
            os._exit(int(rest))
        if word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if word == "once" and not os.path.exists(rest):
            Path(rest).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "hang":
            threading.Event().wait()
        if word == "write":
            path.write_text("more")
        if word == "nan":
            return np.full((1, 2), np.nan, "float32")
        if word == "rows":
            return np.zeros((int(rest), 2), "float32")
        if word == "wide":
            return np.zeros((1, 3), "float32")
        value = float(word) if word.replace(".", "").isdigit() else 0.5
        return np.array([[value * scale, len(word)]], "float32")


set_model(Obeys())
"""
Run = Callable[..., int]


@pytest.fixture(scope="session")
def obeys(save_model: Callable[..., Path]) -> Path:
    from mlflow.types import ParamSchema, ParamSpec

    signature = uri_to_pair(ParamSchema([ParamSpec("scale", "double", 1.0)]))
    model = save_model("obeys", signature, OBEYS, pip_requirements=PINS)
    rebuilt_environment(model, os.environ)
    return model


@pytest.fixture
def inputs(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes input files of these texts, and returns their directory."""

    def write(**texts: str) -> Path:
        directory = tmp_path / "inputs"
        directory.mkdir(exist_ok=True)
        for name, text in texts.items():
            (directory / f"{name}.in").write_text(text)
        return directory

    return write


@pytest.fixture
def run(obeys: Path, tmp_path: Path) -> Run:
    """Return a function that runs a batch over the inputs of a test."""

    def call(**flags: object) -> int:
        given: dict[str, object] = {"inputs": str(tmp_path / "inputs" / "*.in"), "out": str(tmp_path / "out")}
        return run_batch(Request(**{"model_uri": str(obeys), "workers": 1, **given, **flags}))  # type: ignore[arg-type]

    return call


# It writes a file for each input; the first word of the input says what becomes of it.
WRITES = """
from pathlib import Path
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Writes(PythonModel):
    def predict(self, context, model_input, params=None):
        results = []
        for uri in model_input["uri"]:
            text = Path(uri).read_text()
            result = Path((params or {}).get("output_dir") or Path(uri).parent, Path(uri).name + ".out")
            result.write_text(text.upper())
            if text.startswith("raise"):
                raise KeyError("gene")
            if text.startswith("beside"):
                result = Path(uri)
            results.append(result.as_uri())
        return pd.DataFrame({"output_uri": results})


set_model(Writes())
"""


@pytest.fixture(scope="session")
def writes(obeys: Path, save_model: Callable[..., Path]) -> Path:
    """Return a model whose outputs are the URIs of result files; its environment is that of the other one."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    columns = [Schema([ColSpec("string", name)]) for name in ("uri", "output_uri")]
    signature = ModelSignature(*columns, ParamSchema([ParamSpec("output_dir", "string", "")]))
    given = {"metadata": {"output_files": True, "rows_match": True}, "pip_requirements": PINS}
    return save_model("writes", signature, WRITES, **given)
