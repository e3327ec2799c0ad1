"""What model_data.toml declares."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from .errors import UsageError


def declared_sources(package: Path) -> list[dict[str, Any]]:
    """Return the ``[[source]]`` tables of model_data.toml.

    Raises
    ------
    UsageError
        If it is not valid TOML.
    """
    declaration = package / "model_data.toml"
    if not declaration.is_file():
        return []
    try:
        found = tomllib.loads(declaration.read_text(encoding="utf-8")).get("source", [])
    except ValueError as error:  # of TOML, and of the bytes of a text
        raise UsageError(declaration.name, "not valid TOML", got=str(error), advice="Mend it.") from error
    return [dict(source) for source in found]
