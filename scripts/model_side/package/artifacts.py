"""Put artifacts into a saved model: their bytes shared where the file system can, else copied once.

MLflow is given empty stand-ins, and the files follow. Import it in the model environment only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from mlflow.models import Model

from ..base.errors import StepError
from ..base.files import reflink
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


def place_artifacts(model: Path, artifacts: Mapping[str, Path], package: Path, *, link: bool) -> list[str]:
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
    list of str
        Each file's path in the model.

    Raises
    ------
    StepError
        If a file cannot be read or written.
    """
    entry = Model.load(str(model / "MLmodel"))
    saved = entry.flavors["python_function"].get("artifacts") or {}
    placed: list[Path] = []
    for name, source in artifacts.items():
        target = model / saved[name]["path"]
        saved[name]["uri"] = os.path.relpath(source, package)
        try:
            for origin, place in _files(source, target):
                _place(origin, place, link=link)
                placed.append(place)
        except OSError as error:
            raise StepError(f'artifact "{name}"', "it cannot be copied", got=str(error), advice="Fix it.") from error
    if placed:
        entry.model_size_bytes = (entry.model_size_bytes or 0) + sum(path.stat().st_size for path in placed)
        entry.save(str(model / "MLmodel"))
    return [path.relative_to(model).as_posix() for path in placed]


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


def _place(source: Path, target: Path, *, link: bool) -> None:
    target.unlink(missing_ok=True)
    if reflink(source, target):
        return
    if link:
        with suppress(OSError):  # another file system, or one without links
            target.hardlink_to(source.resolve())
            return
    before = source.stat()
    shutil.copyfile(source, target)  # in the kernel, where it can
    shutil.copymode(source, target)
    after = source.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise StepError(str(source), "it changed while it was copied", advice="Package again when it is whole.")
