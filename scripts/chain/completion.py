"""Complete what Invoke leaves to the shell: names of models, steps and archetypes, behind the flags that take them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from scaffolding.render import archetypes

from .packages import REPOSITORY, Package, examples, names
from .steps import steps_for


def values(line: Sequence[str]) -> list[str] | None:
    """Return what may stand where a command line ends; None where that is for Invoke to say.

    Parameters
    ----------
    line : sequence of str
        ``sys.argv`` of Invoke's ``--complete``: behind ``--`` stand the words so far, the last of them perhaps in part.
    """
    if "--complete" not in line:
        return None
    words = [word for each in line[line.index("--complete") + 1 :] for word in _split(each)]
    last = next((word for word in reversed(words[-2:]) if word in _FLAGS), "")
    known = _FLAGS[last](_option(words, "--models-dir", "models")) if last else None
    return None if known and words[-1] in known else known


def _models(place: str) -> list[str]:
    return sorted({*names(REPOSITORY / place), *examples()})


def _steps(place: str) -> list[str]:
    return [step.name for step in steps_for(Package("any", REPOSITORY / place))]


def _option(words: Sequence[str], flag: str, usual: str) -> str:
    return next((value for name, value in pairwise(words) if name == flag), usual)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote is still open
        return text.split()


_FLAGS: Mapping[str, Callable[[str], list[str]]] = {
    "--model": _models,
    "--step": _steps,
    "--force-step": _steps,
    "--archetype": lambda place: archetypes(),
}
