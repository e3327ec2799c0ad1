"""model_side runs from one place in one build: the repository's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from chain.packages import REPOSITORY
from chain.steps import pipeline_for
from engine.runner import Builder
from engine.walk import Pipeline

from .cheap_package import make_packages

THEIRS = {"scaffold", "package", "payload", "predict", "serve-predict", "verify"}
LABEL = "scripts/model_side"


def test_no_record_of_package_names_the_packages_own_copy(tmp_path: Path) -> None:
    (package,) = make_packages(tmp_path / "models", "cheap")
    record = json.loads((package.root / ".pipeline" / "ledger.json").read_text())["steps"]["package"]
    assert not [path for path in (*record["dependencies"], *record["targets"]) if "model_side" in path]
    assert [name for name in record["tools"] if name.startswith(LABEL)]
    step = next(step for step in pipeline_for(package).steps if step.name == "package")
    assert step.runs.environment()["MODEL_SIDE"] == str(REPOSITORY / "scripts")


def test_change_of_the_tools_code_makes_every_step_that_runs_it_stale(tmp_path: Path) -> None:
    (package,) = make_packages(tmp_path / "models", "cheap")
    changed = Path(shutil.copytree(REPOSITORY / LABEL, tmp_path / "model_side"))
    (changed / "base" / "errors.py").write_text("# other\n")
    steps = tuple(
        replace(step, tools={**step.tools, LABEL: str(changed)}) if LABEL in step.tools else step
        for step in pipeline_for(package).steps
    )
    result = Builder(dry_run=True).build_all([Pipeline(package.root, steps, package.name)])[0]
    reasons = {outcome.step: [str(reason) for reason in outcome.reasons] for outcome in result.outcomes}
    assert {name for name, why in reasons.items() if any(LABEL in reason for reason in why)} == THEIRS
