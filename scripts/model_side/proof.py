"""Prove a saved model: it loads, predicts and keeps its contract. Import it in the model environment only."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np

from .answers import Arrays
from .contract import Tolerance, as_array, compare, form_of, hold_output
from .errors import StepError
from .flags import Flags
from .golden import GOLDEN, read_output, write_output
from .model_files import ModelFiles, read_model
from .parsing import parse_payload
from .payloads import check_payload, read_payload, rows_to_match
from .spec import read_spec

_RAISE = "Let it raise where the output is wrong."


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
    here = Path.cwd()
    model = mlflow.pyfunc.load_model(str(staged))
    first, second = (_predict(model, files, files.example) for _ in range(2))
    if not compare(first, second, Tolerance(rtol=0.0)).agrees:
        raise StepError("predict", "two predictions of one input differ", advice="Seed what is random in the model.")
    _require_untouched(here)
    write_output(first, staged / GOLDEN)
    if files.signature.output_files:  # CHECKS wants the files, and the package their digests
        uris = replace(files, signature=replace(files.signature, output_files=False))
        write_output(_predict(model, uris, files.example), staged.with_name(GOLDEN))
    return form_of(first)


def _require_untouched(directory: Path) -> None:
    """Check that the model left the working directory, which was empty, alone: served, it is shared or read-only."""
    if Path.cwd() != directory:
        advice = "Use absolute paths: what else is in the process needs its own."
        raise StepError("forward pass", "it changed the working directory", got=str(Path.cwd()), advice=advice)
    written = sorted(path.name for path in directory.iterdir())
    if written:
        advice = "Write to tempfile.mkdtemp(): where a model is served, that directory may be read-only."
        raise StepError("forward pass", "it wrote to the working directory", got=", ".join(written), advice=advice)


def prove_payload(staged: Path, path: Path) -> str:
    """Predict another payload, too, in the working directory that its paths are relative to.

    Returns
    -------
    str
        The output's dtype and shape.
    """
    files = read_model(str(staged))
    payload = read_payload(path, files.signature)
    return form_of(_predict(mlflow.pyfunc.load_model(str(staged)), files, payload))


def _predict(model: mlflow.pyfunc.PyFuncModel, files: ModelFiles, payload: Mapping[str, Any]) -> Arrays:
    output = model.predict(parse_payload(payload, model, files.signature), params=payload.get("params"))
    allow_nan, rows = bool(files.metadata.get("allow_nan")), rows_to_match(payload, files.signature)
    hold_output(output, files.signature, allow_nan=allow_nan, rows=rows, subject="forward pass")
    return as_array(output, files.signature)


def run_checks(package: Path, flags: Flags, staged: Path) -> None:
    """Call CHECKS of model_spec.py on the example's output, if there is one; what it raises is the author's verdict."""
    sys.path.insert(0, str(package))
    spec = read_spec(package, flags)
    if spec.checks is not None:
        output = read_output(staged.with_name(GOLDEN) if spec.output_files else staged / GOLDEN)
        verdict = spec.checks(spec.example.data, dict(spec.example.params), output)
        if verdict is not None and not (isinstance(verdict, bool | np.bool_) and verdict):
            raise StepError("CHECKS", "it returned a verdict", expected="None", got=repr(verdict), advice=_RAISE)
