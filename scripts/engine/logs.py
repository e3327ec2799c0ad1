"""What the commands of steps say: a log each, and beside it what they have for a person and for a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from .step import STATE_DIRECTORY, Step, overlaps

FOUND_VARIABLE = "STEP_FOUND"  # names the file to which a command may write facts, as a JSON object
BARS_VARIABLE = "STEP_BARS"  # names the file to which a command may write how far it is, where somebody shows it


class Said(NamedTuple):
    """What a command has for a person, and for a program."""

    told: str = ""
    found: Mapping[str, Any] = MappingProxyType({})


def inputs_of(found: Mapping[str, Any], step: Step) -> tuple[str, ...]:
    """Return the paths that a command read beside what its step declares, as it says in ``inputs``."""
    names, own = found.get("inputs", ()), (*step.dependencies, *step.targets, *step.evidence, ".")
    named = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return tuple(name for name in named if not any(overlaps(name, other) for other in own))


def log_of(root: Path, name: str) -> Path:
    """Return where a step's output is kept, and make the directory.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    name : str
        The step's name.
    """
    log = root / STATE_DIRECTORY / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return log


def told_of(log: Path) -> Path:
    """Return where a command writes what it has for a person, beside its log.

    Parameters
    ----------
    log : Path
        The step's log.
    """
    return log.with_suffix(".told")


def found_of(log: Path) -> Path:
    """Return where a command writes what it has for a program, beside its log.

    Parameters
    ----------
    log : Path
        The step's log.
    """
    return log.with_suffix(".found.json")


def bars_of(log: Path) -> Path:
    """Return where a command writes how far it is, beside its log.

    Parameters
    ----------
    log : Path
        The step's log.
    """
    return log.with_suffix(".bars")


def read_said(log: Path) -> Said:
    """Return what a command has said beside its log, and move it there.

    Parameters
    ----------
    log : Path
        The log ends with what the command has for a person.
    """
    told, found = _taken(told_of(log)), _taken(found_of(log))
    _taken(bars_of(log))
    if told:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(told)
    try:
        facts = json.loads(found or "{}")
    except ValueError:
        facts = {}
    return Said(told, facts if isinstance(facts, dict) else {})


def tail(log: Path, lines: int = 200) -> str:
    """Return the last lines of a log.

    Parameters
    ----------
    log : Path
    lines : int
        How many.
    """
    text = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    cut = [f"… {len(text) - lines} lines before"] if len(text) > lines else []
    return "\n".join([*cut, *text[-lines:]])


def _taken(path: Path) -> str:
    """Return the text of a file, and remove the file."""
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace")
    path.unlink()
    return text
