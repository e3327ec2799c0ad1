"""What verify sees for itself: the author's code called directly, and the model predicting again.

Each runs in a process of its own, forked from one that has imported MLflow. Import it in the model environment only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .answers import nulled
from .child import run_in_child
from .contract import Tolerance
from .direct import call_directly
from .errors import ModelSideError
from .figures import Figures
from .model_files import ModelFiles, disable_tracing, whole_model
from .routes import REFERENCE, Route
from .trials import Trial, compared, predict_again, predict_once


@dataclass(frozen=True)
class Evidence:
    """What the model gave when it predicted again.

    Parameters
    ----------
    trials : mapping of str to tuple of Trial
        By the check that they are of.
    figures : Figures, optional
        None where it gave nothing.
    """

    trials: Mapping[str, tuple[Trial, ...]] = field(default_factory=dict)
    figures: Figures | None = None


def direct_route(package: Path, payload: Mapping[str, Any], files: ModelFiles, seconds: float) -> Route:
    """Call the author's code in a package, for so many seconds at most."""
    try:
        with _scratch():
            found = call_directly(package, payload, files, seconds)
    except ModelSideError as error:
        _show(error)
        return Route("direct", fault=str(error))
    return Route("direct", nulled(found.output), figures=found.figures)


def predicted_again(
    model_uri: str,
    payload: Mapping[str, Any],
    files: ModelFiles,
    tolerance: Tolerance,
    before: Route,
    seconds: float,
) -> Evidence:
    """Load a model and let it predict again, for so many seconds at most.

    Parameters
    ----------
    before : Route
        What it gave in another process.
    """
    disable_tracing()
    try:
        with whole_model(model_uri) as model, _scratch():
            arguments = (predict_again, model.resolve(), payload, files, tolerance)
            again = run_in_child(
                *arguments, subject="predict again", directory=Path.cwd(), code=[model], seconds=seconds
            )
    except ModelSideError as error:
        _show(error)
        failed = (Trial("in a process of its own", fault=str(error)),)
        return Evidence({"repeatable": failed, "concurrent": failed})
    trials = dict(again.trials)
    if "repeatable" in trials and before.output is not None:
        other = compared("in two processes", before.output, nulled(again.output), tolerance)
        trials["repeatable"] = (trials["repeatable"][0], other, *trials["repeatable"][1:])
    return Evidence(trials, again.figures)


def example_route(model_uri: str, files: ModelFiles, seconds: float) -> Route:
    """Load a model and let it predict its stored example, for so many seconds at most."""
    disable_tracing()
    subject = "the model's example"
    try:
        with whole_model(model_uri) as model, _scratch():
            arguments = (predict_once, model.resolve(), files.example, files)
            output, figures = run_in_child(
                *arguments, subject=subject, directory=Path.cwd(), code=[model], seconds=seconds
            )
    except ModelSideError as error:
        _show(error)
        return Route(REFERENCE, fault=f"{subject}: {error}")
    return Route(REFERENCE, nulled(output), figures=figures)


@contextmanager
def _scratch() -> Iterator[None]:
    """Let what a model leaves behind, its result files too, go where it is removed."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        try:
            yield
        finally:
            tempfile.tempdir = before[1]
            os.environ.pop("TMPDIR")
            os.environ.update({"TMPDIR": before[0]} if before[0] else {})


def _show(error: ModelSideError) -> None:
    if error.author_traceback:
        print(error.author_traceback.rstrip(), file=sys.stderr)
