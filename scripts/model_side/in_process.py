"""Predict from a payload with a loaded model, as MLflow's own parsing and enforcement have it.

Import it in the model environment only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow.pyfunc

from .answers import Arrays
from .contract import as_array, hold_output
from .model_files import ModelFiles
from .parsing import parse_payload
from .payloads import rows_to_match


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
