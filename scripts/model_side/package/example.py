"""The input example of model_spec.py or of --example-uri."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..output.kinds import form_faults, is_frame, value_faults

DATA = "model_data"
URI_COLUMN = "input_uri"


def is_data(path: str) -> bool:
    """Tell whether a declared path lies inside model_data/, where the pipeline sees it change."""
    normal = os.path.normpath(path)
    return normal == DATA or normal.startswith(DATA + os.sep)


@dataclass(frozen=True)
class Example:
    """An input example.

    Parameters
    ----------
    data : object
        What predict takes: a DataFrame, an ndarray, or a mapping of names to arrays.
    params : mapping
        Those that the example gives; the others take their defaults.
    """

    data: Any
    params: Mapping[str, Any] = field(default_factory=dict)

    def for_mlflow(self) -> Any:
        """Return it as ``save_model(input_example=...)`` takes it."""
        return (self.data, dict(self.params)) if self.params else self.data


def read_example(flag: str | None, declared: Any, problems: list[str]) -> Example | None:
    """Return the example of ``--example-uri``, else of INPUT_EXAMPLE; what is wrong is added to `problems`."""
    if flag is not None:
        return Example(pd.DataFrame({URI_COLUMN: [flag]}))
    if declared is None:
        problems.append("INPUT_EXAMPLE: not given: write one there, or give --example-uri: it proves the package")
        return None
    data, params = declared if isinstance(declared, tuple) and len(declared) == 2 else (declared, {})
    if not isinstance(params, dict):
        problems.append(f"INPUT_EXAMPLE: expected params in a dict, got a {type(params).__name__}")
        return None
    # Bytes travel in a table alone, as a column of the type binary.
    if wrong := list(form_faults(data)) or list(value_faults(data, binary=is_frame(data))):
        problems += [f"INPUT_EXAMPLE: {each}" for each in wrong]
        return None
    if not _has_rows(data):
        problems.append("INPUT_EXAMPLE: it has no rows")
        return None
    return Example(data, params)


def _has_rows(data: Any) -> bool:
    """Tell whether an example holds anything: a prediction of nothing proves nothing."""
    if isinstance(data, Mapping):
        return bool(data) and all(map(_has_rows, data.values()))
    return not hasattr(data, "__len__") or bool(np.size(data) if isinstance(data, np.ndarray) else len(data))
