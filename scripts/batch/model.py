"""The model of a batch: its digest, its name, and whether it is verified."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from model_side.base.errors import SUFFIX, UsageError, invoke
from model_side.model.manifest import MANIFEST, digest_of
from model_side.model.model import ModelFiles, local_directory
from model_side.payload.fingerprints import stamp_of

from .request import COMMAND, Request


def model_digest(model: Path, header: Mapping[str, Any]) -> tuple[str, str]:
    """Return the digest of a model's files, and the stamp by which reading them again is spared.

    Parameters
    ----------
    model : Path
        Its directory.
    header : mapping
        What the directory of outputs says of the model; it may be empty.
    """
    stamp = stamp_of({"model": str(model.absolute())})
    if stamp and stamp == header.get("stamp"):
        return str(header["digest"]), stamp
    return digest_of(model), stamp


def package_of(model_uri: str) -> Path | None:
    """Return the directory of the package that holds a model, None where it is in none."""
    directory = local_directory(model_uri)
    parent = directory.absolute().parent if directory else None
    return parent if parent and parent.name.endswith(SUFFIX) else None


def name_of(model_uri: str) -> str:
    """Return the name of the model whose package holds it, nothing where it is in none."""
    package = package_of(model_uri)
    return package.name.removesuffix(SUFFIX) if package else ""


def require_verified(request: Request, files: ModelFiles) -> None:
    """Say that a model is not verified, by what lies beside it.

    Raises
    ------
    UsageError
        Where it must be.
    """
    directory = local_directory(request.model_uri)
    verdict: dict[str, Any] = {}
    if directory:
        with suppress(OSError, ValueError):
            verdict = json.loads((directory.absolute().parent / "verification.json").read_text(encoding="utf-8"))
    if verdict.get("ok") and verdict.get("model_uuid") == files.uuid:
        return
    remedy = f"`check_model.py --model-uri {request.model_uri}`"
    advice = f"Its package says that, and there is none here: {remedy} checks it; leave out --verified-only."
    if directory and not (directory / MANIFEST).is_file():  # the check takes packages alone
        remedy, advice = "mlflow_packager.py did not make it, and nothing proves it", "Leave out --verified-only."
    elif directory and name_of(request.model_uri):
        remedy = invoke("verify", directory)
        advice = f"Run {remedy} first, or leave out --verified-only."
    fault = "it is not verified"
    if request.verified_only:
        raise UsageError(request.model_uri, fault, advice=advice)
    if not os.environ.get(COMMAND):  # the chain has said so
        print(f"warning: {request.model_uri}: {fault}: {remedy}", file=sys.stderr, flush=True)
