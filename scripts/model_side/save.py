"""Save an MLflow Model reproducibly. Import it in the model environment only."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from .artifacts import place_artifacts, stand_ins
from .errors import StepError, UsageError
from .file_entry import FileEntry
from .flags import Flags
from .manifest import NO_ID
from .model_class import load_model_class
from .requirements import read_requirements
from .spec import Spec, read_spec
from .travel import LEFT_OUT, code_faults, hiding_modules, left_out, require_space
from .uv_toml import UV_TOML, uv_toml

CODE = "model_code"
_FROM_CODE = """\
from mlflow.models import set_model
from {module} import {name}

set_model({name}())
"""


def check_package(package: Path, flags: Flags) -> tuple[Spec, type[mlflow.pyfunc.PythonModel], list[str]]:
    """Check all that can be checked before saving, and return the spec, the model's class and the requirements.

    Raises
    ------
    UsageError
        If the package is not as it should be.
    """
    faults = [*hiding_modules(package), *code_faults(package / CODE)]
    if faults:
        raise UsageError(package.name, "".join(["it cannot be packaged:", *(f"\n  {fault}" for fault in faults)]))
    sys.path.insert(0, str(package))
    os.chdir(package)
    requirements = read_requirements(package)
    uv_toml(package)
    spec = read_spec(package, flags)
    return spec, load_model_class(spec.model_class, package), requirements


def dry_run(package: Path, flags: Flags) -> None:
    """Check the package and save nothing."""
    check_package(package, flags)


def save_model(package: Path, flags: Flags, work: Path, staged: Path) -> dict[str, FileEntry]:
    """Save the model that `package` declares to `staged`, which must not exist.

    The same sources give the same bytes: the model's time comes from SOURCE_DATE_EPOCH (else 1970-01-01), its identity
    is left to `manifest.seal`, and every path in it is relative.

    Parameters
    ----------
    package : Path
    flags : Flags
    work : Path
        A directory for temporary files on the file system of `staged`.
    staged : Path

    Returns
    -------
    mapping of str to FileEntry
        The artifacts' files, hashed while they were written.

    Raises
    ------
    UsageError
        If the package is not as it should be.
    """
    spec, model_class, requirements = check_package(package, flags)
    # Old releases of MLflow load the model while they save it: in vain, and the artifacts are not there yet. The class
    # is pickled by its name, and this process ends with the save.
    model_class.load_context = _load_nothing
    require_space(spec.artifacts.values(), work, spec.left_behind)
    for path in sorted(spec.left_behind):
        print(f"note: {path.relative_to(package)} stays behind: a download has set it aside", file=sys.stderr)
    tempfile.tempdir = str(work)
    code = work / CODE
    for name in left_out(package / CODE):
        print(f"note: {name} stays behind: hidden files do not travel", file=sys.stderr)
    shutil.copytree(package / CODE, code, ignore=shutil.ignore_patterns(*LEFT_OUT))
    _save(
        staged,
        python_model=_python_model(spec, model_class, work),
        code_paths=[str(code)],
        artifacts=stand_ins(spec.artifacts, work / "stand-ins"),
        signature=spec.signature,
        input_example=spec.stored.for_mlflow(),
        pip_requirements=requirements,
        model_config=dict(spec.model_config),
        metadata={**_metadata(spec), "one_row": bool(getattr(model_class, "ONE_ROW", False))},
        mlflow_model=Model(model_uuid=NO_ID, utc_time_created=_time()),
    )
    placed = place_artifacts(staged, spec.artifacts, package, link=spec.link_artifacts, without=spec.left_behind)
    _make_relative(staged / "MLmodel", work)
    if settings := uv_toml(package):
        (staged / UV_TOML).write_text(settings, encoding="utf-8")
    return placed


def _save(path: Path, **declared: Any) -> None:
    try:
        mlflow.pyfunc.save_model(path, **declared)
    except MlflowException as error:
        cause = error.__cause__ or error
        advice = "INPUT_EXAMPLE and MODEL_SIGNATURE must fit."
        if not isinstance(cause, MlflowException):
            advice = "Make in load_context what cannot be pickled, or take --serialization code."
        raise StepError("save", "MLflow refuses the model", got=" ".join(str(cause).split()), advice=advice) from error


def _load_nothing(self: mlflow.pyfunc.PythonModel, context: mlflow.pyfunc.PythonModelContext) -> None:
    """Stand for load_context while the model is saved; the proof loads it."""


def _python_model(spec: Spec, model_class: type[mlflow.pyfunc.PythonModel], work: Path) -> Any:
    """Return the model itself, to be pickled, or the file that makes it, where nothing is to be pickled."""
    if spec.serialization == "pickle":
        return model_class()
    path = work / "model.py"
    path.write_text(_FROM_CODE.format(module=model_class.__module__, name=model_class.__name__), encoding="utf-8")
    return str(path)


def _make_relative(mlmodel: Path, work: Path) -> None:
    """MLflow writes where the model's file was; it reads only its name."""
    text = mlmodel.read_text(encoding="utf-8")
    mlmodel.write_text(text.replace(f"{work}/", ""), encoding="utf-8")


def _metadata(spec: Spec) -> dict[str, Any]:
    return {
        "archetype": spec.archetype,
        "tags": dict(spec.tags),
        "tolerance": dict(spec.tolerance),
        "allow_nan": spec.allow_nan,
        "rows_match": spec.rows_match,
        "output_files": spec.output_files,
        "verification": dict(spec.verification),
    }


def _time() -> str:
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
