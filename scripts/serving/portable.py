"""A place where only the model itself is: a read-only copy of it, and an empty directory to work in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITE = 0o222


@contextmanager
def elsewhere(model: Path) -> Iterator[tuple[Path, Path]]:
    """Give a read-only copy of a model and an empty directory; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="portable-") as scratch:
        copy, empty = Path(scratch, "model"), Path(scratch, "empty")
        empty.mkdir()
        shutil.copytree(model, copy)
        directories = [copy, *(path for path in copy.rglob("*") if path.is_dir())]
        for path in (*copy.rglob("*"), copy):
            path.chmod(path.stat().st_mode & ~_WRITE)
        try:
            yield copy, empty
        finally:
            for path in directories:
                path.chmod(0o700)
