"""Requirements that a package's receiver can install: requirements.txt, and the settings of uv that travel with it.

Each line and setting is checked for what only this machine has. A credential is never shown.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..base.errors import UsageError, invoke, listed
from ..base.files import read_text
from ..base.redact import texts

REQUIREMENTS = "requirements.txt"
_COMMENT = re.compile(r"(^|\s)#.*")
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET = re.compile(r"(?<=[?&])([^=&#\s]*(?:token|key|secret|password|signature|sig))=[^&#\s]+", re.IGNORECASE)
_PINNED = re.compile(r"(?P<name>[\w.-]+)\s*(\[[^]]*\])?\s*(==\s*[^\s,;*]+|@\s*\S+)\s*(\\|[;#].*|--hash=.*)?$")
# What cannot travel, why, and what would; the first pattern that a line has says it.
_LOCAL = re.compile(r"^(-e\b|--editable\b|\.{0,2}/|~|file:)|@\s*(file:|\.{0,2}/)|^[^#@;\s]+\.(whl|zip|tar\.gz)(\s|$)")
_FILES = re.compile(r"^(-r\b|--requirements?\b|-c\b|--constraints?\b)")
_LINKS = re.compile(r"^(-f|--find-links|-i|--index-url|--extra-index-url)[\s=]+(?!https?://)")
_NOT_PORTABLE = {
    _LOCAL: "it names what is on this machine only: got {}: publish it to an index, or move the code into model_code/",
    _FILES: "it names another file: got {}: write the requirements themselves",
    _LINKS: "it names a place on this machine: expected http(s)://, got {}",
}


def read_requirements(package: Path) -> list[str]:
    """Return the requirements and options in a package's requirements.txt, as the MLflow Model has them.

    Parameters
    ----------
    package : Path

    Returns
    -------
    list of str
        Each once, on one line, without comments.

    Raises
    ------
    UsageError
        If there is no such file, or with every line that cannot travel.
    """
    path = package / REQUIREMENTS
    if not path.is_file():
        advice = f"Run `uv pip compile requirements.in -o requirements.txt`, or {invoke('compile-reqs', package)}."
        raise UsageError(str(path), "no such file", advice=advice)
    lines = [line.strip() for line in _text(path).splitlines()]
    faults = [fault for number, line in enumerate(lines, 1) for fault in line_faults(line, f"line {number}")]
    _require_portable(REQUIREMENTS, faults or _pin_faults(lines))
    joined = "\n".join(_COMMENT.sub("", line).strip() for line in lines).replace("\\\n", "").splitlines()
    return list(dict.fromkeys(line for line in joined if line))


def check_written(package: Path, files: Iterable[Path]) -> None:
    """Check, before anything is resolved, that what an author requires is not on this machine only.

    Parameters
    ----------
    package : Path
        Its own rules for uv are checked, too.
    files : iterable of Path
        requirements.in and what it includes. Their options are uv's: they do not travel, but for -e.

    Raises
    ------
    UsageError
        With every line of a file that cannot travel.
    """
    for file in files:
        lines = enumerate((_COMMENT.sub("", line).strip() for line in _text(file).splitlines()), 1)
        wanted = [(number, line) for number, line in lines if not line.startswith("-") or _LOCAL.search(line)]
        faults = (fault for number, line in wanted for fault in line_faults(line, f"line {number}"))
        _require_portable(os.path.relpath(file, package), faults)
    uv_toml(package)


def _require_portable(subject: str, faults: Iterable[str], advice: str = "") -> None:
    if text := listed(faults):
        raise UsageError(subject, f"it cannot travel:{text}", advice=advice)


def fits_environment(model: Path) -> bool:
    """Tell quickly whether this interpreter has exactly what an MLflow Model requires.

    MLflow's own comparison takes a quarter of a second and only warns; where this returns True, it would not warn.

    Parameters
    ----------
    model : Path
        The MLflow Model.
    """
    try:
        text = (model / REQUIREMENTS).read_text(encoding="utf-8")
        python = yaml.safe_load((model / "python_env.yaml").read_text(encoding="utf-8"))["python"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False
    required = {_normal(line) for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))}
    present = {path.stem.replace("-", "==", 1) for entry in sys.path for path in Path(entry).glob("*.dist-info")}
    return str(python).split(".")[:2] == list(map(str, sys.version_info[:2])) and required <= {*map(_normal, present)}


def _normal(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name.partition('[')[0]).lower().strip()}=={''.join(version.split()[:1])}"


def _pin_faults(lines: Iterable[str]) -> Iterator[str]:
    """Yield what no resolver wrote: another version tomorrow would be another model."""
    names = set()
    for number, line in enumerate(lines, 1):
        if not line or line.startswith(("#", "-")):
            continue
        pinned = _PINNED.match(line)
        if pinned is None:
            advice = f"list it in requirements.in and run {invoke('compile-reqs')}"
            yield f"line {number}: it is not pinned: expected name==version, got {line}: {advice}"
        names.add(pinned["name"].lower() if pinned else "mlflow")
    if not names & {"mlflow", "mlflow-skinny"}:
        yield "it does not name mlflow, which would be added with none of its own requirements pinned: list it, too"


def line_faults(line: str, where: str) -> Iterator[str]:
    """Yield why a line, or another setting of an installer, cannot travel to a receiver; credentials are left out."""
    shown = _SECRET.sub(r"\1=***", _USER.sub("***", line))
    faults = (fault for pattern, fault in _NOT_PORTABLE.items() if pattern.search(line))
    yield from (f"{where}: {fault.format(shown)}" for fault in islice(faults, 1))
    if any(user.group() != "git" for user in _USER.finditer(line)) or _SECRET.search(line):
        advice = "keep it in .netrc, a keyring or the index settings of uv"
        yield f"{where}: it holds a credential, which every receiver would read: got {shown}: {advice}"


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
    """Return the text of the model's uv.toml.

    Parameters
    ----------
    package : Path

    Returns
    -------
    str
        Empty where the package has no settings of its own.

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
    named = [(UV_TOML, value) for value in texts(settings)]
    named += [(RULES[key], line) for key, lines in rules.items() for line in lines]
    advice = "\nSettings of this machine belong in a UV_ variable, or in uv.toml of the user."
    _require_portable(UV_TOML, (fault for name, line in named for fault in line_faults(line, name)), advice)
    return "".join(f"{key} = {json.dumps(lines)}\n" for key, lines in rules.items() if lines) + text


def read_uv_toml(text: str) -> Settings:
    """Return what the text of a model's uv.toml says.

    Raises
    ------
    UsageError
        If it is not what uv reads.
    """
    settings = _parsed(text)
    rules = {name: settings[key] for key, name in RULES.items() if key in settings}
    if not all(isinstance(lines, list) and all(isinstance(line, str) for line in lines) for lines in rules.values()):
        raise UsageError(UV_TOML, f"{' or '.join(RULES)} is not a list of texts", advice="Fix it.")
    given = {name: tuple(lines) for name, lines in rules.items() if lines}
    return Settings(given, more=bool(settings.keys() - RULES.keys()))


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(UV_TOML, "not valid TOML", got=str(error), advice="Fix it.") from error


def _text(path: Path) -> str:
    return read_text(path, "Fix it.") if path.is_file() else ""


def _requirements(name: str, text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        bare = _OPTION.sub("", _COMMENT.sub("", line)).strip()
        if bare.startswith("-"):
            raise UsageError(name, "expected requirements alone, one per line", got=bare)
        if bare:
            yield bare
