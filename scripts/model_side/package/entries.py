"""The entries of model_spec.py: the default of each, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.settings import TIME_LIMIT
from .flags import SERIALIZATIONS

# The default of MODEL_CLASS depends on the package.
MEANINGS: Mapping[str, tuple[Any, str]] = {
    "ARCHETYPE": ("", "the input-to-output shape, for people"),
    "MODEL_CLASS": ("", "`module:Class` of the PythonModel; by default that of the package's name"),
    "MODEL_SIGNATURE": (None, "a `mlflow.models.ModelSignature` with inputs, outputs and params; required"),
    "INPUT_EXAMPLE": (
        None,
        "what predict takes, or `(that, params)`; files that it names travel in the model; required",
    ),
    "EXAMPLE_FILES": ([], "paths or patterns of what must lie beside the example's files: `model_data/ex/*.bai`"),
    "ARTIFACTS": ({}, "paths under `model_data/` by the name in `context.artifacts`"),
    "MODEL_CONFIG": ({}, "`context.model_config`"),
    "TAGS": ({}, "texts by name, in MLmodel's metadata"),
    "TOLERANCE": ({}, "how far two answers may be apart; `rtol` is 1e-5 and `atol` 0.0 unless it says otherwise"),
    "VERIFICATION": ({}, "what verify checks, each `True`, `False` or the reason why it is off; what the model needs"),
    "ALLOW_NAN": (False, "whether NaN and infinities are right answers"),
    "ROWS_MATCH": (False, "whether the output has a row for each row of the input"),
    "OUTPUT_FILES": (False, "whether the outputs are URIs of result files, which are then compared by content"),
    "INERT_PARAMS": ([], "the params that leave the example's answer as it is, for example a batch size"),
    "MINIMUM_ROWS": (0, "how few rows an output may have: a blank page has no word"),
    "DESCRIPTION": ("", "for people: what the model does"),
    "INTENDED_USE": ("", "for people: what it is meant for, and what not"),
    "LICENSE": ("", "for people: as SPDX names it, for example `MIT`"),
    "CITATION": ("", "for people: the publication"),
    "TIME_LIMIT": (TIME_LIMIT, "whole seconds that a prediction, or loading, may take"),
    "SERIALIZATION": (SERIALIZATIONS[0], '`"pickle"`, or `"code"` for a model that loads without any pickle'),
    "LINK_ARTIFACTS": (False, "whether artifacts may be hard links to `model_data/`, which some libraries refuse"),
    "STRICT_INPUTS": (False, "whether a spoilt file of a request must be refused with an error that names it"),
    "PERTURB": (
        None,
        "a function that is imported from `model_code`: `PERTURB(path, order, target)` writes the cells of a file, by "
        "their numbers from 0, in this order to another file; for `cells` of formats that verify does not know",
    ),
    "CHECKS": (
        None,
        "a function of example, params and output that raises where the example's output is wrong; the output is an "
        "array, a dict of arrays by name, or a DataFrame where the signature declares columns by name",
    ),
}
ENTRIES: Mapping[str, Any] = {name: default for name, (default, _) in MEANINGS.items()}
# What an author says of a model to people: a model card shows it.
ABOUT = ("DESCRIPTION", "INTENDED_USE", "LICENSE", "CITATION")
