"""Render a template to files in memory: the one template engine is Jinja2."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from model_side.base.errors import UsageError, require_known

from .names import class_name

SCRIPTS = Path(__file__).resolve().parents[1]
TEMPLATES = SCRIPTS.parent / "model_template"
EXAMPLES = SCRIPTS.parent / "examples"
ARCHETYPES = "archetypes"
PARTS = "parts"  # text that templates of archetypes include
_DECLARED = re.compile(r'^ARCHETYPE = "(?P<archetype>\w+)"', re.MULTILINE)
CONTRACT = "README.md"  # of an archetype: for who chooses one; what it says is in the package's own files, too

Files = Mapping[str, bytes]


class Choice(NamedTuple):
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


def archetypes(template: str = Choice().template) -> list[str]:
    """Return the names of a template's archetypes, sorted."""
    return _directories(TEMPLATES / template / ARCHETYPES)


def archetype_lines() -> list[str]:
    """Return a line for each archetype of the usual template: its name, and what it takes and gives."""
    names = archetypes()
    return [f"{name:<{max(map(len, names))}}  {contract(name)}" for name in names]


def contract(archetype: str) -> str:
    """Return the one line that says what an archetype takes and gives: the first under its README's title."""
    readme = TEMPLATES / Choice().template / ARCHETYPES / archetype / CONTRACT
    return next(line for line in readme.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))


def declared(overlay: Path | None) -> dict[str, str]:
    """Return what a complete model's model_spec.py says of the choice, the archetype, by its name there."""
    texts = [files_in(overlay).get("model_spec.py", b"").decode()] if overlay else []
    return next((found.groupdict() for found in map(_DECLARED.search, texts) if found), {})


def render(model_name: str, choice: Choice) -> Files:
    """Return every file of the package by its relative path.

    Raises
    ------
    UsageError
        If the template, the archetype or the overlay does not exist.
    """
    require_known(choice.template, _directories(TEMPLATES), "--pkg-template", "template")
    require_known(choice.archetype, archetypes(choice.template), "--model-archetype", "archetype")
    if choice.overlay is not None and not choice.overlay.is_dir():
        raise UsageError("--overlay", "not a directory", got=str(choice.overlay))
    template = TEMPLATES / choice.template
    values = {"model_name": model_name, "class_name": class_name(model_name)}
    files = {
        path: text for path, text in files_in(template).items() if not path.startswith((f"{ARCHETYPES}/", f"{PARTS}/"))
    }
    files[".python-version"] = f"{sys.version_info.major}.{sys.version_info.minor}\n".encode()
    for path, text in files_in(template / ARCHETYPES / choice.archetype).items():
        if path == CONTRACT:
            continue
        name = f"model_code/{model_name}_mlflow_model.py" if path == "model.py.jinja" else path
        files[name.removesuffix(".jinja")] = _fill(text, values, template) if path.endswith(".jinja") else text
    return files | files_in(choice.overlay) if choice.overlay else files


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


def files_in(directory: Path) -> dict[str, bytes]:
    """Return the content of each file under a directory by its relative path, bytecode apart.

    Parameters
    ----------
    directory : Path
        It may be missing.
    """
    paths = (path for path in sorted(directory.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def _directories(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
