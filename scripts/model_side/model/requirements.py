"""Requirements that a package's receiver can install: hold each line to that. A credential is never shown."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..base.errors import UsageError

REQUIREMENTS = "requirements.txt"
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET = re.compile(r"(?<=[?&])([^=&#\s]*(?:token|key|secret|password|signature|sig))=[^&#\s]+", re.IGNORECASE)
_LOCAL = re.compile(r"^(\.{0,2}/|~|file:)|@\s*(file:|\.{0,2}/)|^[^#@;\s]+\.(whl|zip|tar\.gz)(\s|$)")
_EDITABLE = re.compile(r"^(-e\b|--editable\b)")
_FILES = re.compile(r"^(-r\b|--requirements?\b|-c\b|--constraints?\b)")
_PINNED = re.compile(r"(?P<name>[\w.-]+)\s*(\[[^]]*\])?\s*(==\s*[^\s,;*]+|@\s*\S+)\s*(\\|[;#].*)?$")
_LINKS = re.compile(r"^(-f|--find-links|-i|--index-url|--extra-index-url)[\s=]+(?!https?://)")


def read_requirements(package: Path) -> list[str]:
    """Return the lines of requirements.txt that say something.

    Raises
    ------
    UsageError
        If there is no such file, or with every line that cannot travel.
    """
    path = package / REQUIREMENTS
    if not path.is_file():
        advice = "Run `uv pip compile requirements.in -o requirements.txt`, or `invoke compile-reqs`."
        raise UsageError(str(path), "no such file", advice=advice)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise UsageError(REQUIREMENTS, "cannot be read", expected="UTF-8 text", got=str(error)) from error
    found = [fault for number, line in enumerate(lines, 1) for fault in line_faults(line, f"line {number}")]
    found = found or list(_pin_faults(lines))
    if found:
        raise UsageError(REQUIREMENTS, "".join(["it cannot travel:", *(f"\n  {fault}" for fault in found)]))
    return [line for line in lines if line and not line.startswith("#")]


def fits_environment(model: Path) -> bool:
    """Tell quickly whether this interpreter has, to the letter, what an MLflow Model asks for.

    MLflow's own comparison takes a quarter of a second and only warns; where this says True, that has nothing to say.
    """
    try:
        text = (model / REQUIREMENTS).read_text(encoding="utf-8")
        python = yaml.safe_load((model / "python_env.yaml").read_text(encoding="utf-8"))["python"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False
    wanted = {_normal(line) for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))}
    found = {path.stem.replace("-", "==", 1) for entry in sys.path for path in Path(entry).glob("*.dist-info")}
    return str(python).split(".")[:2] == list(map(str, sys.version_info[:2])) and wanted <= {*map(_normal, found)}


def _normal(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name.partition('[')[0]).lower().strip()}=={version.strip()}"


def _pin_faults(lines: Sequence[str]) -> Iterator[str]:
    """Yield what no resolver wrote: another version tomorrow would be another model."""
    names = set()
    for number, line in enumerate(lines, 1):
        if not line or line.startswith(("#", "-")):
            continue
        pinned = _PINNED.match(line)
        if pinned is None:
            advice = "list it in requirements.in and run `invoke compile-reqs`"
            yield f"line {number}: it is not pinned: expected name==version, got {line}: {advice}"
        names.add(pinned["name"].lower() if pinned else "mlflow")
    if not names & {"mlflow", "mlflow-skinny"}:
        yield "it does not name mlflow, which would be added with none of its own requirements pinned: list it, too"


def line_faults(line: str, where: str) -> Iterator[str]:
    """Yield why a line, or another setting of an installer, cannot travel to a receiver; credentials are left out."""
    shown = _SECRET.sub(r"\1=***", _USER.sub("***", line))
    if _EDITABLE.match(line) or _LOCAL.search(line):
        advice = "publish it to an index, or move the code into model_code/"
        yield f"{where}: it names what is on this machine only: got {shown}: {advice}"
    elif _FILES.match(line):
        yield f"{where}: it names another file: got {shown}: write the requirements themselves"
    elif _LINKS.match(line):
        yield f"{where}: it names a place on this machine: expected http(s)://, got {shown}"
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
