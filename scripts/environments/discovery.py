"""Which configuration uv finds from a directory upward: uv.toml, or [tool.uv] of a pyproject.toml with none beside it.

Within a Python project uv looks from the project's root upward instead, or from that of its workspace. Only a uv.toml
in the directory itself is put before that: see `environments.uv.own_configuration`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from model_side.base.redact import redact

UV_TOML = "uv.toml"
_PYPROJECT = "pyproject.toml"


def discovered(directory: Path) -> list[Path]:
    """Return the files that uv takes its configuration from, where it runs in a directory.

    Parameters
    ----------
    directory : Path
    """
    here = os.path.abspath(directory)
    if os.path.isfile(own := f"{here}/{UV_TOML}"):
        return [Path(own)]
    found = (_nearest(start) for start in _starts(here))
    return [Path(path) for path in dict.fromkeys(found) if path]


def uv_table(pyproject: Path) -> str:
    """Return [tool.uv] of a pyproject.toml as one text, without credentials.

    Parameters
    ----------
    pyproject : Path
    """
    return redact(json.dumps(_uv(str(pyproject.parent)), sort_keys=True, default=str))


def _starts(directory: str) -> Iterator[str]:
    """Yield where uv begins to look: one place, but two where only uv knows whether a workspace counts a project in."""
    places = [place for place in _upward(directory) if os.path.isfile(f"{place}/{_PYPROJECT}")]
    roots = [place for place in places if "workspace" in (_uv(place) or {})]
    is_project = bool(places) and (places[0] in roots or "project" in _pyproject(places[0]))
    if is_project and (_uv(places[0]) or {}).get("managed") is not False:
        yield from dict.fromkeys([places[0], *roots[:1]])
    else:
        yield directory


def _nearest(start: str) -> str:
    for place in _upward(start):
        if os.path.isfile(path := f"{place}/{UV_TOML}"):
            return path
        if _uv(place) is not None:
            return f"{place}/{_PYPROJECT}"
    return ""


def _upward(directory: str) -> Iterator[str]:
    """Yield a directory and those above it, each without a slash at its end: the root is an empty text."""
    place = directory.rstrip("/")
    while place:
        yield place
        place = place.rpartition("/")[0]
    yield ""


def _uv(place: str) -> dict[str, Any] | None:
    tool = _pyproject(place).get("tool")
    found = tool.get("uv") if isinstance(tool, dict) else None
    return found if isinstance(found, dict) else None


def _pyproject(place: str) -> dict[str, Any]:
    try:
        with open(f"{place}/{_PYPROJECT}", "rb") as stream:
            return _parsed(stream.read())
    except (OSError, ValueError):  # uv, too, goes on without one that cannot be read
        return {}


@lru_cache
def _parsed(content: bytes) -> dict[str, Any]:
    import tomllib  # not where there is no such file

    return tomllib.loads(content.decode("utf-8"))
