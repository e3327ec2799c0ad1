"""sbom.cdx.json: the model and the environment that served it as a CycloneDX 1.6 bill of materials."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model_side.base.errors import StepError
from model_side.base.files import publish

from .facts import Distribution, Facts, library, read_facts

_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562's, for URLs


def write_sbom(package: Path, output_path: Path) -> None:
    """Write the bill of materials of a verified package.

    Parameters
    ----------
    package : Path
        Its directory.
    output_path : Path
        The file to write, JSON.

    Raises
    ------
    UsageError
        If the package is not verified, or cyclonedx-python-lib is not installed.
    StepError
        If a file of the model is not as it was packaged, or the document does not fit the schema.
    """
    publish(sbom(read_facts(package)), output_path)


def sbom(facts: Facts) -> str:
    """Return the bill of materials as JSON: the same facts give the same text."""
    bom = _part("model.bom")
    model = _model(facts)
    installed = [_installed(each) for each in facts.distributions()]
    document = bom.Bom(
        components=installed,
        metadata=bom.BomMetaData(component=model, timestamp=facts.verified_at),
        serial_number=uuid.uuid5(_NAMESPACE, facts.digest),
    )
    document.register_dependency(model, installed)
    text: str = _part("output.json").JsonV1Dot6(document).output_as_string(indent=1)
    schema = _part("schema").SchemaVersion.V1_6
    if fault := _part("validation.json").JsonStrictValidator(schema).validate_str(text):
        raise StepError("sbom", "it does not fit the schema of CycloneDX 1.6", got=str(fault))
    return f"{text}\n"


def _part(name: str) -> Any:
    return library(f"cyclonedx.{name}", "sbom")


def _model(facts: Facts) -> Any:
    """Return the model as a component: its version is that of its content."""
    model, component = _part("model"), _part("model.component")
    digest = model.HashType(alg=model.HashAlgorithm.SHA_256, content=facts.digest.removeprefix("sha256:"))
    named: Mapping[str, object] = {
        "mlflow:model_uuid": facts.files.uuid,
        "mlflow:version": facts.mlmodel.get("mlflow_version"),
        "python:version": facts.manifest.get("python"),
        "archetype": facts.files.metadata.get("archetype"),
    }
    return component.Component(
        name=facts.name,
        version=facts.files.uuid,
        type=component.ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{facts.name}@{facts.files.uuid}",
        description=facts.about["description"] or None,
        hashes=[digest],
        licenses=_licences(facts.about["license"]),
        properties=[model.Property(name=name, value=str(value)) for name, value in named.items() if value],
    )


def _installed(distribution: Distribution) -> Any:
    from packaging.utils import canonicalize_name

    component, purl = _part("model.component"), library("packageurl", "sbom").PackageURL
    address = purl("pypi", None, canonicalize_name(distribution.name), distribution.version)
    return component.Component(
        name=distribution.name,
        version=distribution.version,
        type=component.ComponentType.LIBRARY,
        bom_ref=str(address),
        description=distribution.summary or None,
        licenses=_licences(distribution.licence),
        purl=address,
    )


def _licences(text: str) -> list[Any]:
    """Return a licence by its SPDX id or expression where it is one, else by its name."""
    factory = _part("contrib.license.factories").LicenseFactory()
    return [factory.make_from_string(text)] if text else []
