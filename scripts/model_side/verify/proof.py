"""Prove a saved model: it loads, predicts and keeps its contract. Import it in the model environment only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import mlflow.pyfunc
import numpy as np
import pandas as pd

from ..base.errors import StepError, listed
from ..base.processes import Figures, peak_memory
from ..model.model import ModelFiles, read_model
from ..model.settings import budget_of, settings_of
from ..output.arrays import Arrays
from ..output.comparison import Tolerance, compare, form_of
from ..output.files import read_output, write_golden, write_output
from ..package.flags import Flags
from ..package.reads import reported_reads
from ..package.spec import read_spec
from ..payload.payload import check_payload, read_payload
from ..run.clock import AHEAD, Clock, movable_clock
from ..run.in_process import Loaded, checked, require_served
from ..run.tally import loading
from ..run.writes import told_writes
from .params import prove_params

_FOR_CHECKS = "example_output.npz"  # beside the model
_RAISE = "Let it raise where the output is wrong."
# Why two predictions of one input differ, as further ones show, and what to do.
CLOCK = (
    "The answer follows the clock: the second was given one that is a year ahead, and with it turned back, a third"
    " gives the first answer again. Write no time of day into a result or a result file: gzip takes mtime=0, pandas"
    ' compression={"method": "gzip", "mtime": 0}, zipfile a ZipInfo with a date_time.'
)
STATE = (
    "A new process gives the first answer again: a call changes what later ones read, such as an attribute of the model"
    " or of its class, or a random generator that is seeded once. Let each call start from what load_context left."
)
RANDOM = (
    "A new process gives another answer, too: seed what is random, in each call, and let no time of day into it: HDF5"
    " takes track_times=False."
)
_ALLOW = 'Where that is right, widen TOLERANCE, or declare VERIFICATION = {"repeatable": False}.'


class DifferingError(StepError):
    """Two predictions of one input differ.

    Parameters
    ----------
    first : ndarray or dict of str to ndarray, optional
        The first answer, where what they differ by is still to be found out.
    began : float
        When it was asked for, in seconds since 1970.
    """

    first: Arrays | None = None
    began: float = 0.0


class Proof(NamedTuple):
    """What proving a model showed: the output's dtype and shape, what all cost, whether a prediction is over budget."""

    form: str
    figures: Figures
    is_slow: bool


def proven(staged: Path, child: Callable[..., Any]) -> Proof:
    """Prove a model in a process of its own; errors and answer as those of `prove`.

    Parameters
    ----------
    staged : Path
        The directory of the MLflow Model.
    child : callable
        ``child(work, *arguments, must_end=...)`` calls in such a process, in an empty working directory.
    """
    try:
        answer: Proof = child(prove, staged, must_end=True)
        return answer
    except DifferingError as error:
        if error.first is not None:
            again = child(_first_answer, staged, error.began)
            same = compare(error.first, again, Tolerance.of(read_model(str(staged)).metadata)).agrees
            error.advice = f"{STATE if same else RANDOM} {_ALLOW}"
        raise


def prove(staged: Path) -> Proof:
    """Load the model as its receiver does, predict its example twice, check the output against the contract, keep it.

    The second prediction is given a clock that is a year ahead.

    Call it in a process that has not imported the author's code, in an empty working directory.

    Parameters
    ----------
    staged : Path
        The directory of the MLflow Model.

    Returns
    -------
    Proof

    Raises
    ------
    StepError
        If the output is not what the signature declares, or differs between two calls.
    UsageError
        If the example does not fit the signature.
    """
    start = time.perf_counter()
    files = read_model(str(staged))
    if files.example is None:
        raise StepError("INPUT_EXAMPLE", "MLflow did not store it")
    check_payload(files.example, files.signature, subject="INPUT_EXAMPLE")
    here, clock = Path.cwd(), movable_clock()
    with told_writes(staged):
        model, began = load_staged(staged, files), time.time()
        asked = time.perf_counter()
        output = model.output(files.example)
        is_slow = time.perf_counter() - asked > budget_of(files.metadata)
        first = checked(output, files, files.example, model.subject)
        require_served(output, files.signature)
        _require_some(first)
        if settings_of(files.metadata)["repeatable"]:
            _require_same(first, model, clock, began)
    clock.ahead = 0
    _require_untouched(here)
    figures = Figures(time.perf_counter() - start, peak_memory())
    if files.signature.params:
        prove_params(model, first)
    write_golden(first if files.signature.output_files else output, staged)
    if files.signature.output_files:  # CHECKS wants the files, and the package their digests
        uris = replace(files, signature=replace(files.signature, output_files=False))
        first = replace(model, files=uris).predict(files.example)
    write_output(first, staged.with_name(_FOR_CHECKS))
    return Proof(form_of(first), figures, is_slow)


def _require_some(output: Arrays) -> None:
    if not any(array.size for array in (output.values() if isinstance(output, dict) else [output])):
        advice = "Give INPUT_EXAMPLE data that has a result: an output without any proves nothing."
        raise StepError("forward pass", "the output of INPUT_EXAMPLE is empty", got=form_of(output), advice=advice)


def _require_same(first: Arrays, model: Loaded, clock: Clock, began: float) -> None:
    """Check that the next prediction of the example gives the same, a year later by the clock; if not, look for why."""
    tolerance, payload = Tolerance.of(model.files.metadata), model.files.example or {}
    clock.ahead = AHEAD
    if model.files.signature.output_files:
        # C code writes whole seconds into files, by a clock that cannot be moved; that of C's time() lags by 0.01 s.
        time.sleep(1.05 - time.time() % 1)
    found = compare(first, model.predict(payload), tolerance)
    if found.agrees:
        return
    clock.turn_to(began)
    follows = compare(first, model.predict(payload), tolerance).agrees
    cells = listed(found.lines() or [found.fault])
    advice = f"{CLOCK} {_ALLOW}" if follows else ""
    error = DifferingError("predict", f"two predictions of one input differ:{cells}\n", advice=advice)
    error.first, error.began = None if follows else first, began
    raise error


def _first_answer(staged: Path, began: float) -> Arrays:
    """Return what a new process gives for the example, at the time when another was asked, in seconds since 1970."""
    files, clock = read_model(str(staged)), movable_clock()
    model = load_staged(staged, files)
    clock.turn_to(began)
    return model.predict(files.example or {})


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

    Parameters
    ----------
    staged : Path
        The directory of the MLflow Model.
    path : Path
        The payload's file.

    Returns
    -------
    str
        The output's dtype and shape.
    """
    files = read_model(str(staged))
    payload = read_payload(path, files.signature)
    return form_of(load_staged(staged, files).predict(payload))


def load_staged(staged: Path, files: ModelFiles) -> Loaded:
    """Load without MLflow's comparison of the requirements with this environment, which only warns, and slowly."""
    with loading():
        model = mlflow.pyfunc.load_model(str(staged), suppress_warnings=True)
    return Loaded(model, files, staged, "forward pass")


def run_checks(package: Path, flags: Flags, staged: Path) -> None:
    """Call CHECKS of model_spec.py on the example's output, if there is one; what it raises is the author's verdict.

    Parameters
    ----------
    package : Path
        The directory with model_spec.py.
    flags : Flags
    staged : Path
        The directory of the MLflow Model.
    """
    sys.path.append(str(package))
    with reported_reads(package):
        spec = read_spec(package, flags)
        if spec.checks is None:
            return
        output: Any = read_output(staged.with_name(_FOR_CHECKS))
        if isinstance(output, dict) and not spec.signature.outputs.is_tensor_spec():
            output = pd.DataFrame({name: each if each.ndim == 1 else list(each) for name, each in output.items()})
        verdict = spec.checks(spec.example.data, dict(spec.example.params), output)
        if verdict is not None and not (isinstance(verdict, bool | np.bool_) and verdict):
            raise StepError("CHECKS", "it returned a verdict", expected="None", got=repr(verdict), advice=_RAISE)
