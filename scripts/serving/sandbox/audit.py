"""What a prediction used beyond the model, its environment and its input."""

from __future__ import annotations

import ast
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from model_side.run.writes import CHANGED, WRITING

from .leash import PASSING, SYSTEM

HOOK = Path(__file__).parent / "watching"
_NOWHERE = ("/dev", "/proc", "/sys")
LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "")


class Outside(NamedTuple):
    """What was used from outside, each sorted; serve_report.json says it in these words.

    Parameters
    ----------
    files : tuple of str
        Those in the working directory relative to it, those of the user from ~ on.
    network : tuple of str
        Other machines.
    programs : tuple of str
        Names.
    variables : tuple of str
        Environment variables that it looked for, that the caller has and that it was not given.
    writes : tuple of str
        What it wrote, made, moved or removed elsewhere than in temporary directories and its environment, or was to.
    """

    files: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def watched(variables: Mapping[str, str], log: Path, model: Path) -> dict[str, str]:
    """Return variables with which an interpreter notes what it uses from the first file of a model on.

    Parameters
    ----------
    variables : mapping of str to str
        To which these are added.
    log : Path
        Where it is noted.
    model : Path
        The directory of the MLflow Model.
    """
    return {
        **variables,
        "PYTHONPATH": str(HOOK),
        "PREDICTION_WATCH_LOG": str(log),
        "PREDICTION_WATCH_MODEL": f"{model.absolute()}{os.sep}",
        "PREDICTION_WATCH_CHANGED": json.dumps([WRITING, CHANGED]),
    }


def outside(
    log: Path, places: Iterable[Path], known: Iterable[Path], since: float, withheld: Collection[str] = ()
) -> Outside:
    """Return what was noted, without what is the prediction's own.

    Parameters
    ----------
    log : Path
        Where it was noted.
    places : iterable of Path
        Those of its environment; those of the system are known.
    known : iterable of Path
        The model, its input, and what else may be used.
    since : float
        What came to a temporary place from then on is the prediction's own, in seconds since 1970.
    withheld : collection of str
        The caller's environment variables that it was not given.
    """
    places = [*places]
    own = [*map(Path, SYSTEM), *places, HOOK, *(path.absolute() for path in known)]

    def is_own(path: Path) -> bool:
        passing = path.is_relative_to(tempfile.gettempdir()) and path.stat().st_ctime >= since
        return passing or any(path.is_relative_to(place) for place in own)

    lines = [line.split("\t", 1) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    noted = [(what, ast.literal_eval(name)) for what, name in lines]
    files = (Path(name) for what, name in noted if what == "opens")
    # A directory is only opened to look names up in it: such a name is noted as if it were in the working directory.
    strange = {path for path in files if path.exists() and not path.is_dir() and not is_own(path)}
    passing: list[str | Path] = [*_NOWHERE, *PASSING, tempfile.gettempdir(), *places]
    written = {Path(name) for what, name in noted if what == "writes" and "__pycache__" not in name}
    foreign = {path for path in written if not any(path.is_relative_to(place) for place in passing)}
    hosts = {name for what, name in noted if what in ("asks for", "connects to")}
    return Outside(
        tuple(sorted(map(_shown, strange))),
        tuple(sorted(hosts - set(LOCAL))),
        tuple(sorted({Path(name).name for what, name in noted if what == "starts"})),
        tuple(sorted({name for what, name in noted if what == "looks for" and name in withheld})),
        tuple(sorted(map(_shown, foreign))),
    )


def _shown(path: Path) -> str:
    for place, name in ((Path.cwd(), ""), (Path.home(), "~")):
        if path.is_relative_to(place):
            return str(Path(name, path.relative_to(place)))
    return str(path)
