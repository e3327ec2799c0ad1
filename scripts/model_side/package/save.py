"""Save an MLflow Model reproducibly. Import it in the model environment only."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import tempfile
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import Model, convert_input_example_to_serving_input

from ..base.errors import StepError, UsageError, listed
from ..base.read_only import can_hold
from ..model.manifest import NO_ID
from ..model.requirements import REQUIREMENTS, UV_TOML, read_requirements, uv_toml
from ..model.signature import parse_signature
from ..payload.payload import check_payload
from .artifacts import place_artifacts, stand_ins
from .flags import Flags
from .model_class import load_model_class, require_params
from .own_name import pickle_by, write_own_code
from .reads import reported_reads
from .spec import SPEC, Spec, read_spec
from .spec_faults import file_column_faults
from .travel import LEFT_OUT, code_faults, left_out, require_outside, require_space

CODE = "model_code"
_FROM_CODE = """\
from mlflow.models import set_model
from {own} import model_class

set_model(model_class("{module}", "{name}")())
"""


def check_package(package: Path, flags: Flags, work: Path) -> tuple[Spec, type[mlflow.pyfunc.PythonModel], list[str]]:
    """Check all that can be checked before saving, and return the spec, the model's class and the requirements.

    Parameters
    ----------
    package : Path
    flags : Flags
    work : Path
        Where the model will be saved.

    Raises
    ------
    UsageError
        If the package is not as it should be.
    """
    if faults := list(code_faults(package / CODE)):
        raise UsageError(package.name, f"it cannot be packaged:{listed(faults)}")
    sys.path.append(str(package))  # no file in it hides a module
    os.chdir(package)
    requirements = read_requirements(package)
    uv_toml(package)
    with reported_reads(package):
        spec = read_spec(package, flags)
        require_outside(spec.artifacts, work)
        model_class = load_model_class(spec.model_class, package)
    if faults := list(file_column_faults(model_class, spec.signature, spec.example, spec.stored)):
        raise UsageError(SPEC, f"it cannot be packaged as declared:{listed(faults)}")
    require_params(
        model_class, [each.name for each in spec.signature.params or () if each.name not in spec.inert_params]
    )
    check_example(spec, one_row=spec.metadata(model_class)["one_row"])
    require_space(chain(*(spec.parts.get(name, (path,)) for name, path in spec.artifacts.items())), work)
    return spec, model_class, requirements


def dry_run(package: Path, flags: Flags, work: Path) -> None:
    """Check the package and save nothing.

    Parameters
    ----------
    package : Path
    flags : Flags
    work : Path
        Where the model would be saved.
    """
    check_package(package, flags, work)


def save_model(package: Path, flags: Flags, work: Path, staged: Path) -> list[str]:
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
    list of str
        The paths of the artifacts' files in the model.

    Raises
    ------
    UsageError
        If the package is not as it should be.
    """
    spec, model_class, requirements = check_package(package, flags, work)
    # Old releases of MLflow load the model while they save it: in vain, and the artifacts are not there yet. The class
    # is pickled by its name, and this process ends with the save.
    model_class.load_context = _load_nothing
    code = _copy_code(package / CODE, work / CODE)
    own_code = write_own_code(code)
    pickle_by(own_code.stem, model_class)
    tempfile.tempdir = str(work)
    epoch = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), UTC)
    _save(
        staged,
        python_model=_python_model(spec, model_class, own_code),
        code_paths=[str(code), str(own_code)],
        artifacts=stand_ins(spec.artifacts, work / "stand-ins"),
        signature=spec.signature,
        input_example=spec.stored.for_mlflow(),
        pip_requirements=requirements,
        model_config=dict(spec.model_config),
        metadata=spec.metadata(model_class),
        mlflow_model=Model(model_uuid=NO_ID, utc_time_created=epoch.strftime("%Y-%m-%d %H:%M:%S")),
    )
    _make_relative(staged / "MLmodel", work)
    # As they were checked: MLflow writes some in other words, and leaves the last line open.
    (staged / REQUIREMENTS).write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
    nulls_for_nan(staged)
    _refuse_paths_of(package, staged)
    link = spec.link_artifacts and can_hold(staged)
    placed = place_artifacts(staged, spec.artifacts, spec.parts, package, link=link)
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


def _python_model(spec: Spec, model_class: type[mlflow.pyfunc.PythonModel], own_code: Path) -> Any:
    """Return the model itself, to be pickled, or the file that makes it, where nothing is to be pickled."""
    if spec.serialization == "pickle":
        return model_class()
    path, names = own_code.with_name("model.py"), {"module": model_class.__module__, "name": model_class.__name__}
    path.write_text(_FROM_CODE.format(own=own_code.stem, **names), encoding="utf-8")
    return str(path)


def _make_relative(mlmodel: Path, work: Path) -> None:
    """MLflow writes where the model's file was; it reads only its name."""
    text = mlmodel.read_text(encoding="utf-8")
    mlmodel.write_text(text.replace(f"{work}/", ""), encoding="utf-8")


def _copy_code(source: Path, target: Path) -> Path:
    """Copy the author's code; the copies are writable, so that a later run can remove them."""
    for name in left_out(source):
        print(f"note: {name} stays behind: hidden files do not travel", file=sys.stderr)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for directory, _, _ in os.walk(target):
        Path(directory).chmod(Path(directory).stat().st_mode | stat.S_IRWXU)
    return target


def _refuse_paths_of(package: Path, staged: Path) -> None:
    """Refuse a model that knows where it was made, by its state or an entry of the spec."""
    here = re.compile(re.escape(os.fsencode(package)) + rb"(?![\w.-])")
    paths = staged.rglob("*") if len(package.parts) > 2 else ()  # one name alone may stand for anything
    for path in sorted(paths):
        if path.is_file() and here.search(path.read_bytes()):
            advice = (
                "Name files of the model by ARTIFACTS, files beside a module by the module's __file__ in load_context."
            )
            name = path.relative_to(staged).as_posix()
            raise UsageError(name, "it would carry a path of this machine", got=str(package), advice=advice)


_EXAMPLES = ("input_example.json", "serving_input_example.json")


def check_example(spec: Spec, *, one_row: bool) -> None:
    """Check the input example against the signature before anything is saved.

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
    """Write the stored example as JSON: MLflow writes what is missing in a table as a bare NaN.

    Parameters
    ----------
    model : Path
        The saved MLflow Model.
    """
    for name in _EXAMPLES:
        path = model / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if "NaN" in text:
            path.write_text(json.dumps(_loads(text), indent=2), encoding="utf-8")


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))
