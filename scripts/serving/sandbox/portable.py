"""A place where only the model itself is: a read-only copy of it, and an empty directory to work in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model_side.base.errors import StepError
from model_side.base.files import reflink

_WRITE = 0o222


@contextmanager
def elsewhere(model: Path) -> Iterator[tuple[Path, Path]]:
    """Give a read-only copy of a model and an empty directory; both are gone afterwards.

    Parameters
    ----------
    model : Path
        The directory of the MLflow Model.

    Raises
    ------
    StepError
        If there is no room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix="portable-") as scratch:
        copy, empty = Path(scratch, "model"), Path(scratch, "empty")
        empty.mkdir()
        try:
            shutil.copytree(model, copy, copy_function=_copy)
        except OSError as error:
            advice = 'Set TMPDIR to a larger place, or VERIFICATION in model_spec.py to {"portable": False}.'
            raise StepError("portable copy of the model", "cannot be made", got=str(error), advice=advice) from error
        directories = [copy, *(path for path in copy.rglob("*") if path.is_dir())]
        for path in (*copy.rglob("*"), copy):
            path.chmod(path.stat().st_mode & ~_WRITE)
        try:
            yield copy, empty
        finally:
            for path in directories:
                path.chmod(0o700)


def _copy(source: str, target: str) -> None:
    if not reflink(Path(source), Path(target)):
        shutil.copyfile(source, target)
