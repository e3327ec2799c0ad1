"""model_spec.py and the packager's flags as one frozen, validated record. Import it in the model environment only."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

from ..base.errors import UsageError, invoke, listed
from ..base.tracebacks import author_traceback, said
from ..base.variables import require_variables
from ..model.settings import VARIABLES, VERIFICATION, settings_faults
from .entries import ABOUT, ENTRIES
from .example import Example, read_example
from .flags import Flags
from .luggage import Luggage
from .spec_faults import (
    TYPES,
    config_faults,
    declared_artifact_faults,
    example_flag_faults,
    inert_params_faults,
    name_faults,
    signature_faults,
    tolerance_faults,
    type_faults,
)
from .travel import artifact_faults

SPEC = "model_spec.py"
# Stands for the one that is not declared, while all else is checked.
_NO_SIGNATURE = ModelSignature(outputs=Schema([TensorSpec(np.dtype("float32"), (-1,))]))


@dataclass(frozen=True)
class Spec:
    """All that a package declares of its model.

    Parameters
    ----------
    archetype, model_class : str
        `model_class` is ``module:Class``.
    signature : ModelSignature
    example, stored : Example
        As declared, and as it travels: files by artifact:// instead of a path.
    artifacts : mapping of str to Path
        Absolute, by the name in ``context.artifacts``; the example's own files among them.
    parts : mapping of str to tuple of Path
        What travels of an artifact, by its name, where not all of that directory does.
    model_config, tags, tolerance : mapping
    allow_nan, rows_match, output_files, strict_inputs : bool
        Whether numbers may be NaN; whether the output has a row for each row of the input; whether the outputs are URIs
        of files, whose content counts; whether a spoilt file must be refused by its name.
    minimum_rows : int
        How few rows an output may have.
    time_limit : int
        How long a prediction may take, in seconds.
    inert_params : sequence of str
        The params that leave the example's answer as it is.
    verification : mapping
        What verify checks, whether a prediction may use the network, which environment variables the model needs.
    about : mapping
        What it says of itself to people, by the entry's name in small letters.
    serialization : str
        "pickle", or "code" for a model that loads without any.
    link_artifacts : bool
        Whether artifacts may be hard links to model_data/, where the file system cannot share their bytes otherwise.
    perturb : callable or None
        ``perturb(path, order, target)`` writes cells of a file, by their numbers from 0, in this order, to another.
    checks : callable or None
        ``checks(example, params, output)`` raises where the example's output is wrong.
    """

    archetype: str
    model_class: str
    signature: ModelSignature
    example: Example
    stored: Example
    artifacts: Mapping[str, Path]
    parts: Mapping[str, tuple[Path, ...]]
    model_config: Mapping[str, Any]
    tags: Mapping[str, str]
    tolerance: Mapping[str, float]
    allow_nan: bool
    rows_match: bool
    output_files: bool
    strict_inputs: bool
    minimum_rows: int
    time_limit: int
    inert_params: Sequence[str]
    verification: Mapping[str, Any]
    about: Mapping[str, str]
    serialization: str
    link_artifacts: bool
    perturb: Callable[..., object] | None
    checks: Callable[..., object] | None

    def metadata(self, model_class: type) -> dict[str, Any]:
        """Return what MLmodel's metadata says of the contract, and of the class's own part in it."""
        names = ("archetype", "allow_nan", "rows_match", "minimum_rows", "output_files", "time_limit")
        mappings = ("tags", "tolerance", "verification")
        values = {name: getattr(self, name) for name in names} | {name: dict(getattr(self, name)) for name in mappings}
        values["inert_params"] = list(self.inert_params)
        values |= {"about": dict(self.about)} if self.about else {}
        values |= {"perturb": f"{self.perturb.__module__}:{self.perturb.__name__}"} if self.perturb else {}
        values |= {"strict_inputs": True} if self.strict_inputs else {}
        return {**values, "one_row": bool(getattr(model_class, "ONE_ROW", False))}


def read_spec(package: Path, flags: Flags) -> Spec:
    """Read model_spec.py of the package, with `flags` on top; no bytecode is written from now on.

    Python takes bytecode for current by the second and the length of its source, which an edit can leave as they were.

    Parameters
    ----------
    package : Path
        The package's directory, absolute.
    flags : Flags

    Raises
    ------
    UsageError
        With every problem at once; or with the author's traceback, if model_spec.py itself raises; or if an environment
        variable that the model needs is not set.
    """
    sys.dont_write_bytecode = True
    declared = _run(package / SPEC)
    problems = [*type_faults(declared), *name_faults(declared)]
    own_class = f"model_code.{package.name.removesuffix('_mlflow_pkg')}_mlflow_model:"
    # What has a wrong type counts as not given, so that all else is checked, too.
    usable = {name: value for name, value in declared.items() if isinstance(value, TYPES.get(name, object))}
    entries = {**ENTRIES, "MODEL_CLASS": own_class, **usable}
    signature = _signature(entries["MODEL_SIGNATURE"] or _NO_SIGNATURE, flags)
    artifacts = {name: package / str(path) for name, path in entries["ARTIFACTS"].items()} | dict(flags.artifacts)
    problems += [*declared_artifact_faults(entries["ARTIFACTS"], flags, artifacts)]
    problems += signature_faults(signature) if "MODEL_SIGNATURE" in usable else ()
    problems += example_flag_faults(signature, flags, entries["ARCHETYPE"])
    if flags.params is None:
        problems += inert_params_faults(entries["INERT_PARAMS"], signature)
    model_config = entries["MODEL_CONFIG"] if flags.model_config is None else flags.model_config
    problems += config_faults(model_config, "MODEL_CONFIG" if flags.model_config is None else "--model-config-json")
    example = read_example(flags.example_uri, entries["INPUT_EXAMPLE"], problems)
    luggage = Luggage(package, flags, artifacts, problems)
    stored = luggage.pack(example, entries["EXAMPLE_FILES"]) if example else None
    there = {name: path for name, path in luggage.artifacts.items() if path.exists()}
    carried = luggage.artifacts.keys() - entries["ARTIFACTS"].keys() - flags.artifacts.keys()
    problems += artifact_faults(there, luggage.parts, carried)
    problems += [*tolerance_faults(entries["TOLERANCE"]), *settings_faults(entries["VERIFICATION"])]
    _stop_at(problems)
    require_variables(os.environ, entries["VERIFICATION"].get(VARIABLES, ()))
    if example is None or stored is None:
        raise UsageError(SPEC, "incomplete")
    return Spec(
        archetype=entries["ARCHETYPE"],
        model_class=flags.model_class or entries["MODEL_CLASS"],
        signature=signature,
        example=example,
        stored=stored,
        artifacts=luggage.artifacts,
        parts=luggage.parts,
        model_config=model_config,
        tags={**{str(k): str(v) for k, v in entries["TAGS"].items()}, **flags.tags},
        tolerance={"rtol": 1e-5, "atol": 0.0, **{k: float(v) for k, v in entries["TOLERANCE"].items()}},
        allow_nan=entries["ALLOW_NAN"],
        rows_match=entries["ROWS_MATCH"],
        output_files=entries["OUTPUT_FILES"],
        strict_inputs=entries["STRICT_INPUTS"],
        minimum_rows=entries["MINIMUM_ROWS"],
        time_limit=entries["TIME_LIMIT"],
        inert_params=entries["INERT_PARAMS"],
        verification={**VERIFICATION, **entries["VERIFICATION"]},
        about={name.lower(): entries[name] for name in ABOUT if entries[name]},
        serialization=flags.serialization or entries["SERIALIZATION"],
        link_artifacts=flags.link_artifacts or entries["LINK_ARTIFACTS"],
        perturb=entries["PERTURB"],
        checks=entries["CHECKS"],
    )


def _run(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(str(path), "no such file", advice=f"{invoke('scaffold', path)} makes one.")
    try:
        values = runpy.run_path(str(path), run_name=path.stem)
    except Exception as error:  # the author's code may raise anything
        shown = author_traceback(error, [path])
        raise UsageError(SPEC, f"it raised {said(error)}", author_traceback=shown) from error
    return {name: value for name, value in values.items() if name.isupper() or name.upper() in ENTRIES}


def _stop_at(problems: list[str]) -> None:
    if problems:
        raise UsageError(SPEC, f"it cannot be packaged as declared:{listed(problems)}")


def _signature(declared: ModelSignature, flags: Flags) -> ModelSignature:
    outputs, params = declared.outputs, declared.params
    if flags.output_shape is not None or flags.output_dtype is not None:
        known = outputs.inputs[0] if outputs and outputs.is_tensor_spec() else TensorSpec(np.dtype("float32"), (-1,))
        dtype = np.dtype(flags.output_dtype) if flags.output_dtype else known.type
        outputs = Schema([TensorSpec(dtype, flags.output_shape or known.shape)])
    if flags.params is not None:
        try:
            params = ParamSchema([ParamSpec(*each) for each in flags.params])
        except MlflowException as error:
            raise UsageError("--extra-params-spec-json", "MLflow refuses it", got=str(error)) from error
    return ModelSignature(declared.inputs, outputs, params)
