"""Run commands of the chain in the foreground, beside the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from engine.errors import StepError, UsageError
from engine.logs import FOUND_VARIABLE
from engine.step import Command
from engine.walk import Action, Outcome
from model_side.base.variables import clean_environment


def run_in_foreground(
    step: str, command: Command, directory: Path, words: Sequence[str], *, as_json: bool = False
) -> Outcome:
    """Run a command with more words in a directory, and return what became of it.

    Parameters
    ----------
    step : str
        What the outcome calls it.
    command : Command
    directory : Path
        Where it runs; the one above it, where there is none yet.
    words : sequence of str
        Arguments beside the command's own.
    as_json : bool
        Whether stdout is for a JSON document alone: what the command says there is found as ``text`` then.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch, "found.json")
        done = subprocess.run(
            [*command.argv(), *words],
            cwd=directory if directory.is_dir() else directory.parent,
            env=_environment(command) | {FOUND_VARIABLE: str(found)},
            stdout=subprocess.PIPE if as_json else None,
            text=True,
            check=False,
        )
        code, facts = done.returncode, json.loads(found.read_bytes()) if found.exists() else {}
        facts |= {"text": done.stdout} if done.stdout else {}
    kind = UsageError if code == 2 else StepError
    error = kind(step, f"failed with exit code {code}") if code else None
    action = Action.FAILED if code else Action.RAN
    return Outcome(step, action, (), time.monotonic() - started, error, found=facts)


def become(command: Command, directory: Path, *words: str) -> NoReturn:
    """Become a command, so that what ends this process ends that.

    Parameters
    ----------
    command : Command
    directory : Path
        Where it runs.
    """
    sys.stdout.flush()
    os.chdir(directory)
    argv = [*command.argv(), *words]
    os.execve(argv[0], argv, _environment(command))


def _environment(command: Command) -> dict[str, str]:
    return clean_environment(os.environ, command.environment())
