"""Put artifacts into a saved model: their bytes shared where the file system can, else copied once.

MLflow is given empty stand-ins, and the files follow. Import it in the model environment only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow.models import Model

from ..base.errors import StepError
from ..base.files import reflink
from .hashing import Identity, identity
from .travel import is_of_downloads


def stand_ins(artifacts: Mapping[str, Path], directory: Path) -> dict[str, str]:
    """Make an empty file or directory of each artifact's name.

    Parameters
    ----------
    artifacts : mapping of str to Path
        By name.
    directory : Path
        Where they are made.

    Returns
    -------
    dict of str to str
        Their paths by the artifacts' names, as MLflow takes them.
    """
    paths = {}
    for name, path in artifacts.items():
        stand_in = directory / name / path.name
        stand_in.parent.mkdir(parents=True)
        if path.is_dir():
            stand_in.mkdir()
        else:
            stand_in.touch()
        paths[name] = str(stand_in)
    return paths


def place_artifacts(model: Path, artifacts: Mapping[str, Path], package: Path, *, link: bool) -> dict[str, Identity]:
    """Put the artifacts where MLflow put their stand-ins, and correct what MLmodel says of them.

    Parameters
    ----------
    model : Path
        The saved MLflow Model.
    artifacts : mapping of str to Path
        Absolute, by name.
    package : Path
        The directory that paths in MLmodel are relative to.
    link : bool
        Whether a hard link may stand for a copy.

    Returns
    -------
    mapping of str to Identity
        What each file was when it was placed, by its path in the model.

    Raises
    ------
    StepError
        If a file cannot be read or written.
    """
    entry = Model.load(str(model / "MLmodel"))
    saved = entry.flavors["python_function"].get("artifacts") or {}
    placed: dict[str, Identity] = {}
    for name, source in artifacts.items():
        target = model / saved[name]["path"]
        saved[name]["uri"] = os.path.relpath(source, package)
        try:
            for origin, place in _files(source, target):
                placed[place.relative_to(model).as_posix()] = _place(origin, place, link=link)
        except OSError as error:
            raise StepError(f'artifact "{name}"', "it cannot be copied", got=str(error), advice="Fix it.") from error
    if placed:
        entry.model_size_bytes = (entry.model_size_bytes or 0) + sum(each.size for each in placed.values())
        entry.save(str(model / "MLmodel"))
    return placed


def _files(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each file of an artifact and its place, whose directory is there; links are followed."""
    if not source.is_dir():
        yield source, target
        return
    for top, directories, names in os.walk(source, followlinks=True):
        place = target / os.path.relpath(top, source)
        place.mkdir(parents=True, exist_ok=True)
        directories[:] = sorted(name for name in directories if not is_of_downloads(Path(top, name)))
        yield from ((Path(top, name), place / name) for name in sorted(names))


def _place(source: Path, target: Path, *, link: bool) -> Identity:
    target.unlink(missing_ok=True)
    before = identity(source)
    if not reflink(source, target) and not (link and _link(source, target)):
        shutil.copyfile(source, target)  # in the kernel, where it can
        shutil.copymode(source, target)
        if identity(source) != before:
            raise StepError(str(source), "it changed while it was copied", advice="Package again when it is whole.")
    return identity(source)


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without links
        target.unlink(missing_ok=True)
        return False
    return True
