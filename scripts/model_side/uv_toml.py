"""uv.toml of an MLflow Model: the package's own settings of uv, without which its requirements cannot be installed.

An overridden requirements.txt contradicts the metadata of what it names, on purpose. `uv pip install -r` refuses it
unless it knows the overrides; MLflow runs uv in a copy of the model's directory, where uv finds this file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import UsageError
from .requirements import line_faults

UV_TOML, OVERRIDES = "uv.toml", "overrides.txt"
KEY = "override-dependencies"


def uv_toml(package: Path) -> str:
    """Return what uv.toml of the model says; nothing where the package has neither uv.toml nor overrides.txt.

    Raises
    ------
    UsageError
        If a file cannot be read as what it is, or names what is on this machine only, or carries credentials.
    """
    text = _text(package / UV_TOML)
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(UV_TOML, "not valid TOML", got=str(error), advice="Mend it.") from error
    overrides = list(_requirements(_text(package / OVERRIDES)))
    if overrides and KEY in settings:
        raise UsageError(UV_TOML, f"{KEY} is declared here and in {OVERRIDES}", advice="Keep one of them.")
    found = [fault for value in _strings(settings) for fault in line_faults(value, UV_TOML)]
    found += [fault for line in overrides for fault in line_faults(line, OVERRIDES)]
    if found:
        advice = "\nWhat holds on this machine only belongs in a UV_ variable, or in uv.toml of the user."
        raise UsageError(UV_TOML, "".join(["it cannot travel:", *(f"\n  {fault}" for fault in found)]), advice=advice)
    return (f"{KEY} = {json.dumps(overrides)}\n" if overrides else "") + text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(path.name, "cannot be read", got=str(error), advice="Mend it.") from error


def _requirements(text: str) -> Iterator[str]:
    for line in text.splitlines():
        bare = re.sub(r"(^|\s)#.*", "", line).strip()
        if bare.startswith("-"):
            raise UsageError(OVERRIDES, "expected requirements alone, one per line", got=bare)
        if bare:
            yield bare


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in a TOML document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
