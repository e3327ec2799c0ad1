"""What an author still has to write is told from the text of the files alone, before any slow step."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_side.package.unfinished import unfinished

from .conftest import BODIES, Author

EXAMPLE = "\nINPUT_EXAMPLE = 1\n"


def written(author: Author, name: str, text: str) -> list[str]:
    (author.root / name).write_text(text)
    return unfinished(author.root)


def test_new_package_lacks_its_three_methods_and_its_example(scaffolded: Author) -> None:
    lines = unfinished(scaffolded.root)
    *methods, example = [line.partition(": ") for line in lines]
    assert [said for _, _, said in methods] == [f"{name} is still to be written" for name in BODIES]
    assert example[2] == "INPUT_EXAMPLE is not given"
    for place, _, said in (*methods, example):
        name, number = place.split(":")
        assert said.split()[0] in (scaffolded.root / name).read_text().splitlines()[int(number) - 1]


def test_nothing_is_missing_when_methods_and_example_are_there(author: Author) -> None:
    author.declare(EXAMPLE)
    assert unfinished(author.root) == []


def test_place_that_mlflow_cannot_load_from_is_told_before_anything_is_built(author: Author, tmp_path: Path) -> None:
    author.declare(EXAMPLE)
    place = author.root.rename(tmp_path / "50%25")
    told = "MLflow loads no model from this path: rename it, without a % before two digits"
    assert unfinished(place) == [f"{place}: {told}"]
    assert unfinished(place, tmp_path / "50%") == []
    assert unfinished(place.rename(tmp_path / "50% #1")) == []


GIVEN = """\
INPUT_EXAMPLE = f(None)
INPUT_EXAMPLE: object = 1
INPUT_EXAMPLE = None; INPUT_EXAMPLE = 1
INPUT_EXAMPLE, A = None, 1
if A: INPUT_EXAMPLE = 1
(INPUT_EXAMPLE := 1)
for INPUT_EXAMPLE in A: ...
from mine import *
from mine import INPUT_EXAMPLE
import mine as INPUT_EXAMPLE
def INPUT_EXAMPLE(): ...
globals()['INPUT' + '_EXAMPLE'] = 1
INPUT_EXAMPLE = None; setattr(this, 'INPUT_EXAMPLE', 1)
""".splitlines()
MISSING = {"A = 1": 1, "A = 1\nINPUT_EXAMPLE = None": 2}


@pytest.mark.parametrize(("text", "line"), [*dict.fromkeys(GIVEN).items(), *MISSING.items()])
def test_example_is_missing_only_where_the_text_tells(author: Author, text: str, line: int | None) -> None:
    lines = [f"model_spec.py:{line}: INPUT_EXAMPLE is not given"] if line else []
    assert written(author, "model_spec.py", text) == lines


@pytest.mark.parametrize("name", ["model_spec.py", "model_code/tiny_mlflow_model.py"])
@pytest.mark.parametrize("text", ["A = 1\nB = (", "A = 1\ndef f(:"])
def test_syntax_error_is_told_with_its_line(author: Author, name: str, text: str) -> None:
    (author.root / "model_spec.py").write_text(f"MODEL_CLASS = 'model_code.tiny_mlflow_model:M'{EXAMPLE}")
    (line,) = written(author, name, text)
    assert line.startswith(f"{name}:2: not valid Python: ")


RAISE = "def _forward(self): raise NotImplementedError"
DOCUMENTED = "def _forward(self):\n        ''\n        raise NotImplementedError()"
CLASSES = {
    "a docstring beside it": (f"class M:\n    {DOCUMENTED}\n", 1),
    "an async method": (f"class M:\n    async {RAISE}\n", 1),
    "a base whose method is overridden": (f"class B:\n    {RAISE}\nclass M(B):\n    def _forward(self): return 1\n", 0),
    "a method that is patched": (f"class M:\n    {RAISE}\nM._forward = len\n", 0),
    "a method that is decorated": (f"class M:\n    @mine\n    {RAISE}\n", 0),
    "a second definition": (f"class M:\n    {RAISE}\n    if True:\n        def _forward(self): ...\n", 0),
    "more than the raise": (f"class M:\n    {DOCUMENTED.replace('raise', 'print(); raise')}\n", 0),
    "another error": ("class M:\n    def _forward(self): raise ValueError\n", 0),
    "another class": (f"class N:\n    {RAISE}\n", 0),
}


@pytest.mark.parametrize(("text", "count"), CLASSES.values(), ids=CLASSES)
def test_method_is_unwritten_only_where_the_class_has_no_other(scaffolded: Author, text: str, count: int) -> None:
    (scaffolded.root / "model_spec.py").write_text(f"MODEL_CLASS = 'model_code.other:M'{EXAMPLE}")
    assert len(written(scaffolded, "model_code/other.py", text)) == count


@pytest.mark.parametrize(
    "spec", ["MODEL_CLASS = f()", "MODEL_CLASS = 'nowhere:M'", "MODEL_CLASS = '..:M'", "MODEL_CLASS = 'é'"]
)
def test_methods_count_as_written_when_the_class_is_not_told(scaffolded: Author, spec: str) -> None:
    assert written(scaffolded, "model_spec.py", f"{spec}{EXAMPLE}") == []


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
ARTIFACTS = "ARTIFACTS = {'w': 'model_data/w.pickle', 'dir': 'model_data/tf_tiny'}"


@pytest.mark.parametrize("name", ["w.pickle", "tf_tiny/deep/w"])
def test_artifact_that_is_a_pointer_is_told_before_anything_is_built(author: Author, name: str) -> None:
    for path in ("w.pickle", "tf_tiny/deep/w"):
        (author.root / "model_data" / path).parent.mkdir(exist_ok=True)
        (author.root / "model_data" / path).write_text("weights")
    author.declare(f"{EXAMPLE}\n{ARTIFACTS}")
    assert unfinished(author.root) == []
    (author.root / "model_data" / name).write_text(POINTER)
    (line,) = unfinished(author.root)
    assert line.endswith(f"{name}: a Git LFS pointer, not the file: run `git lfs pull` there")
    top = name.split("/")[0]
    (author.root / "model_data.toml").write_text(f'[[source]]\nuri = "https://host/w"\npath = "{top}"\n')
    assert unfinished(author.root) == []  # a download brings it


@pytest.mark.parametrize("path", ["'model_data/none'", "'../w'", "str(w)", "'w.pickle'"])
def test_artifact_that_is_not_there_or_not_in_the_text_is_left_to_the_packager(author: Author, path: str) -> None:
    author.declare(f"{EXAMPLE}\nARTIFACTS = {{'w': {path}}}")
    assert unfinished(author.root) == []


def test_nothing_is_told_when_there_are_no_files(tmp_path: Path) -> None:
    assert unfinished(tmp_path) == []
