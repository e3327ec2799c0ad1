"""What decides the environment of an MLflow Model: its own files, uv's settings, the platform."""

from __future__ import annotations

import hashlib
import json
import re
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from environments.installed import installed
from environments.settings import uv_files, uv_settings, uv_tables
from environments.uv import OWN_FILES
from model_side.base.errors import UsageError, invoke
from model_side.base.files import read_text
from model_side.base.variables import pyvenv
from model_side.model.requirements import REQUIREMENTS, UV_TOML, read_requirements, read_uv_toml, uv_toml

PYTHON_ENV = "python_env.yaml"
_FILES = (REQUIREMENTS, "constraints.txt")
# How uv is given the rules of a model's uv.toml, which it does not read where UV_CONFIG_FILE or UV_NO_CONFIG is set.
GIVEN = {"UV_OVERRIDE": "own.overrides.txt", "UV_CONSTRAINT": "own.constraints.txt"}
_BUILD_DEPENDENCIES = ("pip", "setuptools", "wheel")  # MLflow pins those that the model environment has
_VERSION = re.compile(r"\d+\.[\w.+]+")  # uv runs what else is asked for: a path is a program
_FORMAT = "4"  # of what is kept; another number makes every environment anew


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
        Texts of the files that they name, and of the model's own settings of uv.
    settings : mapping of str to str
        uv's settings that can change what is installed, and the platform.
    above : Path
        Where uv looks for settings from, upward, where the model's own are none but constraints and overrides. The path
        itself decides nothing.
    """

    python: str
    build_dependencies: tuple[str, ...]
    dependencies: tuple[str, ...]
    files: Mapping[str, str]
    settings: Mapping[str, str]
    above: Path

    @property
    def fingerprint(self) -> str:
        """Return ``sha256:<hex>`` of all of it."""
        decides = {name: value for name, value in vars(self).items() if name != "above"}
        return digest(json.dumps([_FORMAT, decides], sort_keys=True))


def read_recipe(model: Path, environment: Mapping[str, str]) -> Recipe:
    """Read what an MLflow Model says of its environment.

    Parameters
    ----------
    model : Path
        Its directory.
    environment : mapping of str to str
        Variables; those of uv count.

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
        advice = f"Run {invoke('package', model)}."
        raise UsageError(str(path), "cannot be read", got=str(error), advice=advice) from error
    if not _VERSION.fullmatch(str(python)):
        raise UsageError(str(path), "python", expected="a version, such as 3.11.7", got=repr(python))
    files = {name: _text(model / name) for name in _FILES if (model / name).is_file()}
    files |= _own_settings(_text(model / UV_TOML) if (model / UV_TOML).is_file() else "")
    above = model.absolute().parent
    settings = _settings(environment, None if UV_TOML in files else above)
    return Recipe(str(python), tuple(before or ()), tuple(after or ()), files, settings, above)


def recipe_ahead(package: Path, environment: Mapping[str, str]) -> Recipe:
    """Return what the MLflow Model will say that is made of a package as it is now.

    Parameters
    ----------
    package : Path
        Its directory.
    environment : mapping of str to str
        Variables; those of uv count.

    Raises
    ------
    UsageError
        If its requirements cannot travel, or there is no model environment.
    """
    python = pyvenv(package / ".venv").get("version_info", "")
    if not python:
        advice = f"Run {invoke('sync-env', package)} first."
        raise UsageError(str(package / ".venv"), "not found", advice=advice)
    requirements = "".join(f"{line}\n" for line in read_requirements(package))
    files = {REQUIREMENTS: requirements, **_own_settings(uv_toml(package))}
    above = package.absolute()
    settings = _settings(environment, None if UV_TOML in files else above)
    there = installed(package / ".venv")
    before = tuple(f"{name}=={there[name]}" if name in there else name for name in _BUILD_DEPENDENCIES)
    return Recipe(python, before, (f"-r {REQUIREMENTS}",), files, settings, above)


def _own_settings(text: str) -> dict[str, str]:
    """Return the files by which uv takes what uv.toml of a model says."""
    settings = read_uv_toml(text)
    rules = {GIVEN[variable]: settings.rules.get(name) for variable, name in OWN_FILES.items()}
    files = {name: "".join(f"{line}\n" for line in lines) for name, lines in rules.items() if lines}
    return {**files, UV_TOML: text} if settings.more else files


def _settings(environment: Mapping[str, str], above: Path | None) -> dict[str, str]:
    settings = uv_settings(environment) | {"platform": sysconfig.get_platform()}
    settings |= uv_tables(environment, above) if above else {}
    return settings | {label: digest(_text(Path(file))) for label, file in uv_files(environment, above)}


def _text(path: Path) -> str:
    return read_text(path, "It decides what is installed.")


def digest(text: str) -> str:
    """Return ``sha256:<hex>`` of a text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
