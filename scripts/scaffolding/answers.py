"""Write into a new package what its author already knows of the model: its weights and what it needs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from model_side.base.errors import UsageError, invoke

from .render import SCRIPTS

_WHEEL = re.compile(r"(?P<package>[A-Za-z0-9][\w.-]*==[\w.!+-]+):(?P<member>.+)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_ARTIFACTS, FORMS = "ARTIFACTS = {}", "a file, a URI such as https://… or hf://…, or package==version:file/in/the/wheel"


def check_weights(weights: str) -> None:
    """Refuse weights that are neither there nor at an address.

    Raises
    ------
    UsageError
        If they are not.
    """
    if not (_WHEEL.fullmatch(weights) or _SCHEME.match(weights) or Path(weights).expanduser().exists()):
        raise UsageError("--weights", "no such file", expected=FORMS, got=repr(weights))


def write_answers(root: Path, weights: str, requirements: Sequence[str]) -> None:
    """Write into a new package where its weights come from, and what it needs.

    Parameters
    ----------
    root : Path
        The package.
    weights : str
        A file or a directory, which is copied; a URI, or a file of a wheel, which is declared. Empty for none.
    requirements : sequence of str
        Lines of requirements.in.
    """
    if requirements:
        with (root / "requirements.in").open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in requirements)
    if weights:
        name = _bring(root, weights)
        spec = root / "model_spec.py"
        named = f"ARTIFACTS = {json.dumps({'checkpoint': f'model_data/{name}'}, ensure_ascii=False)}"
        spec.write_text(spec.read_text(encoding="utf-8").replace(_ARTIFACTS, named), encoding="utf-8")


def _bring(root: Path, weights: str) -> str:
    """Copy weights into model_data/, or declare them, and return their name there."""
    if wheel := _WHEEL.fullmatch(weights):
        name = Path(wheel["member"]).name
        _declare(root, {**wheel.groupdict(), "path": name})
    elif _SCHEME.match(weights):
        name = Path(urlsplit(weights).path.partition("@")[0]).name or "weights"
        _declare(root, {"uri": weights, "path": name})
    else:
        source = Path(weights).expanduser()
        name = source.resolve().name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, root / "model_data" / name)
    return name


def _declare(root: Path, entries: dict[str, str]) -> None:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in entries.items()]
    with (root / "model_data.toml").open("a", encoding="utf-8") as stream:
        stream.writelines(["\n[[source]]\n", *lines])


def next_steps(root: Path) -> str:
    """Return the three things that an author does next, with paths."""
    place = root.absolute()
    repository = SCRIPTS.parent
    shown = place.relative_to(repository) if place.is_relative_to(repository) else place
    code = f"model_code/{root.name.removesuffix('_mlflow_pkg')}_mlflow_model.py"
    is_declared = "\n[[source]]" in (root / "model_data.toml").read_text(encoding="utf-8")
    lock = f"; {invoke('download-data --lock', place).strip('`')} fetches what is declared" if is_declared else ""
    return "\n".join(
        [
            "Next:",
            f"1. {shown}/{code}: write the methods; list what they import in requirements.in",
            f"2. {shown}/model_spec.py: declare the signature, the example and the artifacts; their files go into "
            f"model_data/, or model_data.toml says where they come from{lock}",
            f"3. {invoke('verify', place).strip('`')}",
        ]
    )
