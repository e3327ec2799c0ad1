"""Save an MLflow Model reproducibly, and prove it in a fresh process. Import it in the model environment only."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.models import Model

from .contract import Tolerance, as_array, compare, form_of, hold_output
from .errors import StepError, UsageError
from .flags import Flags
from .model_class import load_model_class
from .model_files import read_model
from .parsing import parse_payload
from .payloads import check_payload
from .spec import Spec, read_spec

CODE = "model_code"
REQUIREMENTS = "requirements.txt"
GOLDEN = "golden_output.npz"
# What tools leave behind in a directory of code, and what must not travel.
_LEFT_OUT = ("__pycache__", "*.py[co]", "*~", ".*", "#*#", "*.bak", "*.orig")
_NO_ID = "0" * 32


def save_model(package: Path, flags: Flags, staged: Path) -> None:
    """Save the model that `package` declares to `staged`, which must not exist.

    The same sources give the same bytes: the model's identity comes from the content, its time from SOURCE_DATE_EPOCH
    (else 1970-01-01), and every path in it is relative.

    Raises
    ------
    UsageError
        If the package is not as it should be.
    """
    sys.path.insert(0, str(package))
    os.chdir(package)
    requirements = _requirements(package)
    spec = read_spec(package, flags)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Add type hints.*")
        model = load_model_class(spec.model_class, package)()
    code = staged.with_name(f"{staged.name}.code") / CODE
    try:
        shutil.copytree(package / CODE, code, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        mlflow.pyfunc.save_model(
            staged,
            python_model=model,
            code_paths=[str(code)],
            artifacts={name: os.path.relpath(path, package) for name, path in spec.artifacts.items()},
            signature=spec.signature,
            input_example=spec.stored.for_mlflow(),
            pip_requirements=requirements,
            model_config=dict(spec.model_config),
            metadata=_metadata(spec),
            mlflow_model=Model(model_uuid=_NO_ID, utc_time_created=_time()),
        )
    finally:
        shutil.rmtree(code.parent, ignore_errors=True)


def _requirements(package: Path) -> list[str]:
    path = package / REQUIREMENTS
    if not path.is_file():
        advice = "Run `uv pip compile requirements.in -o requirements.txt`, or `invoke compile-reqs`."
        raise UsageError(str(path), "no such file", advice=advice)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    here = [line for line in lines if fnmatch.filter([line], "-e *") or line.startswith(("./", "../", "/", "file:"))]
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
    }


def _time() -> str:
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def prove(staged: Path) -> str:
    """Load the model as its receiver does, predict its example twice, hold the output to the contract, and keep it.

    Call it in a process that has not imported the author's code, in an empty working directory.

    Returns
    -------
    str
        The output's dtype and shape.

    Raises
    ------
    StepError
        If the output is not what the signature declares, or differs between two calls.
    UsageError
        If the example does not fit the signature.
    """
    files = read_model(str(staged))
    if files.example is None:
        raise StepError("INPUT_EXAMPLE", "MLflow did not store it")
    check_payload(files.example, files.signature, subject="INPUT_EXAMPLE")
    model = mlflow.pyfunc.load_model(str(staged))
    outputs = []
    for _ in range(2):
        data = parse_payload(files.example, model, files.signature)
        output = model.predict(data, params=files.example.get("params"))
        hold_output(output, files.signature, allow_nan=bool(files.metadata.get("allow_nan")), subject="forward pass")
        outputs.append(as_array(output, files.signature))
    if not compare(*outputs, Tolerance(rtol=0.0)).agrees:
        raise StepError("predict", "two predictions of one input differ", advice="Seed what is random in the model.")
    parts = outputs[0] if isinstance(outputs[0], dict) else {"output": outputs[0]}
    # Texts as numpy's own: an array of objects would be stored as a pickle.
    np.savez(
        staged / GOLDEN, **{name: part.astype("U") if part.dtype == object else part for name, part in parts.items()}
    )
    return form_of(outputs[0])


def run_checks(package: Path, flags: Flags, staged: Path) -> None:
    """Call CHECKS of model_spec.py on the example's output, if there is one; what it raises is the author's verdict."""
    sys.path.insert(0, str(package))
    spec = read_spec(package, flags)
    checks: Callable[..., object] | None = spec.checks
    if checks is not None:
        with np.load(staged / GOLDEN) as golden:
            parts = dict(golden)
        checks(spec.example.data, dict(spec.example.params), parts.get("output", parts))


def identify(staged: Path) -> str:
    """Give the saved model an identity that its content decides, and return its digest, ``sha256:<hex>``."""
    mlmodel = staged / "MLmodel"
    digest = _digest(staged)
    text = mlmodel.read_text(encoding="utf-8")
    mlmodel.write_text(text.replace(_NO_ID, digest[:32], 1), encoding="utf-8")
    return f"sha256:{digest}"


def _digest(directory: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            value = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{value}  {path.relative_to(directory).as_posix()}\n".encode())
    return whole.hexdigest()
