"""What can be wrong with entries of model_spec.py: each fault as a line. Import it in the model environment only."""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType

from ..base.errors import invoke
from ..payload.values import unknown
from .entries import ENTRIES
from .example import DATA, URI_COLUMN, Example, is_data
from .flags import SERIALIZATIONS, Flags

TYPES = {
    "MODEL_SIGNATURE": ModelSignature,
    **{name: type(value) for name, value in ENTRIES.items() if value is not None},
}


def type_faults(entries: Mapping[str, Any]) -> Iterator[str]:
    """Yield that there is no signature, entries of a wrong type, and values that an entry cannot have."""
    if "MODEL_SIGNATURE" not in entries:
        yield "MODEL_SIGNATURE: not given: expected a mlflow.models.ModelSignature"
    for name, kind in TYPES.items():
        if name in entries and not isinstance(entries[name], kind):
            got = f"{type(entries[name]).__module__}.{type(entries[name]).__name__}".removeprefix("builtins.")
            yield f"{name}: expected a {kind.__name__}, got a {got}"
    rows = entries.get("MINIMUM_ROWS", 0)
    if isinstance(rows, bool) or (isinstance(rows, int) and rows < 0):
        yield f"MINIMUM_ROWS: expected a whole number from 0, got {rows!r}"
    seconds = entries.get("TIME_LIMIT", 1)
    if isinstance(seconds, bool) or (isinstance(seconds, int) and seconds < 1):
        yield f"TIME_LIMIT: expected whole seconds from 1, got {seconds!r}"
    if entries.get("SERIALIZATION", SERIALIZATIONS[0]) not in SERIALIZATIONS:
        yield f"SERIALIZATION: expected one of {', '.join(SERIALIZATIONS)}, got {entries['SERIALIZATION']!r}"
    yield from _perturb_faults(entries.get("PERTURB"))
    checks = entries.get("CHECKS")
    if checks is not None and not callable(checks):
        yield f"CHECKS: expected a function or None, got a {type(checks).__name__}"
    elif checks is not None:
        signature = inspect.signature(checks)
        try:
            signature.bind(None, None, None)
        except TypeError:
            names = ", ".join(signature.parameters) or "nothing"
            yield f"CHECKS: expected a function of example, params and output, got one of {names}"


def _perturb_faults(perturb: Any) -> Iterator[str]:
    module, name = (getattr(perturb, each, "") for each in ("__module__", "__qualname__"))
    if perturb is not None and not (
        callable(perturb) and f"{module}.".startswith("model_code.") and name.isidentifier()
    ):
        yield "PERTURB: expected a function that is imported from model_code, since it travels with the model"


def name_faults(entries: Mapping[str, Any]) -> Iterator[str]:
    """Yield names that are nearly those of entries: a misspelt entry must not be passed over."""
    for name in sorted(entries.keys() - set(ENTRIES)):
        near = get_close_matches(name.upper(), ENTRIES, 1, cutoff=0.8)
        if near and not (name.islower() and near[0] in entries):
            yield f"{name}: unknown entry: did you mean {near[0]}?"


def config_faults(config: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield that JSON cannot hold a model_config: MLflow would give the model something else."""
    try:
        if json.loads(json.dumps(config, allow_nan=False)) != config:
            yield f"{where}: expected what JSON can hold: names as texts, lists, no tuples"
    except (TypeError, ValueError, RecursionError) as error:
        yield f"{where}: expected what JSON can hold: {error}"


def signature_faults(signature: ModelSignature) -> Iterator[str]:
    """Yield what a signature lacks."""
    for side in ("inputs", "outputs"):
        if not getattr(signature, side):
            yield f"MODEL_SIGNATURE: it has no {side}: declare them, a model's receiver needs both"


def example_flag_faults(signature: ModelSignature, flags: Flags, archetype: str) -> Iterator[str]:
    """Yield that --example-uri is given to a model that takes no URI."""
    if flags.example_uri and signature.inputs and URI_COLUMN not in signature.inputs.input_names():
        which = f"the archetype {archetype}" if archetype else "this model"
        yield (
            f'--example-uri: not for {which}: its signature takes no column "{URI_COLUMN}": '
            "leave it out and write INPUT_EXAMPLE"
        )


def file_column_faults(
    model_class: type, signature: ModelSignature, example: Example, stored: Example
) -> Iterator[str]:
    """Yield where FILE_COLUMNS of a model's class, if its base has any, and the signature and the example do not fit.

    Parameters
    ----------
    model_class : type
    signature : ModelSignature
    example, stored : Example
        As declared, and as it travels.
    """
    columns = getattr(model_class, "FILE_COLUMNS", None)
    if columns is None:
        return
    label = f"FILE_COLUMNS of {model_class.__name__}"
    inputs = (each for each in signature.inputs.inputs if isinstance(each, ColSpec))
    texts = [each.name for each in inputs if each.type == DataType.string]
    if not isinstance(columns, tuple | list):
        yield f'{label}: expected names of string columns, such as ("input_uri",), got {columns!r}'
        return
    for name in columns:
        if name not in texts:
            known = ", ".join(str(each) for each in texts) or "none"
            yield f"{label}: expected string columns of MODEL_SIGNATURE, which are {known}, got {name!r}"
    frames = (example.data, stored.data)
    for name in example.data.columns if isinstance(example.data, pd.DataFrame) else ():
        declared, carried = (list(frame[name]) for frame in frames)
        moved = (isinstance(one, str) and one != other for one, other in zip(declared, carried, strict=True))
        if name not in columns and any(moved):
            yield f'INPUT_EXAMPLE: the column "{name}" names files: add it to {label}, ("{name}",)'
        plain = [each for each in carried if name in columns and isinstance(each, str) and "://" not in each]
        yield from (
            f'INPUT_EXAMPLE: column "{name}": expected a path inside {DATA}/ or a URI, got "{each}"' for each in plain
        )


def inert_params_faults(inert: Sequence[Any], signature: ModelSignature) -> Iterator[str]:
    """Yield names of params that the signature does not have."""
    known = [each.name for each in signature.params or ()]
    for name in inert:
        if name not in known:
            yield f"INERT_PARAMS: {unknown('param', str(name), known)}"


def declared_artifact_faults(declared: Mapping[str, Any], flags: Flags, artifacts: Mapping[str, Path]) -> Iterator[str]:
    """Yield artifacts whose name or path is not valid.

    Parameters
    ----------
    declared : mapping of str to object
        The entry ARTIFACTS.
    flags : Flags
    artifacts : mapping of str to Path
        Those of the entry and of the flags, absolute.
    """
    for name, path in artifacts.items():
        where = f"--artifact {name}" if name in flags.artifacts else f'ARTIFACTS["{name}"]'
        where = "--checkpoint" if name in flags.artifacts and name == "checkpoint" else where
        if not isinstance(name, str) or not name.isidentifier():
            yield f"ARTIFACTS: expected names that are identifiers, got {name!r}"
        elif name not in flags.artifacts and not is_data(str(declared[name])):
            yield (
                f'{where}: expected a path inside {DATA}/, got "{declared[name]}": '
                "copy it there or declare it in model_data.toml"
            )
        elif not path.exists():
            shown = declared[name] if name not in flags.artifacts else os.path.relpath(path)
            yield f"{where}: no such file or directory: {shown}: run {invoke('download-data')}, or put it there"


def tolerance_faults(tolerance: Mapping[str, Any]) -> Iterator[str]:
    """Yield entries that are not tolerances."""
    for name, value in tolerance.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name not in ("rtol", "atol") or not is_number or not 0 <= value < math.inf:
            yield f'TOLERANCE: expected "rtol" and "atol" with numbers from 0, got {name!r}: {value!r}'
