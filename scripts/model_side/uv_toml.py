"""uv.toml of an MLflow Model: the package's own settings of uv, which decide how its requirements are installed.

An overridden requirements.txt contradicts the metadata of what it names, on purpose. `uv pip install -r` refuses it
unless it knows the overrides; MLflow runs uv in a copy of the model's directory, where uv finds this file. Constraints
hold there, too, for what no pin decides: pip, setuptools and wheel.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .errors import UsageError
from .requirements import line_faults

UV_TOML = "uv.toml"
# The keys of uv.toml that say what a package's own files say, too.
RULES = {"override-dependencies": "overrides.txt", "constraint-dependencies": "constraints.txt"}
_OPTION = re.compile(r"\s--\w[\w-]*[=\s]\S+")  # of one requirement, such as its hash


class Settings(NamedTuple):
    """What uv.toml of an MLflow Model says.

    Parameters
    ----------
    rules : mapping of str to tuple of str
        Requirements, by the file in a package that says the same.
    more : bool
        Whether it says anything else.
    """

    rules: dict[str, tuple[str, ...]]
    more: bool


def uv_toml(package: Path) -> str:
    """Return what uv.toml of the model says; nothing where the package has no settings of its own.

    Raises
    ------
    UsageError
        If a file cannot be read as what it is, or names what is on this machine only, or carries credentials.
    """
    text = _text(package / UV_TOML)
    settings = _parsed(text)
    rules = {key: list(_requirements(name, _text(package / name))) for key, name in RULES.items()}
    for key in RULES:
        if rules[key] and key in settings:
            raise UsageError(UV_TOML, f"{key} is declared here and in {RULES[key]}", advice="Keep one of them.")
    found = [fault for value in _strings(settings) for fault in line_faults(value, UV_TOML)]
    found += [fault for key, lines in rules.items() for line in lines for fault in line_faults(line, RULES[key])]
    if found:
        advice = "\nWhat holds on this machine only belongs in a UV_ variable, or in uv.toml of the user."
        raise UsageError(UV_TOML, "".join(["it cannot travel:", *(f"\n  {fault}" for fault in found)]), advice=advice)
    return "".join(f"{key} = {json.dumps(lines)}\n" for key, lines in rules.items() if lines) + text


def read_uv_toml(text: str) -> Settings:
    """Return what the text of a model's uv.toml says.

    Raises
    ------
    UsageError
        If it is not what uv reads.
    """
    settings = _parsed(text)
    rules = {name: settings.get(key, []) for key, name in RULES.items()}
    if not all(isinstance(lines, list) and all(isinstance(line, str) for line in lines) for lines in rules.values()):
        raise UsageError(UV_TOML, f"{' or '.join(RULES)} is not a list of texts", advice="Mend it.")
    return Settings(
        {name: tuple(lines) for name, lines in rules.items() if lines}, bool(settings.keys() - RULES.keys())
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(UV_TOML, "not valid TOML", got=str(error), advice="Mend it.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(path.name, "cannot be read", got=str(error), advice="Mend it.") from error


def _requirements(name: str, text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        bare = _OPTION.sub("", re.sub(r"(^|\s)#.*", "", line)).strip()
        if bare.startswith("-"):
            raise UsageError(name, "expected requirements alone, one per line", got=bare)
        if bare:
            yield bare


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in a TOML document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
