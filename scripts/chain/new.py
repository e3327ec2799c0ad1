"""Ask what a first model is, and make its package of the answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import UsageError

from .packages import REPOSITORY

TEMPLATE = REPOSITORY / "model_template" / "mlflow_template" / "archetypes"
USUAL = "file_uri_to_tensor"


class Answers(NamedTuple):
    """What a new model is; its package is made by `words` of the command that scaffolds."""

    name: str
    words: list[str]


def answers(flags: Mapping[str, Any], ask: Callable[[str], str] | None) -> Answers:
    """Return what flags tell of a new model, and a person of what they leave open.

    Parameters
    ----------
    flags : mapping of str to str
        ``name``, ``archetype``, ``weights``, ``requirements``; those that are empty are asked for.
    ask : callable, optional
        Puts a question; None where nobody is there to answer.

    Raises
    ------
    UsageError
        If there is no name.
    """
    shapes = ", ".join(sorted(path.name for path in TEMPLATE.iterdir() if path.is_dir()))
    questions = {
        "name": "Name (letters, digits, underscores): ",
        "archetype": f"Archetype, one of {shapes} [{USUAL}]: ",
        "weights": "Weights: a file, a URI (https://, hf://), or package==version:file/in/the/wheel [none yet]: ",
        "requirements": "Requirements, separated by commas, such as numpy, torch==2.6.0 [none yet]: ",
    }
    found = {key: flags[key] or (ask(text).strip() if ask else "") for key, text in questions.items()}
    if not found["name"]:
        raise UsageError("--name", "no name", expected="that of a new model", advice="invoke new --name NAME makes it.")
    words = ["--model-archetype", found["archetype"] or USUAL]
    words += ["--weights", _absolute(found["weights"])] * bool(found["weights"])
    for line in filter(None, (each.strip() for each in found["requirements"].split(","))):
        words += ["--requires", line]
    return Answers(found["name"], words)


def _absolute(weights: str) -> str:
    """Return the whole path of weights that are there: the command runs elsewhere."""
    path = Path(weights).expanduser().absolute()
    return str(path) if path.exists() else weights


def question(text: str) -> str:
    """Put a question to the person at the terminal.

    Raises
    ------
    UsageError
        If the input ends.
    """
    print(text, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise UsageError("new", "the input ended before the last answer", advice="Give the rest by flags.")
    return line
