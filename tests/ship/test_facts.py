"""What a package is shipped with comes from a proof, and from one of this very model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_side.base.errors import ReportedError
from ship.facts import Distribution, library, read_facts

from .verified_package import verified_package


def alter(name: str, **changed: object) -> Callable[[Path], None]:
    """Return what changes keys of a JSON file of the package."""

    def act(root: Path) -> None:
        path = root / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return act


def fail(root: Path) -> None:
    (root / "verification.json").rename(root / "verification.failed.json")


NO_PROOF: dict[str, tuple[Callable[[Path], None], str]] = {
    "never verified": (lambda root: (root / "verification.json").unlink(), "not verified"),
    "failed": (fail, "it failed, see verification.failed.json"),
    "of another model": (alter("verification.json", model_uuid="f" * 32), "not a proof of this model: expected "),
    "no": (alter("verification.json", ok=False), "not a proof of this model: expected "),
    "edited model": (lambda root: (root / "mlflow_model_artifacts/artifacts/weights.bin").write_bytes(b"x"), "weights"),
    "another manifest": (alter("mlflow_model_artifacts/package_manifest.json", digest="sha256:0"), "digest"),
}


@pytest.mark.parametrize("state", NO_PROOF)
def test_facts_are_refused_with_the_command_that_verifies_when_the_package_is(state: str, tmp_path: Path) -> None:
    root = verified_package(tmp_path / "models")
    act, said = NO_PROOF[state]
    act(root)
    with pytest.raises(ReportedError) as fault:
        read_facts(root)
    assert said in str(fault.value)
    assert f"Run `invoke verify --model tiny --models-dir {root.parent}`." in str(fault.value)


def test_facts_tell_licences_from_metadata_and_which_requirements_are_direct(tmp_path: Path) -> None:
    facts = read_facts(verified_package(tmp_path, about={"license": "mit"}))
    assert (facts.name, {name: text for name, text in facts.about.items() if text}) == ("tiny", {"license": "mit"})
    assert facts.digest.startswith("sha256:")
    assert facts.distributions() == [
        Distribution("numpy", "2.0", "BSD-3-Clause", is_direct=True),
        Distribution("old_thing", "2.0", "MIT License"),
    ]


def test_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyclonedx.model", None)
    with pytest.raises(ReportedError, match=r"sbom: needs cyclonedx, .*`make setup EXTRA=ship`"):
        library("cyclonedx.model", "sbom")
