"""The worked example of docs/engine.md runs as it stands on the page."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import engine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engine.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_engine_page_example_runs_when_its_blocks_are_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert len(blocks()) >= 5
    for number, block in enumerate(blocks()):
        exec(compile(block, f"docs/engine.md, block {number + 1}", "exec"), names)
    assert (tmp_path / "notes" / ".pipeline" / "ledger.json").exists()


def test_engine_page_names_every_field_of_a_step_and_every_parameter_of_build() -> None:
    text = PAGE.read_text(encoding="utf-8")
    declared = [field.name for field in fields(engine.Step) if field.init]
    declared += [*engine.Command._fields, *engine.Preparation._fields]
    assert [name for name in declared if f"`{name}`" not in text] == []
    assert [name for name in inspect.signature(engine.build).parameters if f"{name}" not in text] == []
    assert set(engine.__all__) == {"Command", "Preparation", "Says", "Step", "build", "status"}
