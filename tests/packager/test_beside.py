"""What a reader finds beside the example's file travels where it is declared, and is missed by name where it is not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.archetypes.conftest import Model

from .conftest import BODIES, FLAGS, Author

# Readers as the field has them: one gives zeros where the other file is missing, as of an image of several files; one
# raises and names the file that is there, as of a header; one opens the other file in C.
HEAD = "import os, sqlite3\n        more = uri[:-3] + 'idx'\n        "
TIMES = "return np.loadtxt(uri, ndmin=2) * "
READERS = {
    "zeros": f"{HEAD}{TIMES}(np.loadtxt(more) if os.path.exists(more) else 0)",
    "raises": f"{HEAD}if not os.path.exists(more): raise OSError('truncated file')\n        {TIMES}np.loadtxt(more)",
    "in C": f"{HEAD}n = 0\n        "
    "if os.path.exists(more): (n,) = sqlite3.connect(more).execute('select n from numbers').fetchone()\n        "
    f"{TIMES}n",
}


def make(author: Author, reader: str, *names: str, times: int = 2) -> None:
    """Let a model read x.idx beside each x.txt: how often its numbers count. The example is of these files."""
    author.replace(BODIES["_get_input"], READERS[reader])
    for name in names:
        path = author.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1 2 3\n4 5 6\n")
        index = path.with_suffix(".idx")
        if reader == "in C":
            with closing(sqlite3.connect(index)) as store:
                store.execute(f"create table numbers as select {times} as n")
                store.commit()
        else:
            index.write_text(f"{times}\n")
    author.declare(f"import pandas\nINPUT_EXAMPLE = pandas.DataFrame({{'input_uri': {list(names)!r}}})")
    author.declare('ARTIFACTS = {"checkpoint": "model_data/tf_tiny"}')


def answer(author: Author) -> list[float]:
    payload = json.loads((author.model / "serving_input_example.json").read_text())
    return [row[0] for row in Model(author, author.root.parent).predictions(payload)]


def example(author: Author) -> list[str]:
    stored = json.loads((author.model / "serving_input_example.json").read_text())
    return [uri for (uri,) in stored["dataframe_split"]["data"]]


def travelled(author: Author) -> set[str]:
    return {name.removeprefix("artifacts/") for name in author.files() if name.startswith("artifacts/")}


@pytest.mark.parametrize("reader", READERS)
def test_file_beside_the_example_is_named_when_only_the_author_has_it(author: Author, reader: str) -> None:
    make(author, reader, "model_data/scan/x.txt")
    done = author.package()
    assert done.returncode == 1
    assert 'EXAMPLE_FILES = ["model_data/scan/x.idx"]' in done.stderr
    if reader == "raises":
        assert "OSError: truncated file" in done.stderr
    else:
        assert "INPUT_EXAMPLE: it gives another answer from its copy in the model" in done.stderr
        assert "[0, 0]: in the model 0.0, where you have it 6.0" in done.stderr
    assert not author.model.exists()


def test_file_beside_the_example_is_named_when_it_is_hidden_or_a_link_to_elsewhere(
    author: Author, tmp_path: Path
) -> None:
    make(author, "zeros", "model_data/x.txt")
    index = author.root / "model_data" / "x.idx"
    index.symlink_to(index.rename(tmp_path / "far.idx"))
    done = author.package()
    assert done.returncode == 1
    assert 'EXAMPLE_FILES = ["model_data/x.idx"]' in done.stderr
    index.rename(index.with_name(".x.idx"))
    author.replace("more = uri[:-3] + 'idx'", "more = os.path.dirname(uri) + '/.x.idx'")
    done = author.package()
    assert done.returncode == 1
    assert 'EXAMPLE_FILES = ["model_data/.x.idx"]' in done.stderr
    author.declare('EXAMPLE_FILES = ["model_data/.x.idx"]')
    assert author.package().returncode == 0
    assert answer(author) == [6.0, 15.0]


@pytest.mark.parametrize("reader", READERS)
def test_file_beside_the_example_travels_when_a_pattern_names_it(author: Author, reader: str) -> None:
    make(author, reader, "model_data/scan #1/x.txt")
    (author.root / "model_data/scan #1/other.bin").write_text("large")
    author.declare('EXAMPLE_FILES = ["model_data/scan #1/*.idx"]')
    assert author.package().returncode == 0
    assert answer(author) == [6.0, 15.0]
    assert example(author) == ["artifact://input_example/x.txt"]
    assert travelled(author) == {"scan _1/x.txt", "scan _1/x.idx", "tf_tiny/scale.txt"}


def test_copy_alone_gives_the_example_its_answer_when_the_author_is_gone(author: Author, tmp_path: Path) -> None:
    make(author, "zeros", "model_data/a/x.txt", "model_data/b/y.txt")
    author.declare('EXAMPLE_FILES = ["model_data/a/x.idx", "model_data/b"]')
    assert author.package().returncode == 0
    assert example(author) == ["artifact://input_example/a/x.txt", "artifact://input_example/b/y.txt"]
    payload = json.loads((author.model / "serving_input_example.json").read_text())
    shutil.rmtree(author.root / "model_data")
    expected = [[number] * 4 for number in (6.0, 15.0) * 2]
    assert Model(author, tmp_path).predictions(payload) == expected


def test_directory_of_an_artifact_serves_when_the_example_lies_in_it(author: Author) -> None:
    make(author, "zeros", "model_data/tf_tiny/x.txt")
    author.declare('EXAMPLE_FILES = ["model_data/tf_tiny/*.idx"]')
    assert author.package().returncode == 0
    assert example(author) == ["artifact://checkpoint/x.txt"]
    assert answer(author) == [6.0, 15.0]


def test_flags_name_the_example_and_what_lies_beside_it(author: Author, tmp_path: Path) -> None:
    make(author, "zeros", "model_data/x.txt")
    shutil.copytree(author.root / "model_data", tmp_path / "mine")
    (tmp_path / "mine" / "x.idx").write_text("3")
    words = ("--example-uri", str(tmp_path / "mine" / "x.txt"))
    done = author.package(*words)
    assert done.returncode == 1
    assert "mine/x.idx" in done.stderr
    assert author.package(*words, "--example-file", str(tmp_path / "mine" / "*.idx")).returncode == 0
    assert answer(author) == [9.0, 22.5]


def test_rest_of_the_weights_is_named_when_an_artifact_is_one_file_of_them(author: Author) -> None:
    body = "path = context.artifacts['checkpoint']; self.scale = float(open(path.replace('.json', '.data')).read())"
    author.replace(BODIES["load_context"], body)
    weights = author.root / "model_data" / "weights"
    weights.mkdir()
    for name in ("w.json", "w.data"):
        (weights / name).write_text("2")
    done = author.package("--checkpoint", "model_data/weights/w.json", *FLAGS[2:])
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr
    assert '"model_data/weights/w.data"' in done.stderr
    assert "what belongs to the weights, ARTIFACTS, in one directory" in done.stderr


def test_file_that_changes_nothing_is_noted_when_it_stays_behind(author: Author) -> None:
    make(author, "zeros", "model_data/x.txt", times=0)
    done = author.package()
    assert done.returncode == 0
    assert "note: the model also opened what does not travel, to the same effect: model_data/x.idx" in done.stderr


def test_author_is_not_asked_at_home_when_everything_travels(author: Author) -> None:
    author.replace(BODIES["_forward"], f"print('predicted'); {BODIES['_forward']}")
    (author.root / "model_data" / ".downloads").mkdir()
    (author.root / "model_data" / ".downloads" / "record.json").touch()  # the tool's own
    assert author.package(*FLAGS).stderr.count("predicted") == 2
    (author.root / "model_data" / "left.txt").touch()
    assert author.package(*FLAGS).stderr.count("predicted") == 3


def test_index_that_the_model_makes_where_it_lacks_is_told_to_travel(author: Author) -> None:
    make(author, "zeros", "model_data/x.txt")
    made = "if not os.path.exists(more): open(more, 'w').write('2')\n        "
    author.replace(READERS["zeros"], READERS["zeros"].replace(TIMES, f"{made}{TIMES}"))
    done = author.package()
    assert done.returncode == 1
    assert "note: the model also opened what does not travel, to the same effect: model_data/x.idx" in done.stderr
    assert "wrote to files that a model may only read: got mlflow_model_artifacts/artifacts/x.idx. " in done.stderr
    assert "make indexes and caches before packaging (EXAMPLE_FILES lets them travel)" in done.stderr
    author.declare('EXAMPLE_FILES = ["model_data/x.idx"]')
    assert author.package().returncode == 0


FAULTS = {
    "nothing": ('["model_data/*.bai"]', "EXAMPLE_FILES: no such file or directory: model_data/*.bai"),
    "a place outside": ('["../*.bai"]', "EXAMPLE_FILES: expected paths or patterns inside model_data/, got '../*.bai'"),
    "a number": ("[1]", "EXAMPLE_FILES: expected paths or patterns inside model_data/, got 1"),
    "a text": ('"model_data/tiny.txt"', "EXAMPLE_FILES: expected a list, got a str"),
}


@pytest.mark.parametrize(("declared", "words"), FAULTS.values(), ids=FAULTS)
def test_packager_refuses_what_lies_beside_when_it_names(author: Author, declared: str, words: str) -> None:
    make(author, "zeros", "model_data/x.txt")
    author.declare(f"EXAMPLE_FILES = {declared}")
    done = author.package()
    assert done.returncode == 2
    assert words in done.stderr
