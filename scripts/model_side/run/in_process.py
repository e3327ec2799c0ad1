"""Load a model and predict from a payload, as MLflow's own parsing and enforcement have it.

Import it in the model environment only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import infer_and_parse_data

from ..base.errors import StepError
from ..model.model import ModelFiles
from ..model.requirements import fits_environment
from ..model.signature import Signature
from ..output.arrays import Arrays, as_array
from ..output.contract import hold_output
from ..payload.payload import rows_to_match


def load_in_process(directory: Path) -> mlflow.pyfunc.PyFuncModel:
    """Load the MLflow Model in a directory, which stays as it was packaged: no bytecode is written from now on.

    MLflow's slow comparison of the requirements with this environment is left out where they fit.
    """
    sys.dont_write_bytecode = True
    return mlflow.pyfunc.load_model(str(directory), suppress_warnings=fits_environment(directory))


def predict_in_process(
    model: mlflow.pyfunc.PyFuncModel, files: ModelFiles, payload: Mapping[str, Any], subject: str
) -> Arrays:
    """Return the output for a payload that fits, held to the contract.

    Raises
    ------
    StepError
        If the output does not fit; `subject` is what it is of.
    """
    output = model.predict(parse_payload(payload, model, files.signature), params=payload.get("params"))
    allow_nan, rows = files.metadata.get("allow_nan") is True, rows_to_match(payload, files.signature)
    hold_output(output, files.signature, allow_nan=allow_nan, rows=rows, subject=subject)
    return as_array(output, files.signature)


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
