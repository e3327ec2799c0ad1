"""Render a template to files in memory: the one template engine is Jinja2."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model_side.base.errors import UsageError, near

from .names import class_name

SCRIPTS = Path(__file__).resolve().parents[1]
TEMPLATES = SCRIPTS.parent / "model_template"
EXAMPLES = SCRIPTS.parent / "examples"
ARCHETYPES = "archetypes"
PARTS = "parts"  # text that templates of archetypes include
CONTRACT = "README.md"  # of an archetype: for who chooses one; what it says is in the package's own files, too
_JUNK = ("__pycache__",)

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Choice:
    """What a package is made from.

    Parameters
    ----------
    template, archetype : str
        Names of directories under model_template/.
    overlay : Path or None
        A directory whose files stand in for the template's: a complete model.
    """

    template: str = "mlflow_template"
    archetype: str = "file_uri_to_tensor"
    overlay: Path | None = None


def archetypes(template: str) -> list[str]:
    """Return the names of a template's archetypes, sorted."""
    return _directories(TEMPLATES / template / ARCHETYPES)


def archetype_lines() -> list[str]:
    """Return a line for each archetype of the usual template: its name, and what it takes and gives."""
    template = Choice().template
    names = archetypes(template)
    return [f"{name:<{max(map(len, names))}}  {contract(template, name)}" for name in names]


def contract(template: str, archetype: str) -> str:
    """Return the one line that says what an archetype takes and gives: the first under its README's title."""
    lines = (TEMPLATES / template / ARCHETYPES / archetype / CONTRACT).read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line and not line.startswith("#")), "")


def check_choice(choice: Choice) -> None:
    """Refuse a template or an archetype that does not exist, with the nearest that does.

    Raises
    ------
    UsageError
    """
    _require("--pkg-template", choice.template, _directories(TEMPLATES))
    _require("--model-archetype", choice.archetype, archetypes(choice.template))
    if choice.overlay is not None and not choice.overlay.is_dir():
        raise UsageError("--overlay", "not a directory", got=str(choice.overlay))


def render(model_name: str, choice: Choice) -> Files:
    """Return every file of the package by its relative path.

    Raises
    ------
    UsageError
        If the template or the archetype does not exist.
    """
    check_choice(choice)
    template = TEMPLATES / choice.template
    values = {"model_name": model_name, "class_name": class_name(model_name)}
    files = {path: text for path, text in files_in(template) if not path.startswith((f"{ARCHETYPES}/", f"{PARTS}/"))}
    files[".python-version"] = f"{sys.version_info.major}.{sys.version_info.minor}\n".encode()
    for path, text in files_in(template / ARCHETYPES / choice.archetype):
        if path == CONTRACT:
            continue
        name = f"model_code/{model_name}_mlflow_model.py" if path == "model.py.jinja" else path
        files[name.removesuffix(".jinja")] = _fill(text, values, template) if path.endswith(".jinja") else text
    if choice.overlay is not None:
        files |= dict(files_in(choice.overlay))
    return dict(sorted(files.items()))


def _fill(text: bytes, values: Mapping[str, str], template: Path) -> bytes:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    return environment.from_string(text.decode()).render(values).encode()


def files_in(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the relative path and the content of each file under a directory, bytecode apart.

    Parameters
    ----------
    directory : Path
        Nothing comes of one that is not there.
    """
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not any(part in _JUNK for part in path.parts):
            yield path.relative_to(directory).as_posix(), path.read_bytes()


def _directories(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _require(flag: str, name: str, known: list[str]) -> None:
    if name not in known:
        expected = f"one of {', '.join(known)}"
        raise UsageError(flag, "unknown", expected=expected, got=repr(name), advice=near(name, known))
