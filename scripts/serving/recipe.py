"""What decides the environment of an MLflow Model: its own files, uv's settings, the platform."""

from __future__ import annotations

import hashlib
import json
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from model_side.requirements import REQUIREMENTS, read_requirements
from model_side.uv_toml import UV_TOML, uv_toml
from pipeline.errors import UsageError
from pipeline.machine import uv_files, uv_settings

PYTHON_ENV = "python_env.yaml"
_FILES = (REQUIREMENTS, "constraints.txt", UV_TOML)
_BUILD_DEPENDENCIES = ("pip", "setuptools", "wheel")  # as MLflow writes them
_FORMAT = "2"  # of what is kept; another number makes every environment anew


@dataclass(frozen=True)
class Recipe:
    """What decides an environment.

    Parameters
    ----------
    python : str
        Version.
    build_dependencies, dependencies : tuple of str
        Lines of requirements, installed one after the other, as MLflow does.
    files : mapping of str to str
        Texts of the files that they name, and of uv.toml.
    settings : mapping of str to str
        uv's settings that can change what is installed, and the platform.
    """

    python: str
    build_dependencies: tuple[str, ...]
    dependencies: tuple[str, ...]
    files: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Return ``sha256:<hex>`` of all of it."""
        return digest(json.dumps([_FORMAT, vars(self)], sort_keys=True))


def read_recipe(model: Path, environment: Mapping[str, str]) -> Recipe:
    """Read what an MLflow Model says of its environment.

    Raises
    ------
    UsageError
        If python_env.yaml is missing or is not what MLflow writes.
    """
    path = model / PYTHON_ENV
    try:
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))
        python, before, after = (entry.get(name) for name in ("python", "build_dependencies", "dependencies"))
    except (OSError, AttributeError, yaml.YAMLError) as error:
        raise UsageError(str(path), "cannot be read", got=str(error), advice="Run `invoke package`.") from error
    files = {name: _text(model / name) for name in _FILES if (model / name).is_file()}
    return Recipe(str(python), tuple(before or ()), tuple(after or ()), files, _settings(environment))


def recipe_ahead(package: Path, environment: Mapping[str, str]) -> Recipe:
    """Return what the MLflow Model will say that is made of a package as it is now.

    Raises
    ------
    UsageError
        If its requirements cannot travel, or there is no model environment.
    """
    lines = _text(package / ".venv" / "pyvenv.cfg").splitlines()
    python = next((line.partition("=")[2].strip() for line in lines if line.startswith("version_info")), "")
    files = {REQUIREMENTS: "\n".join(read_requirements(package))}
    if settings := uv_toml(package):
        files[UV_TOML] = settings
    return Recipe(python, _BUILD_DEPENDENCIES, (f"-r {REQUIREMENTS}",), files, _settings(environment))


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    settings = uv_settings(environment) | {"platform": sysconfig.get_platform()}
    return settings | {label: digest(_text(Path(file))) for label, file in uv_files(environment)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(str(path), "cannot be read", got=str(error), advice="It decides what is installed.") from error


def digest(text: str) -> str:
    """Return ``sha256:<hex>`` of a text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
