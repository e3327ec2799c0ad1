"""The input example as the payload that travels beside it. Import it in the model environment only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import convert_input_example_to_serving_input

from .errors import UsageError
from .payloads import check_payload
from .signatures import parse_signature
from .spec import Spec

_EXAMPLES = ("input_example.json", "serving_input_example.json")


def check_example(spec: Spec, *, one_row: bool) -> None:
    """Hold the input example to the signature before anything is saved.

    Raises
    ------
    UsageError
        If it does not fit.
    """
    try:
        text = convert_input_example_to_serving_input(spec.stored.for_mlflow())
    except (MlflowException, TypeError, ValueError) as error:
        raise UsageError("INPUT_EXAMPLE", "MLflow cannot store it", got=str(error)) from error
    signature = parse_signature(spec.signature, metadata={"one_row": one_row})
    check_payload(_loads(text or "null"), signature, subject="INPUT_EXAMPLE")


def nulls_for_nan(model: Path) -> None:
    """Write the stored example as JSON: MLflow writes what is missing in a table as a bare NaN."""
    for name in _EXAMPLES:
        path = model / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if "NaN" in text:
            path.write_text(json.dumps(_loads(text), indent=2), encoding="utf-8")


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))
