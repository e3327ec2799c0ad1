"""`--json` is one document of one shape, whatever the verb and however many models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tasks

from .cheap_package import make_packages
from .test_verbs import invoke

SCRIPTS = Path(__file__).parents[2] / "scripts"
STEP = {"step", "action", "state", "reasons", "details", "seconds", "found"}
# A call of every verb that has --json; those of the second list are about no package.
CALLS = [
    ["scaffold", "--dry-run"],
    ["scaffold", "--diff"],
    ["compile-reqs"],
    ["sync-env"],
    ["download-data"],
    ["download-data", "--check"],
    ["package"],
    ["package", "--force"],
    ["payload"],
    ["payload", "--format", "instances", "--negative"],
    ["predict"],
    ["serve-predict"],
    ["verify"],
    ["report", "--dry-run"],
    ["card", "--dry-run"],
    ["sbom", "--dry-run"],
    ["status"],
    ["explain", "--step", "package"],
    ["clean", "--dry-run"],
]
OF_ONE = [["register", "--name", "x"], ["sign", "--private-key", "k"], ["image"], ["batch", "--inputs", "nowhere"]]
NEW = ["new", "--name", "three"]
ALONE = [["archetypes"], ["cache"], ["check", "--model-uri", "nowhere"]]


def document(done: Any) -> dict[str, Any]:
    """Return the one document on stdout, in the one shape."""
    found: dict[str, Any] = json.loads(done.stdout)
    assert {"ok", "models"} <= found.keys() <= {"ok", "models", "found", "error"}
    for model in found["models"]:
        assert model.keys() == {"model", "ok", "predictions", "loads", "steps"}
        for step in model["steps"]:
            assert STEP <= step.keys() <= STEP | {"error", "made"}
            assert isinstance(step["found"], dict)
    assert found["ok"] == (done.returncode == 0) or "status" in done.args or "explain" in done.args
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a models directory with two packages, built."""
    path = tmp_path_factory.mktemp("json") / "models"
    make_packages(path, "one", "two")
    return path


def test_every_verb_with_json_is_called() -> None:
    verbs = [name for name, each in vars(tasks).items() if hasattr(each, "get_arguments")]
    with_json = {name for name in verbs if "json" in {each.name for each in vars(tasks)[name].get_arguments()}}
    assert {words[0].replace("-", "_") for words in [*CALLS, *OF_ONE, *ALONE, NEW]} == with_json


@pytest.mark.parametrize("words", OF_ONE, ids=" ".join)
def test_json_is_one_document_when_there_is_no_model_for(words: list[str], tmp_path: Path) -> None:
    found = document(invoke(tmp_path / "models", *words, "--model", "one", "--json"))
    assert found["ok"] is False
    assert "one" in found["error"]


@pytest.mark.parametrize("names", [["one"], ["one", "two"]], ids=["one model", "two models"])
@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_json_is_one_document_of_one_shape_for(words: list[str], names: list[str], models: Path) -> None:
    flags = [word for name in names for word in ("--model", name)]
    found = document(invoke(models, *words, *flags, "--json"))
    assert [model["model"] for model in found["models"]] == names


@pytest.mark.parametrize("words", [*ALONE, ["status", "--model", "absent"]], ids=" ".join)
def test_json_is_one_document_of_the_same_shape_when_it_is_about_no_package(words: list[str], models: Path) -> None:
    models_dir = ["--models-dir", str(models)] if "--model" in words else []
    assert document(invoke(models, *words, "--json", models_dir=models_dir))["models"] == []


def test_json_is_one_document_of_one_shape_for_a_new_model(tmp_path: Path) -> None:
    found = document(invoke(tmp_path, *NEW, "--json"))
    assert [(model["model"], len(model["steps"])) for model in found["models"]] == [("three", 1)]


def test_json_tells_the_steps_own_error_and_what_it_found_when_it_fails(models: Path) -> None:
    (models / "two_mlflow_pkg" / "broken").touch()
    found = document(invoke(models, "predict", "--model", "two", "--json", "--force"))
    failed = found["models"][0]["steps"][-1]
    assert (failed["action"], failed["error"], failed["found"]) == ("failed", "it is broken", {"half": 1})
    (models / "two_mlflow_pkg" / "broken").unlink()


def test_json_tells_why_a_model_is_refused_and_what_a_listing_says(models: Path) -> None:
    assert "nowhere" in document(invoke(models, *ALONE[2], "--json", models_dir=[]))["error"]
    listed = document(invoke(models, *ALONE[0], "--json", models_dir=[]))["found"]["text"]
    assert "text_to_tensor" in listed


def test_json_tells_what_a_step_found_when_it_ran_and_when_it_is_up_to_date(models: Path) -> None:
    for flags in (["--force"], []):
        found = document(invoke(models, "package", "--model", "one", "--json", *flags))
        assert found["models"][0]["steps"][-1]["found"] == {"digest": "d1", "proof": {}}


@pytest.mark.parametrize("script", ["batch_predict", "download_data", "download_cache"])
def test_json_is_one_document_when_flags_of_a_command_line_are_wrong(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{script}.py"), "--json", "--bogus"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, document(done)["models"]) == (2, [])
    assert done.stderr == f"error: {document(done)['error']}\n"
    assert f"{script}.py: " in done.stderr
