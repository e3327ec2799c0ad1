"""Load a model and predict from a payload, as MLflow's own parsing and enforcement have it.

Import it in the model environment only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc

from .answers import Arrays
from .contract import as_array, hold_output
from .model_files import ModelFiles
from .parsing import parse_payload
from .payloads import rows_to_match
from .requirements import fits_environment


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
