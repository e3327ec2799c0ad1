"""Call the author's code directly: no saved package, and no wrapper of MLflow's around it.

Import it in the model environment only.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature

from ..base.processes import Figures, peak_memory
from ..model.model import ModelFiles
from ..model.signature import Signature, parse_signature
from ..output.arrays import Arrays, as_array
from ..output.contract import hold_output
from ..package.flags import Flags
from ..package.model_class import load_model_class
from ..package.spec import SPEC, read_spec
from ..payload.payload import check_payload, rows_to_match
from .child import run_in_child
from .in_process import parse_payload

SUBJECT = "direct call"


@dataclass(frozen=True)
class Direct:
    """What a direct call gave.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        As `as_array` returns it.
    load_seconds, predict_seconds : float
        To import the author's code and load its weights, and to predict.
    peak_memory : int
        Bytes, of the process.
    """

    output: Arrays
    load_seconds: float
    predict_seconds: float
    peak_memory: int

    @property
    def figures(self) -> Figures:
        """Return what it cost."""
        return Figures(self.load_seconds + self.predict_seconds, self.peak_memory)


def call_directly(
    package: Path, payload: Mapping[str, Any], files: ModelFiles | None = None, seconds: float | None = None
) -> Direct:
    """Return what the author's code in a package gives for a payload, called in a process of its own.

    Parameters
    ----------
    package : Path
        The directory with model_spec.py, model_code/ and model_data/.
    payload : mapping
        Its relative paths are relative to the working directory.
    files : ModelFiles, optional
        Of the MLflow Model that was made from the package, to whose contract the answer is then held; by default to
        that in model_spec.py.
    seconds : float, optional
        Time limit.

    Raises
    ------
    StepError
        If the author's code raises (with its traceback), or the output does not fit.
    UsageError
        If the package is not as it should be, or the payload does not fit.
    """
    package = package.resolve()
    code = (package / "model_code", package / SPEC)
    arguments = (predict_directly, package, payload, files)
    return run_in_child(*arguments, subject=SUBJECT, directory=Path.cwd(), code=code, seconds=seconds)


def predict_directly(package: Path, payload: Mapping[str, Any], files: ModelFiles | None = None) -> Direct:
    """Do the work of `call_directly` in this process, which must not have imported the author's code."""
    start = time.perf_counter()
    sys.path.insert(0, str(package))
    with chdir(package):
        spec = read_spec(package, Flags())
        model_class = load_model_class(spec.model_class, package)
    metadata = files.metadata if files else spec.metadata(model_class)
    signature = files.signature if files else parse_signature(spec.signature, metadata=metadata)
    check_payload(payload, signature)
    data, params = _as_mlflow_hands_it(payload, spec.signature, signature)
    artifacts = {name: str(path) for name, path in spec.artifacts.items()}
    context = mlflow.pyfunc.PythonModelContext(artifacts=artifacts, model_config=dict(spec.model_config))
    model = model_class()
    model.load_context(context)
    loaded = time.perf_counter()
    output = _predict(model, context, data, params)
    done, peak = time.perf_counter(), peak_memory()
    allow_nan, rows = metadata.get("allow_nan") is True, rows_to_match(payload, signature)
    hold_output(output, signature, allow_nan=allow_nan, rows=rows, subject=SUBJECT)
    return Direct(as_array(output, signature), loaded - start, done - loaded, peak)


class _HandsBack:
    """Stand where MLflow puts a model, and give back what a model would be given."""

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> tuple[Any, Mapping[str, Any] | None]:
        """Return the arguments."""
        return data, params


def _as_mlflow_hands_it(
    payload: Mapping[str, Any], declared: ModelSignature, signature: Signature
) -> tuple[Any, Mapping[str, Any] | None]:
    """Return the data and the params of a payload as MLflow's parsing and enforcement give them to predict."""
    entry = Model(signature=declared, flavors={mlflow.pyfunc.FLAVOR_NAME: {mlflow.pyfunc.MAIN: __name__}})
    stand_in = mlflow.pyfunc.PyFuncModel(entry, _HandsBack())
    data, params = stand_in.predict(parse_payload(payload, stand_in, signature), params=payload.get("params"))
    return data, params


def _predict(model: mlflow.pyfunc.PythonModel, context: Any, data: Any, params: Mapping[str, Any] | None) -> Any:
    """Call predict with what it takes: MLflow lets authors leave out the context and the params."""
    takes = inspect.signature(model.predict).parameters
    before = (context,) if "context" in takes else ()
    return model.predict(*before, data, **({"params": params} if "params" in takes else {}))
