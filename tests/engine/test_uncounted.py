"""What does not count as content: leavings among code, by the names that the docs give. Everything else counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.show import as_text, explain
from engine import Step, build, status
from engine.walk import Pipeline

DOCS = Path(__file__).parents[2] / "docs" / "engine.md"
NAMES = ("4913", "weights~", "#x#", ".#x", "module.pyc", "x.pyo", ".DS_Store", "Thumbs.db", ".x.swp", ".nfs01",
         "__pycache__/x", ".ipynb_checkpoints/x")  # fmt: skip
STEP = [Step("s", "echo > out; mkdir -p made; cp -R src/. made", ["src"], ["out", "made"])]


def put(path: Path, text: str = "1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def reasons(root: Path) -> list[str]:
    return [str(reason) for reason in status(STEP, root=root).outcomes[0].reasons]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("top", ["src", "made"])
def test_file_of_that_name_counts_among_data_and_not_among_code(tmp_path: Path, name: str, top: str) -> None:
    put(tmp_path / "src" / "data" / "weights.bin")
    put(tmp_path / "src" / "code" / "model.py")
    assert build(STEP, root=tmp_path).ok
    put(tmp_path / top / "code" / name)
    assert reasons(tmp_path) == []
    put(tmp_path / top / "data" / name)
    assert any(f"{top}/data/{name.split('/')[0]}" in reason for reason in reasons(tmp_path))


@pytest.mark.parametrize("name", ["weights~", "4913", "#x#", "a.pyc"])
def test_edit_of_such_a_file_among_data_makes_the_step_stale(tmp_path: Path, name: str) -> None:
    put(tmp_path / "src" / name)
    assert build(STEP, root=tmp_path).ok
    put(tmp_path / "src" / name, "2")
    assert f"src/{name} changed" in reasons(tmp_path)
    assert build(STEP, root=tmp_path).ok
    assert (tmp_path / "made" / name).read_text() == "2"


@pytest.mark.parametrize(
    ("there", "changed"),
    [
        (["pyvenv.cfg"], "weights.bin"),
        (["pyvenv.cfg", "lib/notes.txt"], "lib/notes.txt"),
        (["pyvenv.cfg", "lib/python3.11/site-packages/numpy/__init__.py", "bin/python"], "weights.bin"),
        (["pyvenv.cfg", "lib/python3.11/site-packages/numpy/__init__.py", "bin/python"], "data/deep/weights.bin"),
    ],
    ids=["a file of that name", "a lib of its own", "beside an environment", "deep beside an environment"],
)
def test_file_counts_beside_what_looks_like_an_environment(tmp_path: Path, there: list[str], changed: str) -> None:
    for name in (*there, changed):
        put(tmp_path / "src" / name)
    assert build(STEP, root=tmp_path).ok
    assert build(STEP, root=tmp_path).up_to_date
    put(tmp_path / "src" / changed, "2")
    assert f"src/{changed} changed" in reasons(tmp_path)


def test_explain_says_what_does_not_count(tmp_path: Path) -> None:
    put(tmp_path / "src" / "model.py")
    assert "not counted" not in as_text(explain(Pipeline(tmp_path, tuple(STEP)), "s"))
    put(tmp_path / "src" / "__pycache__" / "model.pyc")
    put(tmp_path / "src" / "model.py~")
    text = as_text(explain(Pipeline(tmp_path, tuple(STEP)), "s"))
    assert text.splitlines()[-1] == "  not counted   src/__pycache__, src/model.py~"


@pytest.mark.parametrize(
    "name", ["__pycache__", "*.pyc", "*~", "#*#", ".#*", "4913", ".DS_Store", "Thumbs.db", ".nfs*"]
)
def test_docs_name_what_does_not_count(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text()
