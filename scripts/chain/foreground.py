"""Run commands of the chain in the foreground, beside the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from engine.processes import FOUND_VARIABLE
from engine.step import Command
from model_side.base.processes import clean_environment


def run_in_foreground(
    command: Command, directory: Path, *words: str, as_json: bool = False
) -> tuple[int, Mapping[str, Any]]:
    """Run a command with more words in a directory, and return its exit code and what it found.

    Parameters
    ----------
    command : Command
    directory : Path
        Where it runs; the one above it, where there is none yet.
    *words : str
        Arguments beside the command's own.
    as_json : bool
        Whether stdout is for a JSON document alone: what the command says goes to stderr then.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found = Path(scratch, "found.json")
        code = subprocess.run(
            [*command.argv(), *words],
            cwd=directory if directory.is_dir() else directory.parent,
            env=_environment(command) | {FOUND_VARIABLE: str(found)},
            stdout=sys.stderr if as_json else None,
            check=False,
        ).returncode
        return code, json.loads(found.read_bytes()) if found.exists() else {}


def become(command: Command, directory: Path, *words: str) -> NoReturn:
    """Become a command, so that what ends this process ends that."""
    sys.stdout.flush()
    os.chdir(directory)
    argv = [*command.argv(), *words]
    os.execve(argv[0], argv, _environment(command))


def _environment(command: Command) -> dict[str, str]:
    return clean_environment(os.environ, command.environment())
