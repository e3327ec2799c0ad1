"""The reference is complete: every task, flag, entry and key is in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from downloads import declaration
from model_side.package import spec

from .test_readme import tasks

REPOSITORY = Path(__file__).parents[2]
REFERENCE = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
COMMAND_LINES = sorted(path.name for path in (REPOSITORY / "scripts").glob("*.py"))
PACKAGER = "model_template/mlflow_template/mlflow_packager.py"


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def flags_of(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, script, "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        env={"MODEL_SIDE": str(REPOSITORY / "scripts"), "PATH": ""},
    )
    return set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", done.stdout.partition("options:")[2])) - {"--help"}


def test_every_flag_of_a_task_is_in_the_reference() -> None:
    collection = tasks()
    section = named(REFERENCE.partition("## Flags of the tasks")[2].partition("\n## ")[0])
    flags = {f"--{argument.name}" for name in collection.task_names for argument in collection[name].get_arguments()}
    assert {flag.replace("_", "-") for flag in flags} == {flag for flag in section if flag.startswith("--")}


@pytest.mark.parametrize("script", COMMAND_LINES)
def test_every_flag_of_a_command_line_is_in_the_reference(script: str) -> None:
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{script}` |"))
    assert {flag for flag in named(row) if flag.startswith("--")} == flags_of(f"scripts/{script}")


def test_every_entry_and_flag_of_the_packager_is_in_the_reference() -> None:
    section = named(REFERENCE.partition("## model_spec.py")[2].partition("\n## ")[0])
    assert set(spec.ENTRIES) <= section
    assert flags_of(PACKAGER) == {flag for flag in section if flag.startswith("--")}


def test_every_key_of_a_source_is_in_the_reference() -> None:
    section = named(REFERENCE.partition("## model_data.toml")[2].partition("\n## ")[0])
    assert set(declaration.KEYS) <= section


def test_every_setting_is_in_the_reference() -> None:
    settings = yaml.safe_load((REPOSITORY / "invoke.yaml").read_text())["chain"]
    assert settings.keys() <= named(REFERENCE.partition("## Settings")[2])
