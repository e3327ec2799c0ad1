"""The pages: their links, the commands that they name, and facts that stand elsewhere, too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from .test_readme import tasks

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").glob("[!_]*/*.md"),
        *(REPOSITORY / "docs").glob("*.md"),
        *REPOSITORY.glob("examples/*/README.md"),
    ]
)
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]


def test_site_is_made_without_a_warning_so_every_link_leads_to_a_file_or_a_heading() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # with uv
    done = subprocess.run(
        ["make", "docs"], cwd=REPOSITORY, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert (REPOSITORY / "docs" / "_build" / "docs" / "index.html").is_file()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_of_make_exists(page: Path) -> None:
    named = set(re.findall(r"(?:`|^ {4})make ([a-z][a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    known = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    verbs = re.search(r"^VERBS := ((?:.*\\\n)*.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert verbs
    assert named <= known | set(verbs[1].replace("\\", "").split())


def command_lines(page: Path) -> list[list[str]]:
    """Return the words of each `invoke ...` of a page: in a block of its own, in a sentence, in ARGS='...' of make."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"(?:^ *|`)invoke ([a-z][^`\n]*)", text, re.MULTILINE)
    made = re.findall(r"make ([a-z-]+[^`\n]* ARGS='[^']*')", text)
    found += [line for line in made if line.split()[0] not in ("test", "test-all", "bench")]
    return [re.sub(r"\w+=('|\")?", "", line).replace("'", " ").split() for line in found]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_verb_and_flag_of_a_command_line_exists(page: Path) -> None:
    collection = tasks()
    wrong = []
    for verb, *words in command_lines(page):
        if verb not in collection.task_names:
            wrong.append(verb)
        else:
            known = {f"--{argument.name.replace('_', '-')}" for argument in collection[verb].get_arguments()}
            flags = [word.rstrip(".,;:)") for word in words if word.startswith("--")]
            wrong += [f"{verb} {flag}" for flag in flags if flag not in known]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(path.name for path in (REPOSITORY / "examples").iterdir()))
def test_readme_of_an_example_names_source_licence_citation_and_where_its_output_is_from(name: str) -> None:
    text = (REPOSITORY / "examples" / name / "README.md").read_text(encoding="utf-8")
    assert f"make verify MODEL={name}" in text
    assert "The expected output is" in text
    rows = re.findall(r"^\| (archetype|model|published) \| (.+) \|$", text, re.MULTILINE)
    assert [kind for kind, _ in rows] == ["archetype", "model", "published"]
    assert f'ARCHETYPE = "{rows[0][1].strip("`")}"' in (REPOSITORY / "examples" / name / "model_spec.py").read_text()
    assert re.search(r"Apache-2\.0|BSD-3-Clause|MIT|CC BY 4\.0", text)
    assert re.search(r"https://(doi\.org|arxiv\.org|github\.com)/", text)


def test_workflow_runs_what_must_hold_before_a_change_lands() -> None:
    (job,) = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_page_that_says_what_is_needed_names_the_oldest_python(page: str) -> None:
    oldest = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert f"Python {oldest} or newer" in (REPOSITORY / page).read_text(encoding="utf-8")


def test_citation_has_the_version_the_title_and_the_licence_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["title"] == project["name"]
    assert str(citation["version"]) == project["version"]
    assert f"{citation['abstract']}" == project["description"]
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in (REPOSITORY / "LICENSE").read_text()


def test_hooks_run_what_make_lint_runs() -> None:
    (group,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].removeprefix(".venv/bin/python -m ") for hook in group["hooks"]]
    lint = (REPOSITORY / "Makefile").read_text().partition("\nlint: ")[2].partition("\n\n")[0]
    checks = re.findall(r"\$\(RUN\) (.+?)(?: \.)?$", lint, re.MULTILINE)
    assert len(checks) == 3
    assert set(checks) <= set(entries)
    named = [word for entry in entries for word in entry.split() if word.startswith("tests/")]
    assert named
    assert all((REPOSITORY / name).is_file() for name in named)
