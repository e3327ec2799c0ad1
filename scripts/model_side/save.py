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
from mlflow.models import Model

from .errors import UsageError
from .flags import Flags
from .manifest import NO_ID
from .model_class import load_model_class
from .spec import Spec, read_spec

CODE = "model_code"
REQUIREMENTS = "requirements.txt"
# What tools leave behind in a directory of code, and what must not travel.
_LEFT_OUT = ("__pycache__", "*.py[co]", "*~", ".*", "#*#", "*.bak", "*.orig")
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
    sys.path.insert(0, str(package))
    os.chdir(package)
    requirements = _requirements(package)
    spec = read_spec(package, flags)
    return spec, load_model_class(spec.model_class, package), requirements


def dry_run(package: Path, flags: Flags) -> None:
    """Check the package and save nothing."""
    check_package(package, flags)


def save_model(package: Path, flags: Flags, work: Path, staged: Path) -> None:
    """Save the model that `package` declares to `staged`, which must not exist.

    The same sources give the same bytes: the model's time comes from SOURCE_DATE_EPOCH (else 1970-01-01), its identity
    is left to `manifest.seal`, and every path in it is relative.

    Parameters
    ----------
    package : Path
    flags : Flags
    work : Path
        A directory for temporary files on the file system of `staged`, so that MLflow's copy of the artifacts is moved
        there, not copied once more.
    staged : Path

    Raises
    ------
    UsageError
        If the package is not as it should be.
    """
    spec, model_class, requirements = check_package(package, flags)
    tempfile.tempdir = str(work)
    code = work / CODE
    shutil.copytree(package / CODE, code, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    mlflow.pyfunc.save_model(
        staged,
        python_model=_python_model(spec, model_class, work),
        code_paths=[str(code)],
        artifacts={name: os.path.relpath(path, package) for name, path in spec.artifacts.items()},
        signature=spec.signature,
        input_example=spec.stored.for_mlflow(),
        pip_requirements=requirements,
        model_config=dict(spec.model_config),
        metadata={**_metadata(spec), "one_row": bool(getattr(model_class, "ONE_ROW", False))},
        mlflow_model=Model(model_uuid=NO_ID, utc_time_created=_time()),
    )
    _make_relative(staged / "MLmodel", work)


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


def _requirements(package: Path) -> list[str]:
    path = package / REQUIREMENTS
    if not path.is_file():
        advice = "Run `uv pip compile requirements.in -o requirements.txt`, or `invoke compile-reqs`."
        raise UsageError(str(path), "no such file", advice=advice)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    here = [line for line in lines if line.startswith(("-e ", "--editable", "./", "../", "/", "file:"))]
    if here:
        raise UsageError(
            REQUIREMENTS,
            "it names what is on this machine only",
            got=", ".join(here),
            advice="Publish it to an index, or move the code into model_code/.",
        )
    return [line for line in lines if line and not line.startswith("#")]


def _metadata(spec: Spec) -> dict[str, Any]:
    return {
        "archetype": spec.archetype,
        "tags": dict(spec.tags),
        "tolerance": dict(spec.tolerance),
        "allow_nan": spec.allow_nan,
        "rows_match": spec.rows_match,
        "output_files": spec.output_files,
    }


def _time() -> str:
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
