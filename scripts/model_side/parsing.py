"""Turn a payload into what predict takes, as MLflow's scoring server does. Import it in the model environment only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import infer_and_parse_data

from .errors import StepError
from .signatures import Signature


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
