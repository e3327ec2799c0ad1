"""Plain English: phrases that a reader at midnight stumbles over, and what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PHRASES = {
    r"cannot be met as put": "invalid request",
    r"\b[Mm]end(s|ed|ing)?\b": "Fix it",
    r"\bis no [A-Z]\w+": "is not an MLflow Model",
    r"\bany more\b": "has been removed, no longer",
    r"\bwhat it left is undone\b": "its partial output was rolled back",
    r"\btaken as built\b": "every step counts as never built",
    r"\bat work on\b": "is building it",
    r"\bstands? there twice\b": "is duplicated",
    r"\ban own\b": "a private loopback",
    r"\bof no account\b": "is ignored",
    r"\bout of force\b|\blet hold\b": "override, apply",
    r"\bwho makes (that|this) one\b": "the environment manager",
    r"\b(columns|rows|types) alike\b": "columns with the same type",
    r"\b([Hh]old|holds|held|holding) (\w+ ){1,4}(to|against) (the|its|their|what|that|an?)\b": "check X against Y",
    r"\b(is|are|be) held (to|against)\b": "is checked against",
    r"\bwhat leaves that out\b|\bleaves that out\b": "how to turn it off",
    r"\bone that can\b": "for example",
}
FILES = (
    "tasks.py",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CITATION.cff",
    "invoke.yaml",
    "pyproject.toml",
)
FOLDERS = ("scripts", "model_template", "examples", "docs", "benchmarks", "tests")
KINDS = (".py", ".md", ".jinja", ".toml", ".in")


def texts() -> list[Path]:
    """Return the files that people read."""
    found = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*") if path.suffix in KINDS]
    return [*(REPOSITORY / name for name in FILES), *(path for path in sorted(found) if path != Path(__file__))]


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_text_says(phrase: str) -> None:
    said = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}: say: {PHRASES[phrase]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(phrase, line)
    ]
    assert said == []
