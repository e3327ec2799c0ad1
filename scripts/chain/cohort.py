"""Run a cohort through the model of a package, as it is: nothing is built for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import UsageError
from engine.runner import Builder
from model_side.base.errors import invoke

from .foreground import become
from .request import Request
from .steps import MODEL, tool_command

COMMAND = "BATCH_COMMAND"  # the command that is printed to go on with is this one, not its own


def batch(request: Request, flags: Mapping[str, Any]) -> NoReturn:
    """Become the command that predicts a cohort.

    Parameters
    ----------
    request : Request
        Of one model.
    flags : mapping
        Those of batch_predict.py, by name.

    Raises
    ------
    UsageError
        If there is no model yet, or it must be verified and is not.
    """
    (package,) = request.packages()
    model = package.root / MODEL
    remedy = f"Run {invoke('verify', package.root)} first."
    if not (model / "MLmodel").is_file():
        raise UsageError(package.name, "there is no model yet", advice=remedy)
    outcomes = [each for result in Builder(dry_run=True).build_all(request.pipelines()) for each in result.outcomes]
    stale = [f"{each.step}: {each.reasons[0]}" for each in outcomes if each.reasons]
    if stale and flags["verified_only"]:
        raise UsageError(package.name, "it is not verified as it is now", got=stale[0], advice=remedy)
    if stale:
        advice = invoke("verify", package.root)
        print(f"warning: {package.name}: not verified as it is now: {stale[0]}: {advice}", file=sys.stderr, flush=True)
    os.environ[COMMAND] = json.dumps(["invoke", *sys.argv[1:]])
    become(tool_command("batch_predict"), Path.cwd(), "--model-uri", str(model), *_words(flags))


def _words(flags: Mapping[str, Any]) -> list[str]:
    """Return flags as words; those that are not given keep their defaults."""
    words: list[str] = []
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)] if value else []
    return words
