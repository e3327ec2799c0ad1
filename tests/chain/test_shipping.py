"""What a verified package is shipped with: steps behind the proof, part of the chain from when they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chain.packages import Package
from chain.steps import pipeline_for
from ship import MADE

from .cheap_package import build_cheaply, make_packages
from .test_verbs import STEPS, invoke


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """Return a package that is verified."""
    return make_packages(tmp_path / "models", "cheap")[0]


def states(package: Package, *words: str) -> dict[str, str]:
    done = invoke(package.models_dir, *words, "--model", "cheap", "--json")
    (model,) = json.loads(done.stdout)["models"]
    return {step["step"]: step["state"] for step in model["steps"]}


def make(package: Package, name: str) -> None:
    result = build_cheaply(package, package.models_dir / "environment" / "bin" / "python", name)
    assert [outcome.step for outcome in result.outcomes] == [*STEPS, name]
    assert result.ok


@pytest.mark.parametrize("name", MADE)
def test_shipping_step_is_of_the_chain_only_when_asked_for_or_made(name: str, package: Package) -> None:
    assert list(states(package, "verify")) == list(states(package, "status")) == STEPS
    assert states(package, name, "--dry-run") == {**dict.fromkeys(STEPS, "up to date"), name: "stale"}
    make(package, name)
    assert states(package, "status") == dict.fromkeys([*STEPS, name], "up to date")
    assert list(states(package, "verify")) == STEPS
    told = invoke(package.models_dir, name, "--model", "cheap").stdout.splitlines()
    assert told[-1].split() == ["the", name, str(package.root / MADE[name])]
    (package.root / "model_spec.py").write_text("INPUT_EXAMPLE = 2\n")
    assert states(package, "status")[name] == "stale"


@pytest.mark.parametrize("name", MADE)
def test_explain_tells_of_a_shipping_step_that_was_never_made(name: str, package: Package) -> None:
    done = invoke(package.models_dir, "explain", "--step", name, "--model", "cheap")
    assert f"{name}: never built" in done.stdout
    assert "verification.json" in done.stdout


def test_shipping_steps_read_all_that_the_proof_rests_on(package: Package) -> None:
    steps = {step.name: step for step in pipeline_for(package, dict.fromkeys(MADE, ())).steps}
    proof = {*steps["verify"].dependencies, "verification.json"}
    assert all(proof < set(steps[name].dependencies) for name in MADE)


def test_report_is_stale_when_a_batch_has_said_what_hardware_the_model_needs(package: Package) -> None:
    make(package, "report")
    (package.root / "envelope.json").write_text("{}")
    assert states(package, "status")["report"] == "stale"
    make(package, "report")
    assert states(package, "status")["report"] == "up to date"


def test_clean_removes_a_report_as_it_was_made_and_keeps_an_edited_one(package: Package) -> None:
    make(package, "report")
    path = package.root / MADE["report"]
    text = path.read_text()
    path.write_text("edited")
    assert "kept report.html" in invoke(package.models_dir, "clean", "--model", "cheap").stdout
    path.write_text(text)
    assert "removed report.html" in invoke(package.models_dir, "clean", "--model", "cheap").stdout
