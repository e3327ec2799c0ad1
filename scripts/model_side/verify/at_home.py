"""Compare what the example gives from its copy in the model with what it gives from where the author has it.

What a library reads beside the named file, it often misses in silence: an image of several files is then half empty.
Import it in the model environment only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mlflow.models import Model

from ..base.errors import ReportedError, StepError, listed
from ..model.model import read_model
from ..output.arrays import Arrays
from ..output.comparison import Tolerance
from ..output.files import GOLDEN
from ..package.example import DATA
from ..package.flags import Flags
from ..package.travel import tree
from ..run.direct import call_directly
from .routes import Route, golden_route

_SHOWN = 10  # files in a message
_NO_DATA = frozenset({".gitignore", ".downloads", ".git", ".cache", ".DS_Store"})  # of tools, in model_data/


class _Home(NamedTuple):
    """What the example gave at home, and the files that were opened there and are not in the model."""

    output: Arrays
    missing: list[str]


@contextmanager
def compared_at_home(package: Path, flags: Flags, staged: Path, seconds: float) -> Iterator[None]:
    """Let the model be proven; then, where a file of model_data/ stays behind, call the author's code at home.

    Parameters
    ----------
    package : Path
        Its directory.
    flags : Flags
    staged : Path
        The directory of the MLflow Model.
    seconds : float
        Time limit.

    Raises
    ------
    StepError
        If the two answers differ and files were opened that stay behind, with these; or that of the proof, with them.
    """
    try:
        yield
    except StepError as error:
        home = _at_home(package, flags, staged, seconds) if error.author_traceback else None
        if home:
            error.advice = f"{error.advice} {_advice(home.missing)}".strip()
        raise
    if home := _at_home(package, flags, staged, seconds):
        _require_same(home, staged)


def _require_same(home: _Home, staged: Path) -> None:
    files = read_model(str(staged))
    golden = golden_route(staged / GOLDEN, files).output
    route = Route("at home", home.output).against(golden, Tolerance.of(files.metadata))
    if not route.agrees:
        fault = "it gives another answer from its copy in the model than from where you have it"
        cells = listed(route.faults("in the model", "where you have it"))
        raise StepError("INPUT_EXAMPLE", f"{fault}:{cells}\n", advice=_advice(home.missing))
    names = ", ".join(home.missing)
    print(f"note: the model also opened what does not travel, to the same effect: {names}", file=sys.stderr)


def _advice(missing: list[str]) -> str:
    names = ", ".join(f'"{name}"' for name in missing[:_SHOWN]) + ", …" * (len(missing) > _SHOWN)
    told = f"Where you have it, it also opened what does not travel: EXAMPLE_FILES = [{names}] lets that travel, too"
    return f"{told}; what belongs to the weights, ARTIFACTS, in one directory."


def _at_home(package: Path, flags: Flags, staged: Path, seconds: float) -> _Home | None:
    """Call the author's code on the example where the author has it; None where it opens nothing that stays behind."""
    travelled = _travelled(package, staged)
    data = package / DATA
    tops = (Path(top) for top, _, _ in os.walk(data, followlinks=True))
    seen = {top for top in tops if not {*top.relative_to(data).parts} & _NO_DATA}
    watched = seen | {each.parent for each in travelled}
    beside = (path for each in watched for path in each.iterdir() if path.is_file() and path.name not in _NO_DATA)
    left = {path: path.resolve() for path in beside if path.resolve() not in travelled}
    files = read_model(str(staged))
    if not left or files.example is None:
        return None
    places = sorted(watched | {each.parent for each in left.values()})  # of a link, what it leads to is opened
    try:
        found = call_directly(package, files.example, files, seconds, flags=flags, watched=places)
    except ReportedError:  # the route `direct` of verify tells it
        return None
    opened = {each.resolve() for each in found.opened}
    missing = sorted(os.path.relpath(path, package) for path, real in left.items() if real in opened)
    return _Home(found.output, missing) if missing else None  # what else may make answers differ, verify tells


def _travelled(package: Path, staged: Path) -> set[Path]:
    """Return the real paths of the author's files that are in the model."""
    artifacts = Model.load(str(staged / "MLmodel")).flavors["python_function"].get("artifacts") or {}
    places = ((package / entry["uri"], staged / entry["path"]) for entry in artifacts.values())
    return {(home / file.relative_to(copy)).resolve() for home, copy in places for file in tree(copy)}
