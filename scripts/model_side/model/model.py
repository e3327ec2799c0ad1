"""Read what an MLflow Model says of itself, wherever it is, without loading it or fetching its weights."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from ..base.directories import temporary_directory
from ..base.errors import StepError, UsageError, invoke, near
from ..base.variables import QUIET
from .signature import Signature, parse_signature
from .store import TRACKING, require_registry

_HINT_ADVICE = "Add type hints to the `predict` method"


@dataclass(frozen=True)
class ModelFiles:
    """What MLmodel and the stored example say.

    Parameters
    ----------
    signature : Signature
    example : mapping or None
        The stored example as a payload, serving_input_example.json.
    metadata : mapping
        MLmodel's `metadata`: what the packager recorded of the contract.
    uuid : str or None
        MLmodel's `model_uuid`, which the packager makes of the model's content.
    """

    signature: Signature
    example: dict[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    uuid: str | None = None


def quiet_mlflow() -> None:
    """Set what mlflow must find in the environment when it is imported, and leave out its advice on type hints.

    They would override a declared signature. A filter would not do: MLflow puts one of its own before it.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    show: Callable[..., None] = warnings.showwarning

    def without_advice(message: Warning | str, *where: Any, **more: Any) -> None:
        if _HINT_ADVICE not in str(message):
            show(message, *where, **more)

    warnings.showwarning = without_advice


def disable_tracing() -> None:
    """Import MLflow with its tracing off: for that, MLflow 3.1 makes a store in the working directory at every load."""
    import mlflow.tracing

    mlflow.tracing.disable()


def local_directory(model_uri: str) -> Path | None:
    """Return the directory that a local path or file:// names, None for any other URI."""
    parts = urlsplit(model_uri)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path)) if parts.scheme else Path(model_uri)


@contextmanager
def whole_model(model_uri: str) -> Iterator[Path]:
    """Give the directory of the whole model, fetched where it is not local, and removed afterwards then.

    Raises
    ------
    UsageError
        If the URI names none.
    StepError
        If it cannot be fetched.
    """
    if directory := _local_model(model_uri):
        yield directory
        return
    with temporary_directory("mlflow-model-chain-received-") as scratch:
        yield _fetch(model_uri, str(scratch))


def read_model(model_uri: str) -> ModelFiles:
    """Read MLmodel and the stored example of the model at a local path or any URI that MLflow resolves.

    Raises
    ------
    UsageError
        If the URI names no model, or one that has no signature.
    StepError
        If it cannot be fetched.
    """
    if directory := _local_model(model_uri):
        return _read(directory, model_uri)
    with tempfile.TemporaryDirectory() as scratch:
        _fetch(f"{model_uri.rstrip('/')}/MLmodel", scratch)
        if example := _example_name(_mlmodel(Path(scratch), model_uri)):
            _fetch(f"{model_uri.rstrip('/')}/{example}", scratch)
        return _read(Path(scratch), model_uri)


def _read(directory: Path, model_uri: str) -> ModelFiles:
    entry = _mlmodel(directory, model_uri)
    hint, metadata = bool(entry.get("is_signature_from_type_hint")), entry.get("metadata") or {}
    signature = parse_signature(entry.get("signature") or {}, from_type_hint=hint, metadata=metadata)
    path = directory / name if (name := _example_name(entry)) else None
    example = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None
    return ModelFiles(signature, example, metadata, entry.get("model_uuid"))


def _mlmodel(directory: Path, model_uri: str) -> dict[str, Any]:
    entry = yaml.safe_load((directory / "MLmodel").read_text(encoding="utf-8"))
    if not isinstance(entry, dict):
        raise UsageError(f"{model_uri}/MLmodel", "not an MLmodel file", expected="a mapping", got=type(entry).__name__)
    return entry


def _example_name(entry: Mapping[str, Any]) -> str | None:
    return (entry.get("saved_input_example_info") or {}).get("serving_input_path")


def _local_model(model_uri: str) -> Path | None:
    """Return the directory of a local model, None for one that must be fetched."""
    directory = local_directory(model_uri)
    if directory:
        require_plain(directory)
    if directory is None or (directory / "MLmodel").is_file():
        return directory
    if directory.is_dir():
        raise UsageError(model_uri, "not an MLflow Model", expected="a directory with the file MLmodel")
    names = [path.name for path in directory.parent.iterdir()] if directory.parent.is_dir() else []
    advice = near(directory.name, names) or f"Run {invoke('package', directory)}, or give the model's path or URI."
    raise UsageError(model_uri, "no such model", advice=advice)


def require_plain(directory: Path) -> None:
    """Check that MLflow can load a model from a directory: it takes %41 in the path for an A, quoted or not.

    Parameters
    ----------
    directory : Path

    Raises
    ------
    UsageError
        If its path holds such an escape.
    """
    path = str(directory.absolute())
    if unquote(path) != path:
        advice = "Rename the directory, or move the model."
        raise UsageError(path, "MLflow loads no model from this path", expected="no % with two digits", advice=advice)


def _fetch(uri: str, target: str) -> Path:
    quiet_mlflow()
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    with _no_new_store() as known:
        try:
            if known and urlsplit(uri).scheme in ("models", "runs"):
                require_registry()
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=target))
        except (MlflowException, OSError) as error:
            advice = "Check --model-uri and the network."
            if not known and urlsplit(uri).scheme in ("models", "runs"):
                advice = f"Set {TRACKING} to the address of the server or store that has it."
            raise StepError(uri, "cannot be fetched", got=str(error), advice=advice) from error


@contextmanager
def _no_new_store() -> Iterator[bool]:
    """Tell whether a store of MLflow is named or here; where none is, MLflow would make one, and makes it elsewhere."""
    if os.environ.get(TRACKING) or any(Path(name).exists() for name in ("mlflow.db", "mlruns")):
        yield True
        return
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[TRACKING] = f"sqlite:///{scratch}/mlflow.db"
        try:
            yield bool(os.environ.get("MLFLOW_REGISTRY_URI"))
        finally:
            del os.environ[TRACKING]
