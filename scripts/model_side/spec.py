"""model_spec.py and the packager's flags as one frozen, validated record. Import it in the model environment only."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

from .carrying import DATA, carry, is_data
from .downloads import leftovers, within
from .errors import UsageError
from .examples import URI_COLUMN, Example, has_uris, read_example
from .flags import SERIALIZATIONS, Flags
from .tracebacks import author_traceback
from .travel import artifact_faults
from .verification import VERIFICATION, settings_faults

SPEC = "model_spec.py"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "ARCHETYPE": (str,),
    "MODEL_CLASS": (str,),
    "MODEL_SIGNATURE": (ModelSignature,),
    "ARTIFACTS": (dict,),
    "MODEL_CONFIG": (dict,),
    "TAGS": (dict,),
    "TOLERANCE": (dict,),
    "ALLOW_NAN": (bool,),
    "ROWS_MATCH": (bool,),
    "OUTPUT_FILES": (bool,),
    "SERIALIZATION": (str,),
    "LINK_ARTIFACTS": (bool,),
    "VERIFICATION": (dict,),
}
ENTRIES = (*_TYPES, "INPUT_EXAMPLE", "CHECKS")


@dataclass(frozen=True)
class Spec:
    """All that a package declares of its model.

    Parameters
    ----------
    package : Path
        The package's directory, absolute.
    archetype, model_class : str
        `model_class` is ``module:Class``.
    signature : ModelSignature
    example, stored : Example
        As declared, and as it travels: files by artifact:// instead of a path.
    artifacts : mapping of str to Path
        Absolute, by the name in ``context.artifacts``; the example's own file among them.
    model_config, tags, tolerance : mapping
    allow_nan, rows_match, output_files : bool
        Whether numbers may be NaN; whether the output has a row for each row of the input; whether the outputs are URIs
        of files, whose content counts.
    verification : mapping of str to bool
        hermetic and portable: whether verify checks it; network: whether a prediction may use it.
    serialization : str
        "pickle", or "code" for a model that loads without any.
    link_artifacts : bool
        Whether artifacts may be hard links to model_data/, where the file system cannot share their bytes otherwise.
    checks : callable or None
        ``checks(example, params, output)`` raises where the example's output is wrong.
    left_behind : frozenset of Path
        What downloads have left in the artifacts: it does not travel.
    """

    package: Path
    archetype: str
    model_class: str
    signature: ModelSignature
    example: Example
    stored: Example
    artifacts: Mapping[str, Path]
    model_config: Mapping[str, Any]
    tags: Mapping[str, str]
    tolerance: Mapping[str, float]
    allow_nan: bool = False
    rows_match: bool = False
    output_files: bool = False
    verification: Mapping[str, bool] = field(default_factory=lambda: dict(VERIFICATION))
    serialization: str = "pickle"
    link_artifacts: bool = False
    checks: Callable[..., object] | None = None
    left_behind: frozenset[Path] = frozenset()


def read_spec(package: Path, flags: Flags) -> Spec:
    """Read model_spec.py of the package, with `flags` on top.

    Raises
    ------
    UsageError
        With every problem at once; or with the author's traceback, if model_spec.py itself raises.
    """
    entries = _run(package / SPEC)
    problems = [*_type_problems(entries), *_name_problems(entries)]
    _stop_at(problems)
    entries = {**_defaults(package), **entries}
    signature = _signature(entries.get("MODEL_SIGNATURE"), flags)
    artifacts = {name: package / str(path) for name, path in entries["ARTIFACTS"].items()} | dict(flags.artifacts)
    problems += [*_artifact_problems(entries["ARTIFACTS"], flags, artifacts), *_signature_problems(signature)]
    problems += _example_flag_problems(signature, flags, entries["ARCHETYPE"])
    example = read_example(flags.example_uri, entries.get("INPUT_EXAMPLE"), problems)
    stored = example
    if example and has_uris(example):
        stored, artifacts = carry(example, artifacts, package, flags, problems)
    there, left = {name: path for name, path in artifacts.items() if path.exists()}, leftovers(package)
    problems += artifact_faults(there, collide=_collides(), without=left)
    problems += [*_tolerance_problems(entries["TOLERANCE"]), *settings_faults(entries["VERIFICATION"])]
    _stop_at(problems)
    if signature is None or example is None or stored is None:
        raise UsageError(SPEC, "incomplete")
    return Spec(
        package=package,
        archetype=entries["ARCHETYPE"],
        model_class=flags.model_class or entries["MODEL_CLASS"],
        signature=signature,
        example=example,
        stored=stored,
        artifacts=artifacts,
        model_config=entries["MODEL_CONFIG"] if flags.model_config is None else flags.model_config,
        tags={**{str(k): str(v) for k, v in entries["TAGS"].items()}, **flags.tags},
        tolerance={"rtol": 1e-5, "atol": 0.0, **entries["TOLERANCE"]},
        allow_nan=entries["ALLOW_NAN"],
        rows_match=entries["ROWS_MATCH"],
        output_files=entries["OUTPUT_FILES"],
        verification={**VERIFICATION, **entries["VERIFICATION"]},
        serialization=flags.serialization or entries["SERIALIZATION"],
        link_artifacts=flags.link_artifacts or entries["LINK_ARTIFACTS"],
        checks=entries.get("CHECKS"),
        left_behind=frozenset(within(artifacts.values(), left)),
    )


def _run(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(str(path), "no such file", advice="`invoke scaffold` makes one.")
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None:
        raise UsageError(str(path), "cannot be imported")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:  # the author's code may raise anything
        raise UsageError(
            SPEC, f"it raised {type(error).__name__}: {error}", author_traceback=author_traceback(error, [path])
        ) from error
    return {name: value for name, value in vars(module).items() if name.isupper() and not name.startswith("_")}


def _defaults(package: Path) -> dict[str, Any]:
    name = package.name.removesuffix("_mlflow_pkg")
    return {
        "ARCHETYPE": "",
        "MODEL_CLASS": f"model_code.{name}_mlflow_model:",
        **{entry: {} for entry in ("ARTIFACTS", "MODEL_CONFIG", "TAGS", "TOLERANCE", "VERIFICATION")},
        **dict.fromkeys(("ALLOW_NAN", "ROWS_MATCH", "OUTPUT_FILES"), False),
        "SERIALIZATION": SERIALIZATIONS[0],
        "LINK_ARTIFACTS": False,
    }


def _stop_at(problems: list[str]) -> None:
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise UsageError(SPEC, f"it cannot be packaged as declared:{lines}")


def _type_problems(entries: Mapping[str, Any]) -> Iterator[str]:
    for name, types in _TYPES.items():
        if name in entries and not isinstance(entries[name], types):
            yield f"{name}: expected a {types[0].__name__}, got a {type(entries[name]).__name__}"
    if entries.get("SERIALIZATION", SERIALIZATIONS[0]) not in SERIALIZATIONS:
        yield f"SERIALIZATION: expected one of {', '.join(SERIALIZATIONS)}, got {entries['SERIALIZATION']!r}"
    if entries.get("CHECKS") is not None and not callable(entries["CHECKS"]):
        yield f"CHECKS: expected a function or None, got a {type(entries['CHECKS']).__name__}"


def _name_problems(entries: Mapping[str, Any]) -> Iterator[str]:
    """Yield names that are nearly those of entries: a misspelt entry must not be passed over."""
    for name in entries.keys() - set(ENTRIES):
        near = get_close_matches(name, ENTRIES, 1, cutoff=0.8)
        if near:
            yield f"{name}: unknown entry: did you mean {near[0]}?"


def _signature(declared: ModelSignature | None, flags: Flags) -> ModelSignature | None:
    if declared is None:
        return None
    outputs, params = declared.outputs, declared.params
    if flags.output_shape is not None or flags.output_dtype is not None:
        known = outputs.inputs[0] if outputs and outputs.is_tensor_spec() else TensorSpec(np.dtype("float32"), (-1,))
        dtype = np.dtype(flags.output_dtype) if flags.output_dtype else known.type
        outputs = Schema([TensorSpec(dtype, flags.output_shape or known.shape)])
    if flags.params is not None:
        params = ParamSchema([ParamSpec(each.name, each.type, each.default, each.shape) for each in flags.params])
    return ModelSignature(declared.inputs, outputs, params)


def _signature_problems(signature: ModelSignature | None) -> Iterator[str]:
    if signature is None:
        yield "MODEL_SIGNATURE: not given: expected a mlflow.models.ModelSignature"
        return
    for side in ("inputs", "outputs"):
        if not getattr(signature, side):
            yield f"MODEL_SIGNATURE: it has no {side}: declare them, a model's receiver needs both"


def _example_flag_problems(signature: ModelSignature | None, flags: Flags, archetype: str) -> Iterator[str]:
    if flags.example_uri is None or signature is None or not signature.inputs:
        return
    if URI_COLUMN not in signature.inputs.input_names():
        which = f"the archetype {archetype}" if archetype else "this model"
        yield (
            f'--example-uri: not for {which}: its signature takes no column "{URI_COLUMN}": '
            "leave it out and write INPUT_EXAMPLE"
        )


def _artifact_problems(declared: Mapping[str, Any], flags: Flags, artifacts: Mapping[str, Path]) -> Iterator[str]:
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
            yield f"{where}: no such file or directory: {shown}: run `invoke download-data`, or put it there"


def _collides() -> bool:
    """Tell whether this MLflow saves artifacts with one base name to one path: it did before 3.16."""
    return tuple(map(int, mlflow.__version__.split(".")[:2])) < (3, 16)


def _tolerance_problems(tolerance: Mapping[str, Any]) -> Iterator[str]:
    for name, value in tolerance.items():
        if name not in ("rtol", "atol") or isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            yield f'TOLERANCE: expected "rtol" and "atol" with numbers from 0, got {name!r}: {value!r}'


def describe(value: object) -> str:
    """Return what a value is, for a message."""
    if inspect.isclass(value):
        return f"the class {value.__name__}({', '.join(base.__name__ for base in value.__bases__)})"
    if isinstance(value, pd.DataFrame):
        return f"a DataFrame with the columns {', '.join(map(str, value.columns))}"
    return f"a {type(value).__name__}"
