"""Advice that is a command: it does what is meant, for the model that it is about."""

from __future__ import annotations

from pathlib import Path

SUFFIX = "_mlflow_pkg"  # of a package's directory, behind the model's name
_DEFAULT = "models"  # of invoke.yaml, in the directory of tasks.py


def invoke(task: str, place: Path | None = None) -> str:
    """Return the command that runs a task of the chain on one model, in backticks.

    Parameters
    ----------
    task : str
        The task, with its own flags.
    place : Path, optional
        The model's package, or what lies in it; the working directory by default. Where it is in no package, NAME
        stands for the model.
    """
    here = (place or Path()).absolute()
    package = next((path for path in (here, *here.parents) if path.name.endswith(SUFFIX)), None)
    return f"`invoke {task} {_flags(package)}`"


def _flags(package: Path | None) -> str:
    if package is None:
        return "--model NAME"
    from shlex import quote  # only a message needs it

    models = package.parent
    is_default = models.name == _DEFAULT and (models.parent / "tasks.py").is_file()
    directory = "" if is_default else f" --models-dir {quote(str(models))}"
    return f"--model {quote(package.name.removesuffix(SUFFIX))}{directory}"
