"""Find out whether an answer follows the hashes of texts: each Python has its own, and sets their order by them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..model.model import ModelFiles
from ..output.comparison import Tolerance
from .routes import Route, read_answer

_PREDICT = Path(__file__).parents[2] / "predict_func.py"
FOLLOWS_HASHES = (
    " The answer follows PYTHONHASHSEED, of which each Python draws its own: the order of a set, or hash() of a text."
    " Use sorted() where a set is gone through, and hashlib for a number from a text."
)


def follows_hashes(model_uri: str, payload: Path, files: ModelFiles, seconds: float) -> bool:
    """Return whether new processes give the same with the same seed of hashes, and another answer with another.

    Parameters
    ----------
    model_uri : str
    payload : Path
        The payload's file.
    files : ModelFiles
    seconds : float
        Time limit of each load and prediction.
    """
    asked = ["--model-uri", model_uri, "--json-payload-file", str(payload), "--time-limit", str(seconds)]
    tolerance = Tolerance.of(files.metadata)
    with tempfile.TemporaryDirectory() as place:
        first, other, again = (_of_seed(seed, asked, Path(place), files) for seed in ("1", "2", "1"))
    found = [route.against(first.output, tolerance) for route in (other, again)]
    return [route.agrees for route in found] == [False, True] and other.output is not None


def _of_seed(seed: str, asked: list[str], place: Path, files: ModelFiles) -> Route:
    answer = place / "answer.json"
    answer.unlink(missing_ok=True)
    command = [sys.executable, str(_PREDICT), *asked, "--output-path", str(answer)]
    done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=False)
    return Route(seed, fault="no answer") if done.returncode else read_answer(seed, answer, files, None)
