"""Requirements that a package's receiver can install: hold each line to that. A credential is never shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from .errors import UsageError

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
