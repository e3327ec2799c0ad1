"""The bill of materials names the model by its digest and all of its environment; it is valid by its schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from make_sbom import main

from ship.facts import read_facts
from ship.sbom import sbom

from .verified_package import FINGERPRINT, install, verified_package

pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib: `make setup EXTRA=ship` installs it")


def test_sbom_is_valid_and_names_the_model_by_its_digest(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    package, path = verified_package(tmp_path, about={"license": "MIT"}), tmp_path / "sbom.cdx.json"
    assert main(["--package", str(package), "--output-path", str(path)]) == 0
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text()) is None
    document = json.loads(path.read_text())
    facts, model = read_facts(package), document["metadata"]["component"]
    assert document["specVersion"] == "1.6"
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "tiny", facts.files.uuid)
    assert model["hashes"] == [{"alg": "SHA-256", "content": facts.digest.removeprefix("sha256:")}]
    assert model["licenses"] == [{"license": {"id": "MIT"}}]


def test_sbom_has_every_distribution_with_its_licence(tmp_path: Path) -> None:
    document = json.loads(sbom(read_facts(verified_package(tmp_path))))
    found = {each["purl"]: each["licenses"] for each in document["components"]}
    assert found == {
        "pkg:pypi/numpy@2.0": [{"license": {"id": "BSD-3-Clause"}}],
        "pkg:pypi/old-thing@2.0": [{"license": {"name": "MIT License"}}],
    }
    model = document["metadata"]["component"]["bom-ref"]
    (depends,) = [each["dependsOn"] for each in document["dependencies"] if each["ref"] == model]
    assert set(depends) == found.keys()


def test_sbom_is_of_the_served_environment_whatever_the_model_environment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = verified_package(tmp_path / "models")
    install(package / ".venv", "never_served", "License-Expression: MIT\n")
    kept = tmp_path / "environments"
    monkeypatch.setenv("MODEL_ENVIRONMENT_CACHE", str(kept))
    install(kept / ("5" * 32), "pip", "License-Expression: MIT\n")
    environment = {"fingerprint": FINGERPRINT, "distributions": {"numpy": "2.0", "pip": "2.0", "removed-since": "1.0"}}
    (package / "serve_report.json").write_text(json.dumps({"environment": environment}))
    found = {each["name"]: each.get("licenses") for each in json.loads(sbom(read_facts(package)))["components"]}
    assert found == {
        "numpy": [{"license": {"id": "BSD-3-Clause"}}],
        "pip": [{"license": {"id": "MIT"}}],
        "removed-since": None,
    }


def test_same_facts_give_the_same_sbom(tmp_path: Path) -> None:
    facts = read_facts(verified_package(tmp_path))
    assert sbom(facts) == sbom(facts)
