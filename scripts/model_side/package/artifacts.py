"""Put artifacts into a saved model: their bytes shared where the file system can, else copied once.

MLflow is given empty stand-ins, called as the artifacts are; the files follow. Import it in the model environment only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from mlflow.models import Model

from ..base.errors import StepError
from ..base.files import reflink
from .travel import is_of_downloads, travelling_name

ARTIFACTS = "artifacts"  # where MLflow keeps them


def stand_ins(artifacts: Mapping[str, Path], directory: Path) -> dict[str, str]:
    """Make an empty file for each artifact.

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
    directory.mkdir()
    for name in artifacts:
        (directory / name).touch()
    return {name: str(directory / name) for name in artifacts}


def place_artifacts(
    model: Path, artifacts: Mapping[str, Path], parts: Mapping[str, tuple[Path, ...]], package: Path, *, link: bool
) -> list[str]:
    """Put the artifacts in place of their stand-ins, and correct what MLmodel says of them.

    Parameters
    ----------
    model : Path
        The saved MLflow Model.
    artifacts : mapping of str to Path
        Absolute, by name.
    parts : mapping of str to tuple of Path
        What travels of an artifact, where not all of it does.
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
    for name in artifacts:
        (model / saved[name]["path"]).unlink()
    for name, source in artifacts.items():
        target = model / ARTIFACTS / _place_of(name, artifacts)
        saved[name] = {"path": target.relative_to(model).as_posix(), "uri": os.path.relpath(source, package)}
        try:
            for origin, place in _files(source, target, parts.get(name, (source,))):
                _place(origin, place, link=link)
                placed.append(place)
        except OSError as error:
            raise StepError(f'artifact "{name}"', "it cannot be copied", got=str(error), advice="Fix it.") from error
    if placed:
        entry.model_size_bytes = (entry.model_size_bytes or 0) + sum(path.stat().st_size for path in placed)
        entry.save(str(model / "MLmodel"))
    return [path.relative_to(model).as_posix() for path in placed]


def _place_of(name: str, artifacts: Mapping[str, Path]) -> str:
    """Return where an artifact goes: under its own name, in a directory for itself where that name is not its alone."""
    base = travelling_name(artifacts[name].name)
    rest = {other: travelling_name(path.name) for other, path in artifacts.items() if other != name}
    others = {*rest, *rest.values()}
    return f"{name}/{base}" if base in others else base


def _files(source: Path, target: Path, parts: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield each file of an artifact and its place, whose directory is there; links are followed."""
    for part in parts:
        place = target / part.relative_to(source)
        if not part.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            yield part, place
            continue
        for top, directories, names in os.walk(part, followlinks=True):
            inner = place / os.path.relpath(top, part)
            inner.mkdir(parents=True, exist_ok=True)
            directories[:] = sorted(name for name in directories if not is_of_downloads(Path(top, name)))
            yield from ((Path(top, name), inner / name) for name in sorted(names))


def _place(source: Path, target: Path, *, link: bool) -> None:
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
