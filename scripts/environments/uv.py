"""Run uv: the tool's own, with the machine's settings, and with its explanation kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from model_side.base.errors import UsageError

from .faults import fault_of
from .settings import uv_anchored

_PYTHON = re.compile(r"3\.\d+(\.\d+)?")
OWN_FILES = {"UV_CONSTRAINT": "constraints.txt", "UV_OVERRIDE": "overrides.txt"}
PROJECT = Path(".pipeline", "uv")  # in a package: where `own_configuration` writes


def uv_executable() -> str:
    """Return the path of uv: the one beside this interpreter, else the first on PATH.

    Raises
    ------
    UsageError
        If there is none.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise UsageError("uv", "not found", advice="Run `make setup`, or `pip install uv`.")
    return found


def run_uv(
    arguments: Sequence[str],
    directory: Path,
    subject: str,
    *,
    given: str = "",
    env: Mapping[str, str] | None = None,
    shown: Callable[[str], str] = str,
    python: str = "",
) -> None:
    """Run uv in `directory`; what it says goes to stderr.

    Parameters
    ----------
    arguments : sequence of str
    directory : Path
    subject : str
        The file that a failure is about.
    given : str
        Standard input.
    env : mapping of str to str, optional
        Variables to set on top of the environment.
    shown : callable
        Takes out of uv's words what nobody is to read; uv itself hides passwords, not the tokens in a query.
    python : str
        The version that the request is for: where it is not installed, a failure for the network names that, too.

    Raises
    ------
    UsageError
        If uv refuses the request, for example if requirements contradict each other.
    StepError
        If the network or a missing Python, not the request, is at fault.
    """
    said: list[str] = []
    variables = {**os.environ, **uv_anchored(os.environ), **(env or {})}
    with tempfile.TemporaryFile("w+") as asked:
        asked.write(given)
        asked.seek(0)
        with subprocess.Popen(
            [uv_executable(), *arguments],
            cwd=directory,
            stdin=asked,
            stderr=subprocess.PIPE,
            stdout=sys.stderr,
            text=True,
            env=variables,
        ) as process:
            for line in process.stderr or ():
                said.append(line)
                sys.stderr.write(shown(line))
                sys.stderr.flush()
    if process.returncode:
        raise fault_of(subject, "".join(said), python if _lacks(python, directory, variables) else "")


def _lacks(python: str, directory: Path, variables: Mapping[str, str]) -> bool:
    command = [uv_executable(), "python", "find", "--system", interpreter(python)]
    return bool(python and subprocess.run(command, cwd=directory, env=variables, capture_output=True).returncode)


def own_settings(
    directory: Path, environment: Mapping[str, str], files: Mapping[str, str] = OWN_FILES
) -> dict[str, str]:
    """Return the variables by which uv, run in a directory, takes its files of constraints and overrides, too.

    They join what the machine's variables name; uv's flags of the same meaning would override those.

    Parameters
    ----------
    directory : Path
    environment : mapping of str to str
        Variables of the machine.
    files : mapping of str to str
        Names of the files in the directory, by the variable.
    """
    machine = uv_anchored(environment)
    there = {variable: name for variable, name in files.items() if (directory / name).is_file()}
    return {variable: f"{machine.get(variable, '')} {name}".strip() for variable, name in there.items()}


def own_configuration(directory: Path, place: Path) -> list[str]:
    """Return the flags by which uv reads uv.toml of `directory`, also where that lies in a project; none without one.

    Parameters
    ----------
    directory : Path
    place : Path
        It or a directory in it. A pyproject.toml without a project is written there: uv looks no further for one.
    """
    if not (directory / "uv.toml").is_file():
        return []
    place.mkdir(parents=True, exist_ok=True)
    (place / "pyproject.toml").write_text("# uv looks from here upward for its configuration\n", encoding="utf-8")
    return ["--project", str(place.absolute())]


def python_version(package: Path) -> str:
    """Return the interpreter's version that a package asks for in .python-version, or the one running.

    Parameters
    ----------
    package : Path
        Its directory.

    Raises
    ------
    UsageError
        If it asks for none that there can be.
    """
    path = package / ".python-version"
    asked = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    if asked and not _PYTHON.fullmatch(asked):
        raise UsageError(
            str(path), "not a version of Python", expected="a version, for example 3.11 or 3.11.7", got=repr(asked)
        )
    return asked or f"{sys.version_info.major}.{sys.version_info.minor}"


def interpreter(version: str) -> str:
    """Return what to ask uv for: the base of the running interpreter where its version fits, else the version."""
    running = ".".join(str(part) for part in sys.version_info[:3])
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return str(base) if f"{running}.".startswith(f"{version}.") and base.is_file() else version
