"""The tutorial, typed as it stands on the page, leads to a verified model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
CLONED = ("scripts", "model_template", "examples", "tasks.py", "invoke.yaml", "pyproject.toml", "uv.lock")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def shape(line: str) -> str:
    """Return a line without what differs between machines: numbers, digests and layout."""
    return re.sub(r"\s+", " ", re.sub(r"sha256:[0-9a-f]+|\d+(\.\d+)?", "0", line)).strip()


@pytest.mark.e2e
def test_tutorial_leads_to_a_verified_model_when_typed(tmp_path: Path) -> None:
    setup, *typed = blocks("sh")
    assert setup.splitlines()[1:] == ["cd mlflow-model-chain", "make setup"]
    for name in CLONED:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    command = ["bash", "-e", "-c", "exec 2>&1\n" + "".join(typed)]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0
    said = [shape(line) for line in done.stdout.splitlines()]
    missing = [line for block in blocks("text") for line in block.splitlines() if not is_said(shape(line), said)]
    assert missing == []


def is_said(line: str, said: list[str]) -> bool:
    return any(each.startswith(line) for each in said)
