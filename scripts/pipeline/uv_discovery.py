"""Which configuration uv finds from a directory upward: uv.toml, or [tool.uv] of a pyproject.toml with none beside it.

Within a Python project uv looks from the project's root upward instead, or from that of its workspace. Only a uv.toml
in the directory itself is put before that: see `environments.uv.own_configuration`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from model_side.redact import redact

UV_TOML = "uv.toml"
_PYPROJECT = "pyproject.toml"


def discovered(directory: Path) -> list[Path]:
    """Return the files that uv takes its configuration from, where it runs in a directory."""
    directory = directory.absolute()
    if (directory / UV_TOML).is_file():
        return [directory / UV_TOML]
    found = (_nearest(start) for start in _starts(directory))
    return list(dict.fromkeys(path for path in found if path))


def uv_table(pyproject: Path) -> str:
    """Return [tool.uv] of a pyproject.toml as one text, without credentials."""
    return redact(json.dumps(_uv(pyproject.parent), sort_keys=True, default=str))


def _starts(directory: Path) -> Iterator[Path]:
    """Yield where uv begins to look: one place, but two where only uv knows whether a workspace counts a project in."""
    places = [place for place in _upward(directory) if (place / _PYPROJECT).is_file()]
    roots = [place for place in places if "workspace" in (_uv(place) or {})]
    is_project = bool(places) and (places[0] in roots or "project" in _pyproject(places[0]))
    if is_project and (_uv(places[0]) or {}).get("managed") is not False:
        yield from dict.fromkeys([places[0], *roots[:1]])
    else:
        yield directory


def _nearest(start: Path) -> Path | None:
    for place in _upward(start):
        if (place / UV_TOML).is_file():
            return place / UV_TOML
        if _uv(place) is not None:
            return place / _PYPROJECT
    return None


def _upward(directory: Path) -> list[Path]:
    return [directory, *directory.parents]


def _uv(place: Path) -> dict[str, Any] | None:
    tool = _pyproject(place).get("tool")
    found = tool.get("uv") if isinstance(tool, dict) else None
    return found if isinstance(found, dict) else None


def _pyproject(place: Path) -> dict[str, Any]:
    try:
        return _parsed((place / _PYPROJECT).read_bytes())
    except (OSError, ValueError):  # uv, too, goes on without one that cannot be read
        return {}


@lru_cache
def _parsed(content: bytes) -> dict[str, Any]:
    import tomllib  # 2 ms: not where there is no such file

    return tomllib.loads(content.decode("utf-8"))
