"""A model from a stranger: what of it is refused before anything runs, and what would run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from model_side.base.errors import StepError, listed
from model_side.model.added import never_loaded
from model_side.model.manifest import Checked, check_manifest, declared_names

from .recipe import Recipe

CODE = "code"
LOADERS = ("mlflow.pyfunc.model", "mlflow.pyfunc.loaders.code_model")  # the latter of SERIALIZATION="code"
_PROGRAMS = (".py", ".pyc", ".so", ".pth", ".pyd")
_BUILT = re.compile(r"\s*(-e\b|--editable\b)")


def check_received(model: Path) -> Checked:
    """Check that the files of a model are as its manifest says, and that none leads out of it or is code elsewhere.

    Parameters
    ----------
    model : Path
        Its directory.

    Raises
    ------
    UsageError
        If there is no manifest that can be read.
    StepError
        With every fault.
    """
    if lines := listed([*_links(model), *_outside(model)]):
        raise StepError(str(model), f"not a model to run:{lines}", advice="Nothing of it was run. Ask its author.")
    checked = check_manifest(model)
    if lines := listed([*_mlmodel_faults(_mlmodel(model)), *_code_elsewhere(model)]):
        raise StepError(str(model), f"not a model to run:{lines}", advice="Nothing of it was run. Ask its author.")
    return checked


def building(recipe: Recipe) -> str:
    """Return the first line of the requirements that runs code when it is installed, wheels or not; else nothing."""
    texts = (*recipe.build_dependencies, *recipe.dependencies, *recipe.files.values())
    return next((line.strip() for text in texts for line in text.splitlines() if _BUILT.match(line)), "")


def what_runs(model: Path) -> str:
    """Return what of a model will run, in a sentence."""
    flavour, files = _flavour(_mlmodel(model)), sorted((model / CODE).rglob("*.py"))
    loaded = flavour.get("python_model") or flavour.get("model_code_path")
    kind = "a pickle, which can run any code" if str(loaded).endswith(".pkl") else "Python code"
    code = ", ".join(str(each.relative_to(model)) for each in files) or "no code of its own"
    return f"what will run: {loaded}, {kind}; {code}; and the packages of requirements.txt"


def _links(model: Path) -> Iterator[str]:
    """Yield the links to directories, which no manifest covers, and those out of the model."""
    for place, directories, files in os.walk(model):
        for path in (Path(place, name) for name in (*directories, *files)):
            name = path.relative_to(model).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(model.resolve()):
                yield f"{name}: a link out of the model"
            elif path.is_symlink() and path.is_dir() and not never_loaded(model, name):
                yield f"{name}: a link to a directory"


def _outside(model: Path) -> Iterator[str]:
    """Yield the names in the manifest that are not of files in the model's directory."""
    yield from (f"{name}: leaves the directory" for name in declared_names(model) if _leaves(name))


def _leaves(name: str) -> bool:
    return not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def _mlmodel(model: Path) -> Any:
    return yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))


def _flavour(mlmodel: Any) -> dict[str, Any]:
    return dict(mlmodel["flavors"]["python_function"])


def _mlmodel_faults(mlmodel: Any) -> Iterator[str]:
    """Yield what MLflow would take from elsewhere, or load otherwise than a package of ours."""
    flavour = _flavour(mlmodel)
    for key, expected in (("code", (CODE, None)), ("loader_module", LOADERS)):
        if flavour.get(key, expected[0]) not in expected:
            yield f"MLmodel: {key}: expected {expected[0]}, got {flavour[key]}"
    paths = {f"artifacts.{name}": entry["path"] for name, entry in (flavour.get("artifacts") or {}).items()}
    paths |= {key: flavour[key] for key in ("python_model", "data", "config") if isinstance(flavour.get(key), str)}
    env = flavour.get("env") or {}
    example = mlmodel.get("saved_input_example_info") or {}
    paths |= {f"saved_input_example_info.{key}": path for key, path in example.items() if key.endswith("path")}
    paths |= {f"env.{name}": path for name, path in (env.items() if isinstance(env, dict) else [("conda", env)])}
    yield from (f"MLmodel: {key}: leaves the directory: {path}" for key, path in paths.items() if _leaves(str(path)))


def _code_elsewhere(model: Path) -> Iterator[str]:
    """Yield what Python could import beside code/; artifacts/ holds data, and is on no path."""
    own = PurePosixPath(str(_flavour(_mlmodel(model)).get("model_code_path") or "")).name
    for name in declared_names(model):
        is_data = PurePosixPath(name).parts[0] in (CODE, "artifacts")
        if name.endswith(_PROGRAMS) and not is_data and name != own:
            yield f"{name}: code beside {CODE}/"
