"""What registries, hubs and signers put beside the files of an MLflow Model, and MLflow never loads."""

from __future__ import annotations

import os
from pathlib import Path

REGISTERED = "registered_model_meta"  # MLflow writes it into each model that it loads from a registry
SIGNATURE = "model.sig"  # of OpenSSF's model-signing
ADDED = (REGISTERED, SIGNATURE, "README.md", ".gitattributes", ".git", ".cache/huggingface")
_DIRECTORIES = (".git", ".cache/huggingface")  # the former is a file where the model is a submodule
TOPS = tuple(name.partition("/")[0] for name in ADDED)
_KEYS = {"model_name", "model_version"}
_BYTES = 4096


def never_loaded(model: Path, name: str) -> str:
    """Return which of `ADDED` a file that is not of a package belongs to, nothing where it is none of them.

    Parameters
    ----------
    model : Path
        The MLflow Model.
    name : str
        The file's path in it.
    """
    if name == REGISTERED and not _is_of_registry(model / name):
        return ""
    within = next((each for each in _DIRECTORIES if name.startswith(f"{each}/")), "")
    return name if name in ADDED else within


def authors_own(model: Path) -> list[str]:
    """Return what an author has put at the top of an MLflow Model, and hubs and signers for the author.

    Parameters
    ----------
    model : Path
        The MLflow Model, or where it would be.

    Returns
    -------
    list of str
        Names of files and directories.
    """
    return [top for top in TOPS if top != REGISTERED and os.path.lexists(model / top)]


def _is_of_registry(path: Path) -> bool:
    """Tell whether a file holds what MLflow writes of a registered model, and nothing else."""
    import yaml

    try:
        entry = yaml.safe_load(path.read_bytes()) if path.stat().st_size < _BYTES else None
    except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none, a thousand brackets
        return False
    return isinstance(entry, dict) and entry.keys() == _KEYS
