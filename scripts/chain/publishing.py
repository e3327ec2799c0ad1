"""The verbs that take a verified package to those who use it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UsageError
from engine.runner import Builder
from engine.step import Command
from engine.walk import Action, Result
from model_side.base.errors import invoke
from model_side.model.store import TRACKING

from . import report
from .packages import Package
from .request import Request
from .steps import model_command, tool_command

STORE = "mlflow.db"  # in the models directory


def register(request: Request, name: str, tracking_uri: str, alias: str) -> int:
    """Register a verified model in MLflow's registry."""
    package = _verified(request)
    uri = tracking_uri or os.environ.get(TRACKING) or default_store(package.models_dir)
    words = ["--name", name, "--tracking-uri", uri, *(["--alias", alias] if alias else [])]
    return _run(request, package, "register", model_command(package, "register_model.py"), words)


def sign(request: Request, private_key: str, certificate: str, *, sigstore: bool) -> int:
    """Sign a verified model."""
    if bool(private_key) == sigstore:
        raise UsageError("sign", "with what", expected="either --private-key or --sigstore")
    files = {"--private-key": private_key, "--certificate": certificate}
    words = [word for flag, path in files.items() if path for word in (flag, str(Path(path).absolute()))]
    words += ["--sigstore"] if sigstore else []
    package = _verified(request)
    return _run(request, package, "sign", tool_command("sign_model"), words)


def image(request: Request, output_path: str) -> int:
    """Write a build context for a container that serves a verified model."""
    package = _verified(request)
    words = ["--output-path", str(Path(output_path).absolute())] if output_path else []
    return _run(request, package, "image", tool_command("write_image"), words)


def default_store(models_dir: Path) -> str:
    """Return the URI of the registry in a models directory."""
    return f"sqlite:///{models_dir.absolute() / STORE}"


def store_of(model_uri: str, models_dir: Path) -> str:
    """Return the URI of the registry in a models directory where a model's URI needs one and no other is named."""
    is_named = bool(os.environ.get(TRACKING) or os.environ.get("MLFLOW_REGISTRY_URI"))
    needs_it = model_uri.startswith(("models:", "runs:")) and not is_named and (models_dir / STORE).is_file()
    return default_store(models_dir) if needs_it else ""


def _verified(request: Request) -> Package:
    """Return the one package that is meant.

    Raises
    ------
    UsageError
        If there are several, or it is not verified as it is now.
    """
    pipelines = request.pipelines()
    if len(pipelines) > 1:
        raise UsageError("--model", "several models", expected="one", got=str(len(pipelines)))
    (package,), (result,) = request.packages(), Builder(dry_run=True).build_all(pipelines, "verify")
    stale = next((each for each in result.outcomes if each.action is not Action.UP_TO_DATE), None)
    if stale or pipelines[0].fault:
        got = f"{stale.step}: {'; '.join(map(str, stale.reasons)) or stale.error}" if stale else None
        advice = f"Run {invoke('verify', package.root)} first."
        raise UsageError(f"model {package.name!r}", "not verified as it is now", got=got, advice=advice)
    return package


def _run(request: Request, package: Package, step: str, command: Command, words: Sequence[str]) -> int:
    from .foreground import run_in_foreground

    outcome = run_in_foreground(step, command, package.root, words, as_json=request.as_json)
    if request.as_json:
        print(report.document([Result(package.name, (outcome,), outcome.seconds)]))
    return outcome.error.exit_code if outcome.error else 0
