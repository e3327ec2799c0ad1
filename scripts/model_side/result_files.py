"""Outputs that are URIs of files: hold the files, and compare their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from .errors import StepError


def result_faults(uris: object, label: str) -> Iterator[str]:
    """Yield which of the URIs of a column is not that of a file that is there and has content."""
    for number, uri in enumerate(list(uris) if hasattr(uris, "__iter__") else []):
        path = _path(uri)
        if path is None or not path.is_file():
            yield f"{label}[{number}]: expected the file:// URI of a result file, got {uri!r}"
        elif not path.stat().st_size:
            yield f"{label}[{number}]: {uri}: the result file is empty"


def contents(uris: np.ndarray) -> np.ndarray:
    """Return the digest of what each URI names, ``sha256:<hex>``; a digest stays as it is.

    Raises
    ------
    StepError
        If a file is gone.
    """
    return np.fromiter((_content(uri) for uri in uris.tolist()), dtype=object, count=len(uris))


def _content(uri: object) -> object:
    path = _path(uri)
    if path is None:
        return uri
    try:
        with path.open("rb") as stream:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    except OSError as error:
        raise StepError(str(uri), "the result file cannot be read", got=str(error), advice="Predict again.") from error


def _path(uri: object) -> Path | None:
    parts = urlsplit(uri) if isinstance(uri, str) else None
    return Path(unquote(parts.path)) if parts and parts.scheme == "file" else None
