"""A place where only the model itself is, which it cannot change, an empty directory to work in, and its inputs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from model_side.base.directories import temporary_directory
from model_side.base.errors import StepError
from model_side.base.files import copy_file

from .leash import PASSING

_WRITE = 0o222


@contextmanager
def elsewhere() -> Iterator[tuple[Path, Path]]:
    """Give two empty directories: a place for a model, and one to work in; both are gone afterwards."""
    with temporary_directory("mlflow-model-chain-portable-") as scratch:
        place, empty = scratch / "model", scratch / "empty"
        place.mkdir()
        empty.mkdir()
        yield place, empty


def copy_read_only(model: Path, place: Path) -> None:
    """Copy a model to its place, where this system cannot show it there.

    Parameters
    ----------
    model : Path
        The directory of the MLflow Model.
    place : Path
        An empty directory.

    Raises
    ------
    StepError
        If there is no room for the copy.
    """
    try:
        shutil.copytree(model, place, copy_function=copy_file, dirs_exist_ok=True)
    except OSError as error:
        advice = 'Set TMPDIR to a larger place, or VERIFICATION in model_spec.py to {"portable": False}.'
        raise StepError("portable copy of the model", "cannot be made", got=str(error), advice=advice) from error
    for path in (*place.rglob("*"), place):
        path.chmod(path.stat().st_mode & ~_WRITE)


def with_neighbours(path: Path) -> Iterator[Path]:
    """Yield an input and what lies beside it, as an index does: its whole directory, and where links in that lead.

    Of a directory that holds a person's other things, such as the home directory, the files called as it is, but for
    what follows the first dot.

    Parameters
    ----------
    path : Path
        Of an existing file or directory.
    """
    yield path
    for place in {path, path.resolve()}:
        if not place.is_dir():
            yield from _beside(place)


def _beside(path: Path) -> Iterator[Path]:
    directory = path.parent.resolve()
    if any(place.is_relative_to(directory) for place in _broad()):
        stem = path.name.partition(".")[0] or path.name
        yield from (place for each in path.parent.glob(f"{escape(stem)}.*") for place in {each, each.resolve()})
        return
    yield path.parent
    yield from (each.resolve() for each in path.parent.iterdir() if each.is_symlink())


def _broad() -> Iterator[Path]:
    """Yield places that no input brings with it, nor what is above them."""
    return (place.resolve() for place in (Path.cwd(), Path.home(), *map(Path, (tempfile.gettempdir(), *PASSING))))
