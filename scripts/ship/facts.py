"""The facts about a verified package, read once for all that it is shipped with; without a proof there are none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import yaml

from environments.installed import pins, records
from model_side.base.errors import SUFFIX, StepError, UsageError, invoke
from model_side.base.files import read_text
from model_side.model.manifest import MANIFEST, check_manifest
from model_side.model.model import ModelFiles, read_model
from model_side.model.settings import variables_of
from model_side.payload.text import loads_payload
from serving.rebuilt import place_of

from . import ENVELOPE

MODEL, PAYLOAD, PREDICTED = "mlflow_model_artifacts", "test_input_payload.json", "predict_output.json"
VERIFIED, FAILED, SERVED = "verification.json", "verification.failed.json", "serve_report.json"
EXTRA = "ship"
DECLARED = ("description", "intended_use", "license", "citation")
_LICENCE_CLASS, _LONGEST = "License :: ", 60  # a longer licence is its whole text


@dataclass(frozen=True)
class Distribution:
    """One installed distribution; its licence and summary as its own metadata say, empty where they do not."""

    name: str
    version: str
    licence: str = ""
    summary: str = ""
    is_direct: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known of a verified package.

    Parameters
    ----------
    root : Path
        The package's directory.
    mlmodel, manifest, verification, served : mapping
        MLmodel, package_manifest.json, verification.json and serve_report.json.
    files : ModelFiles
        The signature, the stored example and the metadata.
    verified_at : datetime
        When verification.json was written, in UTC.
    """

    root: Path
    mlmodel: Mapping[str, Any]
    manifest: Mapping[str, Any]
    verification: Mapping[str, Any]
    served: Mapping[str, Any]
    files: ModelFiles
    verified_at: datetime

    @property
    def name(self) -> str:
        """The model's name."""
        return self.root.name.removesuffix(SUFFIX)

    @property
    def model(self) -> Path:
        """The directory of the MLflow Model."""
        return self.root / MODEL

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the list of the model's files."""
        return str(self.manifest["digest"])

    @property
    def about(self) -> Mapping[str, str]:
        """What the author declares of the model for people, by the entry's name in small letters, else empty."""
        return dict.fromkeys(DECLARED, "") | (self.files.metadata.get("about") or {})

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment variables that a receiver sets for it."""
        return variables_of(self.files.metadata)

    def payload(self) -> Mapping[str, Any]:
        """Return the request that the package was verified with."""
        payload: Mapping[str, Any] = _json(self.root / PAYLOAD)
        return payload

    def predictions(self) -> Any:
        """Return the answer to it, as the json module reads it."""
        return _json(self.root / PREDICTED)["predictions"]

    def envelope(self) -> Mapping[str, Any]:
        """Return what `batch --envelope` says of the hardware that this very model needs, if it was asked."""
        path = self.root / ENVELOPE
        found: Mapping[str, Any] = _json(path) if path.is_file() else {}
        return found if found.get("model") == self.digest else {}

    def distributions(self) -> list[Distribution]:
        """Return what the served environment held, sorted by name; licences come from it or the model environment."""
        direct, served = _named(self.root / "requirements.in"), self.served["environment"]
        places = (self.root / ".venv", place_of(served["fingerprint"], os.environ))
        infos = {key: path for place in places for key, path in records(place).items()}
        return [
            _distribution(name, version, infos.get((name, version)), direct)
            for name, version in served["distributions"].items()
        ]


def read_facts(package: Path) -> Facts:
    """Read the facts about a package.

    Parameters
    ----------
    package : Path
        Its directory.

    Raises
    ------
    UsageError
        If it was not verified, or if its proof is of another model, with the command that verifies it.
    StepError
        If a file of the model is not as it was packaged.
    """
    root = package.absolute()
    advice = f"Run {invoke('verify', root)}."
    proof = root / VERIFIED
    if not proof.is_file():
        fault = f"it failed, see {FAILED}" if (root / FAILED).is_file() else "not verified"
        raise UsageError(root.name, fault, expected=VERIFIED, got="none", advice=advice)
    verification, files = _json(proof, advice), read_model(str(root / MODEL))
    if verification.get("ok") is not True or verification.get("model_uuid") != files.uuid:
        got = f"{verification.get('model_uuid')}, ok: {verification.get('ok')}"
        raise UsageError(str(proof), "not a proof of this model", expected=f"{files.uuid}", got=got, advice=advice)
    try:
        check_manifest(root / MODEL)
    except StepError as error:
        error.advice = advice
        raise
    return Facts(
        root,
        yaml.safe_load((root / MODEL / "MLmodel").read_bytes()),
        _json(root / MODEL / MANIFEST, advice),
        verification,
        _json(root / SERVED, advice),
        files,
        datetime.fromtimestamp(proof.stat().st_mtime, UTC),
    )


def library(name: str, what: str) -> Any:
    """Return a module of a library of the extra `ship`.

    Parameters
    ----------
    name : str
        The module.
    what : str
        What needs it, for the error.

    Raises
    ------
    UsageError
        If it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        fault = f"needs {name.partition('.')[0]}, which is not installed"
        raise UsageError(what, fault, advice=f"`make setup EXTRA={EXTRA}` installs it.") from error


def _json(path: Path, advice: str = "") -> Any:
    return loads_payload(read_text(path, advice), str(path))


def _named(requirements: Path) -> set[str]:
    """Return the normal names of the distributions that a requirements.in asks for."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    names: set[str] = set(pins(read_text(requirements))) if requirements.is_file() else set()
    for line in read_text(requirements).splitlines() if requirements.is_file() else ():
        try:
            names.add(canonicalize_name(Requirement(line.partition(" #")[0].strip()).name))
        except InvalidRequirement:  # a comment, an option, a path
            continue
    return names


def _distribution(name: str, version: str, info: Path | None, direct: set[str]) -> Distribution:
    if not info:
        return Distribution(name, version, is_direct=name in direct)
    metadata = PathDistribution(info).metadata
    summary = str(metadata["Summary"] or "")
    return Distribution(str(metadata["Name"]), version, _licence(metadata), summary, name in direct)


def _licence(metadata: Any) -> str:
    """Return an SPDX expression where the metadata has one, else the short name that they have."""
    if expression := metadata["License-Expression"]:
        return str(expression)
    classes = [each for each in metadata.get_all("Classifier") or () if each.startswith(_LICENCE_CLASS)]
    named = [each.rpartition(" :: ")[2] for each in classes if each.count("::") > 1]
    text = str(metadata["License"] or "").strip()
    short = text if text and "\n" not in text and len(text) <= _LONGEST and text != "UNKNOWN" else ""
    return short or " and ".join(named)
