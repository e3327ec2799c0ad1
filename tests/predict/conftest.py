"""Small MLflow Models, each saved once per session with the real library."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Models from code: they load in any process, without this directory on its path.
ECHO = '''
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Echo(PythonModel):
    """Tell what came in: one row of numbers per row."""

    def predict(self, context, model_input, params=None):
        print("the model's own words")
        return np.full((len(model_input), 2), 0.1, dtype="float32")


set_model(Echo())
'''


PINS = [f"{name}=={version(name)}" for name in ("mlflow-skinny", "numpy", "pandas")]


def uri_to_pair(params: Any = None) -> Any:
    """Return the signature of a model that takes a column of URIs and gives two numbers for each."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 2))])
    return ModelSignature(Schema([ColSpec("string", "uri")]), outputs, params)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep rebuilt environments out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_ENVIRONMENT_CACHE", str(tmp_path_factory.mktemp("environments")))
        yield


@pytest.fixture(scope="session")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that saves a model of the given code and signature and returns its directory."""
    root = tmp_path_factory.mktemp("models")

    def save(name: str, signature: Any, code: str = ECHO, **given: Any) -> Path:
        import mlflow.pyfunc

        source = root / f"{name}.py"
        source.write_text(code, encoding="utf-8")
        target = root / name
        given.setdefault("pip_requirements", ["mlflow"])
        mlflow.pyfunc.save_model(target, python_model=str(source), signature=signature, **given)
        return target

    return save


@pytest.fixture
def model_dir(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an MLmodel file, which is all that verify reads."""

    def write(outputs: list[dict[str, Any]], **metadata: Any) -> Path:
        directory = tmp_path / "model"
        directory.mkdir()
        signature = {"inputs": json.dumps([{"type": "string", "name": "uri"}]), "outputs": json.dumps(outputs)}
        entry = {"signature": signature, "metadata": metadata}
        entry["saved_input_example_info"] = {"serving_input_path": "serving_input_example.json"}
        (directory / "MLmodel").write_text(json.dumps(entry), encoding="utf-8")  # JSON is YAML
        (directory / "serving_input_example.json").write_text('{"inputs": {"uri": ["a"]}}', encoding="utf-8")
        return directory

    return write
