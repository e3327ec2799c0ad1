"""The reference is what the code says of itself, and the page about its behaviour names the rest."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml

from model_side.model.settings import BUDGET, VARIABLES, VERIFICATION

REPOSITORY = Path(__file__).parents[2]
REFERENCE = (REPOSITORY / "docs" / "reference.md").read_text(encoding="utf-8")
MADE = runpy.run_path(str(REPOSITORY / "docs" / "make_reference.py"))


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


@pytest.mark.parametrize("name", MADE["WRITTEN"])
def test_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    told = "run python docs/make_reference.py"
    assert (MADE["PAGES"] / f"{name}.md").read_text(encoding="utf-8") == MADE["page"](name), told


def test_every_check_of_verify_is_in_the_reference() -> None:
    section = named(REFERENCE.partition("## model_spec.py")[2].partition("\n## ")[0])
    assert {*VERIFICATION, BUDGET, VARIABLES} <= section


def test_every_setting_is_in_the_reference() -> None:
    settings = yaml.safe_load((REPOSITORY / "invoke.yaml").read_text())["chain"]
    assert settings.keys() <= named(REFERENCE.partition("## Settings")[2])
