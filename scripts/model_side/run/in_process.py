"""Load a model and predict from a payload, as MLflow's own parsing and enforcement have it.

Import it in the model environment only.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import infer_and_parse_data, predictions_to_json

from ..base.errors import StepError, listed
from ..base.tracebacks import authors_code
from ..base.variables import require_variables
from ..model.model import ModelFiles
from ..model.requirements import fits_environment
from ..model.settings import variables_of
from ..model.signature import Signature
from ..output.arrays import Arrays, as_array, nulled
from ..output.comparison import Tolerance, compare
from ..output.contract import hold_output
from ..payload.payload import rows_to_match
from ..payload.text import predictions_from_json
from .tally import loading, predicting


@dataclass(frozen=True)
class Loaded:
    """A model in this process; what its code raises comes with the traceback through that code.

    Parameters
    ----------
    model : PyFuncModel
    files : ModelFiles
    directory : Path
        Of the MLflow Model.
    subject : str
        What a fault is about, where it is not plainly predict or its output.
    """

    model: mlflow.pyfunc.PyFuncModel
    files: ModelFiles
    directory: Path
    subject: str = ""

    def data(self, payload: Mapping[str, Any]) -> Any:
        """Return what a payload that fits holds, as MLflow hands it to predict."""
        return parse_payload(payload, self.model, self.files.signature)

    def answer(self, data: Any, params: Mapping[str, Any] | None) -> Any:
        """Return the output, as predict gave it."""
        with authors_code(self.subject or "predict", self.directory), predicting(data):
            return self.model.predict(data, params=params)

    def output(self, payload: Mapping[str, Any]) -> Any:
        """Return the output, as predict gave it, for a payload that fits."""
        return self.answer(self.data(payload), payload.get("params"))

    def predict(self, payload: Mapping[str, Any]) -> Arrays:
        """Return the output for a payload that fits, checked against the contract."""
        return checked(self.output(payload), self.files, payload, self.subject or "output")


def load_in_process(directory: Path, files: ModelFiles) -> Loaded:
    """Load an MLflow Model, which stays as it was packaged: no bytecode is written from now on.

    MLflow's slow comparison of the requirements with this environment is left out where they fit.

    Parameters
    ----------
    directory : Path
    files : ModelFiles

    Raises
    ------
    UsageError
        If an environment variable that the model needs is not set.
    StepError
        If the author's code raises.
    """
    require_variables(os.environ, variables_of(files.metadata))
    sys.dont_write_bytecode = True
    with authors_code("load", directory), loading():
        model = mlflow.pyfunc.load_model(str(directory), suppress_warnings=fits_environment(directory))
    return Loaded(model, files, directory)


def checked(output: object, files: ModelFiles, payload: Mapping[str, Any], subject: str = "output") -> Arrays:
    """Return what predict gave for a payload as arrays, checked against the contract.

    Raises
    ------
    StepError
        If it does not fit; `subject` is what it is of.
    """
    allow_nan, rows = files.metadata.get("allow_nan") is True, rows_to_match(payload, files.signature)
    hold_output(output, files.signature, allow_nan=allow_nan, rows=rows, subject=subject)
    return as_array(output, files.signature)


def require_served(output: Any, signature: Signature) -> None:
    """Check that MLflow's server writes an output that fits as it is; of arrays of numbers that is known.

    Parameters
    ----------
    output : object
        What predict returned.
    signature : Signature

    Raises
    ------
    StepError
        If it fails on a value, or writes another.
    """
    parts = output.values() if isinstance(output, dict) else [output]
    if all(isinstance(each, np.ndarray) and each.dtype.kind in "biuf" for each in parts):
        return
    text, subject = io.StringIO(), "forward pass"
    try:
        predictions_to_json(output, text)
        served = as_array(predictions_from_json(text.getvalue()), signature)
    except (TypeError, ValueError, OverflowError, RecursionError, StepError) as error:
        raise StepError(subject, "MLflow's server cannot write the output", got=str(error)) from error
    found = compare(nulled(as_array(output, signature)), nulled(served), Tolerance(0, 0))
    if not found.agrees:
        lines = listed(found.lines("predict", "the server") or [found.fault])
        raise StepError(subject, f"MLflow's server writes another output:{lines}")


def parse_payload(payload: Mapping[str, Any], model: mlflow.pyfunc.PyFuncModel, signature: Signature) -> Any:
    """Return a payload's data in MLflow's own form for the model.

    Raises
    ------
    StepError
        If MLflow cannot parse it.
    """
    if signature.from_type_hint:
        return payload["inputs"]
    data = {key: value for key, value in payload.items() if key != "params"}
    try:
        return infer_and_parse_data(data, model.metadata.get_input_schema())
    except MlflowException as error:
        raise StepError("payload", "MLflow cannot parse it", got=error.message) from error
