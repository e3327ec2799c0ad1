"""The environment that a model's receiver gets: rebuilt from the MLflow Model's own files alone, checked, and kept.

It is made with uv as `mlflow models predict --env-manager uv` makes it, but once: its directory is named after what it
is made of. It is built beside its place and gets there by one rename, so that what has the name is complete. One that
was not used for some weeks is removed when another is built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from environments.bytecode import install
from environments.installed import Snapshot, altered_files, changes, installed, pin_faults, pins, snapshot
from environments.lock import pin_sources
from environments.settings import user_cache
from environments.uv import interpreter, own_configuration, own_settings, run_uv
from model_side.base.errors import StepError, UsageError
from model_side.base.variables import QUIET, clean_environment, pyvenv
from model_side.model.requirements import REQUIREMENTS

from .recipe import GIVEN, PYTHON_ENV, Recipe, digest, read_recipe, recipe_ahead

VARIABLE = "MODEL_ENVIRONMENT_CACHE"
BUILT = "built.json"
# Of a stranger, no code may run: none is built, and Python, which runs that of .pth files, compiles nothing.
ONLY_WHEELS = ("--only-binary", ":all:", "--no-compile-bytecode")
KEPT_DAYS = 30  # after the last use
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Rebuilt:
    """An environment, checked and ready.

    Parameters
    ----------
    path : Path
    recipe : Recipe
    distributions : mapping of str to str
        Versions by name.
    sources : mapping of str to list of str
        The pins that are not from the default index, by where they come from.
    share : mapping of str to str
        Variables by which its programs take no more than their share of the processors.
    bytecode : Path, optional
        Where its programs keep bytecode, and look for it: nowhere else, so that none runs that lies beside its source.
    """

    path: Path
    recipe: Recipe
    distributions: Mapping[str, str]
    sources: Mapping[str, list[str]] = field(default_factory=dict)
    share: Mapping[str, str] = field(default_factory=dict)
    bytecode: Path | None = None

    def program(self, name: str) -> str:
        """Return the path of one of its programs.

        Raises
        ------
        StepError
            If it has none of that name.
        """
        path = self.path / "bin" / name
        if not path.exists():
            raise StepError("rebuilt environment", f"it has no {name}", advice="requirements.txt must name mlflow.")
        return str(path)

    def places(self) -> list[Path]:
        """Return the directories that its programs need, beside the system's: its own, and that of its Python."""
        home = Path(pyvenv(self.path).get("home", "/bin")).parent
        return [self.path] if home == Path("/") else [self.path, home]

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return these variables for its programs: nothing of the tool's Python, and its own programs found first."""
        made = clean_environment(environment, {"VIRTUAL_ENV": str(self.path), **QUIET})
        if self.bytecode:
            made |= dict.fromkeys(("PYTHONPYCACHEPREFIX", "NUMBA_CACHE_DIR"), str(self.bytecode))
        else:
            made["PYTHONDONTWRITEBYTECODE"] = "1"  # all is compiled but the model's own code; a model stays as it is
        return {**made, **self.share, "PATH": f"{self.path / 'bin'}:{made['PATH']}"}

    def facts(self) -> dict[str, Any]:
        """Return what tells this environment from any other."""
        pinned = pins(self.recipe.files.get(REQUIREMENTS, ""))
        loose = [f"{name}=={version}" for name, version in sorted(self.distributions.items()) if name not in pinned]
        return {
            "fingerprint": self.recipe.fingerprint,
            REQUIREMENTS: digest(self.recipe.files.get(REQUIREMENTS, "")),
            "python": self.recipe.python,
            "distributions": dict(sorted(self.distributions.items())),
            "not_pinned": loose,
            "sources": self.sources,
        }


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return where environments are kept: $MODEL_ENVIRONMENT_CACHE, else in the user's cache directory."""
    return user_cache(environment, VARIABLE, "environments")


def place_of(fingerprint: str, environment: Mapping[str, str]) -> Path:
    """Return where the environment of a recipe's fingerprint is kept."""
    return cache_directory(environment) / fingerprint.removeprefix("sha256:")[:32]


def rebuilt_environment(model: Path, environment: Mapping[str, str], *, wheels_only: bool = False) -> Rebuilt:
    """Return the environment of an MLflow Model: the kept one if it is whole, else a new one.

    Parameters
    ----------
    model : Path
        Its directory.
    environment : mapping of str to str
        Variables, which say where environments are kept.
    wheels_only : bool
        Whether no code of the packages may run: then none is built or compiled, and the environment is one apart.

    Raises
    ------
    UsageError
        If the model's requirements cannot be installed.
    StepError
        If the index cannot be reached, or what was installed is not what was asked for.
    """
    return _kept_environment(read_recipe(model, environment), environment, wheels_only=wheels_only)


def prepare_environment(package: Path) -> None:
    """Make the environment that the MLflow Model of a package will ask for; errors as above.

    Parameters
    ----------
    package : Path
        Its directory.
    """
    _kept_environment(recipe_ahead(package.resolve(), os.environ), os.environ)


def _kept_environment(recipe: Recipe, environment: Mapping[str, str], *, wheels_only: bool = False) -> Rebuilt:
    """Return the environment of a recipe: the kept one if it is whole, else a new one; errors as above."""
    place = place_of(digest(f"{recipe.fingerprint}, only wheels") if wheels_only else recipe.fingerprint, environment)
    with _locked(place):
        if wrong := faults(place, recipe):
            _say(f"rebuilding the model's environment: {wrong}")
            _drop_unused(place.parent)
            _build(recipe, place, wheels_only=wheels_only)
        os.utime(place)
    path, built = place.resolve(), _built(place)
    return Rebuilt(path, recipe, installed(path), built.sources if built else {})


def faults(place: Path, recipe: Recipe) -> str:
    """Return the first thing that is wrong with an environment, nothing if it can be used.

    Parameters
    ----------
    place : Path
        Where it is kept.
    recipe : Recipe
        What it must have been made of.
    """
    if not place.is_dir():
        return "it was not built yet"
    if not (place / "bin" / "python").exists():
        return "its Python is gone"
    if (built := _built(place)) is None:
        return f"{BUILT} cannot be read"
    found = installed(place)
    wanted = {**built.distributions, **pins(recipe.files.get(REQUIREMENTS, ""))}
    differing = list(pin_faults(found, wanted))
    differing += [f"{name}: expected none, got {found[name]}" for name in sorted(found.keys() - wanted.keys())]
    changed = next(changes(place, built.files), None)
    return "; ".join(differing[:3]) or (f"{changed} is not as it was installed" if changed else "")


class _Built(NamedTuple):
    """What was built: kept in the environment, as JSON."""

    distributions: dict[str, str]
    files: Snapshot
    sources: dict[str, list[str]]


def _built(place: Path) -> _Built | None:
    """Return what was built at `place`, None where that cannot be read."""
    try:
        return _Built(**json.loads((place / BUILT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _build(recipe: Recipe, place: Path, *, wheels_only: bool) -> None:
    """Make the environment beside its place; the old one gives way when the new one is whole."""
    part = place.with_name(f"{place.name}.part")
    if part.exists():
        shutil.rmtree(part)
    try:
        sources = _install(recipe, part, wheels_only=wheels_only)
        built = _Built(installed(part), snapshot(part), sources)
        (part / BUILT).write_text(json.dumps(built._asdict()), encoding="utf-8")
        # What was changed in an environment since it was built: a change in place reaches uv's cache.
        earlier = _built(place)
        _require_whole(part, recipe, set(changes(place, earlier.files)) if earlier else set())
        if place.exists():
            shutil.rmtree(place)
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _require_whole(part: Path, recipe: Recipe, suspects: Set[str]) -> None:
    altered = next(altered_files(part, suspects), None)
    if wrong := faults(part, recipe) or (f"{altered} is not what its distribution records" if altered else ""):
        advice = "An edit in place of an installed file reaches uv's cache: run `uv cache clean`, then try again."
        raise StepError("rebuilt environment", wrong, advice=advice)


def _drop_unused(directory: Path) -> None:
    """Remove the environments that were last used long ago, unless somebody has their lock."""
    from filelock import FileLock, Timeout

    oldest = time.time() - KEPT_DAYS * 86400
    for path in directory.iterdir():
        if _NAME.fullmatch(path.name) and path.stat().st_mtime < oldest:
            with suppress(Timeout), FileLock(f"{path}.lock", timeout=0):
                _say(f"removing an environment that was not used for {KEPT_DAYS} days")
                shutil.rmtree(path)


def _install(recipe: Recipe, part: Path, *, wheels_only: bool) -> dict[str, list[str]]:
    """Make the environment by uv, where no requirements are near but the model's own; return where pins are from."""
    project = ["--project", str(recipe.above)]
    made = ["venv", "--quiet", "--no-project", "--relocatable", "--python", interpreter(recipe.python), part.name]
    # Its scripts find their Python beside them, so that it can be moved to its place.
    run_uv([*project, *made], part.parent, PYTHON_ENV, python=recipe.python)
    for name, text in recipe.files.items():
        (part / name).write_text(text, encoding="utf-8")
    project = own_configuration(part, part) or project
    # Never "symlink": the environment would change with uv's cache.
    uv_env = {"UV_LINK_MODE": "hardlink", **own_settings(part, os.environ, GIVEN)}
    # Without its cache, uv would ask this environment's Python again who it is, which runs .pth files, too.
    uv_env |= {"UV_NO_CACHE": "false"} if wheels_only else {}
    more = ONLY_WHEELS if wheels_only else ()
    words = [*project, "pip", "install", "--quiet", "--python", "bin/python", *more, "--requirements", "-"]
    if recipe.build_dependencies:
        run_uv(words, part, REQUIREMENTS, given="\n".join(recipe.build_dependencies), env=uv_env)
    if wheels_only:
        run_uv(words, part, REQUIREMENTS, given="\n".join(recipe.dependencies), env=uv_env)
    else:
        install(words, part, part, given="\n".join(recipe.dependencies), env=uv_env)
    return pin_sources("\n".join(recipe.dependencies), part, project, uv_env)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{place}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _say("waiting for another process that builds or checks the same environment")
            lock.acquire()
    except OSError as error:
        raise UsageError(
            str(place.parent), "cannot be written", got=error.strerror, advice=f"Set {VARIABLE} to another directory."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
