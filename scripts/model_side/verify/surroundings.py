"""Find out which of the surroundings of a new process an answer follows, where the routes differ: each has its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..base.files import copy_file
from ..model.model import ModelFiles
from ..output.comparison import Tolerance
from .routes import Route, read_answer

_PREDICT = Path(__file__).parents[2] / "predict_func.py"
_HASHES = (
    " The answer follows PYTHONHASHSEED, of which each Python draws its own: the order of a set, or hash() of a text."
    " Use sorted() where a set is gone through, and hashlib for a number from a text."
)
_DIRECTORY = (
    " The answer follows the working directory: in an empty one it is another. What the model reads belongs to"
    ' ARTIFACTS, and is read from context.artifacts["name"].'
)
_PLACE = (
    " The answer follows the place of the model: from a copy of it elsewhere it is another. Let no path decide an"
    " answer, and read no file beside the model's own."
)


def what_it_follows(model: Path, payload: Path, files: ModelFiles, seconds: float) -> str:
    """Return, as a sentence, what of its surroundings the answer of a new process follows; nothing where none is found.

    Parameters
    ----------
    model : Path
        The directory of the MLflow Model.
    payload : Path
        The payload's file.
    files : ModelFiles
    seconds : float
        Time limit of each load and prediction.
    """
    tolerance = Tolerance.of(files.metadata)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        ask = partial(_answer, place / "answer.json", payload.resolve(), files, seconds)
        first = ask(model.resolve())
        for told, asked in _others(ask, model.resolve(), place).items():
            other = asked()
            if other.output is not None and not other.against(first.output, tolerance).agrees:
                return told if ask(model.resolve()).against(first.output, tolerance).agrees else ""
    return ""


def _others(ask: Callable[..., Route], model: Path, place: Path) -> Mapping[str, Callable[[], Route]]:
    """Return, by what is then known, what asks in other surroundings."""
    return {
        _HASHES: lambda: ask(model, seed="2"),
        _DIRECTORY: lambda: ask(model, directory=Path(tempfile.mkdtemp(dir=place))),
        _PLACE: lambda: ask(Path(shutil.copytree(model, place / "copy", copy_function=copy_file))),
    }


def _answer(
    target: Path,
    payload: Path,
    files: ModelFiles,
    seconds: float,
    model: Path,
    seed: str = "1",
    directory: Path | None = None,
) -> Route:
    target.unlink(missing_ok=True)
    command = [sys.executable, str(_PREDICT), "--model-uri", str(model), "--json-payload-file", str(payload)]
    command += ["--time-limit", str(seconds), "--output-path", str(target)]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, check=False)
    return Route(seed, fault="no answer") if done.returncode else read_answer(seed, target, files, None)
