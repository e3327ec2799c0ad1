"""The packager: what it makes, from what, and what it refuses; a good model stands until a better one is proven."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from model_side.flags import DTYPES, PARAM_TYPES

from .conftest import BODIES, FLAGS, Author

TREE = {
    "MLmodel",
    "artifacts/tf_tiny/scale.txt",
    "artifacts/tiny.txt",
    "code/model_code/__init__.py",
    "code/model_code/tiny_mlflow_model.py",
    "conda.yaml",
    "golden_output.npz",
    "package_manifest.json",
    "input_example.json",
    "python_env.yaml",
    "python_model.pkl",
    "requirements.txt",
    "serving_input_example.json",
}


def mlmodel(author: Author) -> dict[str, object]:
    return yaml.safe_load((author.model / "MLmodel").read_text())


def test_packager_makes_the_tree_when_flags_say_everything(good_model: Author) -> None:
    assert set(good_model.files()) == TREE
    outputs = json.loads(mlmodel(good_model)["signature"]["outputs"])
    assert outputs == [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]
    with np.load(good_model.model / "golden_output.npz") as golden:
        assert golden["output"].tolist() == [[3.0] * 4, [7.5] * 4]
        assert golden["output"].dtype == "float32"
    example = json.loads((good_model.model / "serving_input_example.json").read_text())
    assert example["dataframe_split"]["data"] == [["artifact://input_example"]]


def test_no_path_of_the_author_travels_when_packaged(good_model: Author) -> None:
    for name, content in good_model.files().items():
        assert str(good_model.root).encode() not in content, name
        assert str(good_model.root.parent).encode() not in content, name


def test_two_models_are_the_same_to_the_byte_when_made_of_the_same_sources_elsewhere(
    good_model: Author, author: Author
) -> None:
    assert author.package(*FLAGS).returncode == 0
    assert author.files() == good_model.files()


def test_model_has_another_identity_when_a_weight_changes(packaged: Author) -> None:
    before = mlmodel(packaged)
    (packaged.root / "model_data" / "tf_tiny" / "scale.txt").write_text("0.6")
    assert packaged.package(*FLAGS, SOURCE_DATE_EPOCH="86400").returncode == 0
    after = mlmodel(packaged)
    assert after["model_uuid"] != before["model_uuid"]
    assert after["utc_time_created"] == "1970-01-02 00:00:00"


def test_spec_gives_everything_and_a_flag_overrides_when_both_are_there(author: Author) -> None:
    spec = author.root / "model_spec.py"
    text = spec.read_text()
    for old, new in (
        ("(-1, -1)", "(-1, 4)"),
        (
            "INPUT_EXAMPLE = None",
            'import pandas\nINPUT_EXAMPLE = pandas.DataFrame({"input_uri": ["model_data/tiny.txt"]})',
        ),
        ("ARTIFACTS = {}", 'ARTIFACTS = {"checkpoint": "model_data/tf_tiny"}'),
        ("TAGS = {}", 'TAGS = {"size": "tiny", "by": "spec"}'),
        ("MODEL_CONFIG = {}", 'MODEL_CONFIG = {"depth": 1}'),
    ):
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text)
    assert author.package().returncode == 0
    assert mlmodel(author)["metadata"]["tags"] == {"size": "tiny", "by": "spec"}
    assert mlmodel(author)["flavors"]["python_function"]["config"] == {"depth": 1}
    flags = ("--model-tag", "by=flag", "--model-config-json", '{"depth": 2}', "--out-dir", "other")
    assert author.package(*flags, "--extra-params-spec-json", '{"batch_size": "integer"}').returncode == 0
    other = yaml.safe_load((author.root / "other" / "MLmodel").read_text())
    assert other["metadata"]["tags"] == {"size": "tiny", "by": "flag"}
    assert other["flavors"]["python_function"]["config"] == {"depth": 2}
    assert json.loads(other["signature"]["params"])[0] == {
        "name": "batch_size",
        "type": "integer",
        "default": None,
        "shape": None,
    }
    assert mlmodel(author)["flavors"]["python_function"]["config"] == {"depth": 1}


def append_spec(text: str) -> Callable[[Author], None]:
    def change(author: Author) -> None:
        with (author.root / "model_spec.py").open("a") as stream:
            stream.write(text + "\n")

    return change


def with_body(name: str, body: str) -> Callable[[Author], None]:
    def change(author: Author) -> None:
        text = author.code.read_text()
        assert BODIES[name] in text
        author.code.write_text(text.replace(BODIES[name], body))

    return change


def replace_flag(old: str, new: str) -> tuple[str, ...]:
    return tuple(new if flag == old else flag for flag in FLAGS)


FORWARD, LOAD = "_forward", "load_context"
ONE = "np.ones((len(input_obj), 4))"
FAULTS: list[tuple[str, Callable[[Author], object], tuple[str, ...], int, list[str]]] = [
    # what is wrong, how, the flags, the exit code, what the message says
    ("no requirements.txt", lambda a: (a.root / "requirements.txt").unlink(), FLAGS, 2,
     ["requirements.txt", "no such file", "uv pip compile"]),
    ("an editable requirement", lambda a: (a.root / "requirements.txt").write_text("-e .\n"), FLAGS, 2,
     ["requirements.txt", "-e ."]),
    ("no model_spec.py", lambda a: (a.root / "model_spec.py").unlink(), FLAGS, 2, ["model_spec.py", "no such file"]),
    ("a spec that raises", append_spec("1 / 0"), FLAGS, 1, ["model_spec.py", "ZeroDivisionError", "1 / 0"]),
    ("a misspelt entry", append_spec("ARTEFACTS = {}"), FLAGS, 2, ["ARTEFACTS", "did you mean ARTIFACTS"]),
    ("an entry of another type", append_spec("TAGS = 3"), FLAGS, 2, ["TAGS: expected a dict, got a int"]),
    ("two faults at once", append_spec("TAGS = 3\nALLOW_NAN = 'no'"), FLAGS, 2, ["TAGS", "ALLOW_NAN"]),
    ("an artifact outside model_data", append_spec('ARTIFACTS = {"w": "/mnt/w.pt"}'), FLAGS, 2,
     ['ARTIFACTS["w"]', "expected a path inside model_data/", "/mnt/w.pt"]),
    ("no signature", append_spec("del MODEL_SIGNATURE"), FLAGS, 2, ["MODEL_SIGNATURE: not given"]),
    ("no example", lambda a: None, (*FLAGS[:2], *FLAGS[4:]), 2, ["INPUT_EXAMPLE: not given", "--example-uri"]),
    ("a missing checkpoint", lambda a: None, replace_flag("model_data/tf_tiny", "model_data/tf_tny"), 2,
     ["--checkpoint", "model_data/tf_tny"]),
    ("a missing example", lambda a: None, replace_flag("model_data/tiny.txt", "tiny.txt"), 2,
     ["--example-uri", "tiny.txt"]),
    ("no such module", lambda a: None, (*FLAGS, "--model-class", "model_code.tinny:M"), 2,
     ["--model-class", "model_code.tinny"]),
    ("no such class", lambda a: None, (*FLAGS, "--model-class", "model_code.tiny_mlflow_model:TinyMLflowModl"), 2,
     ["no such class", "TinyMLflowModel"]),
    ("a class that is no model", lambda a: None, (*FLAGS, "--model-class", "model_code.tiny_mlflow_model:Path"), 2,
     ["expected a subclass of mlflow.pyfunc.PythonModel", "the class Path"]),
    ("no colon", lambda a: None, (*FLAGS, "--model-class", "model_code"), 2, ["--model-class", "module:Class"]),
    ("another name for context", lambda a: a.code.write_text(a.code.read_text().replace(
        "load_context(self, context)", "load_context(self, c)").replace("context.artifacts", "c.artifacts", 1)),
     FLAGS, 2, ["load_context(self, context)", "load_context(self, c)", "model_code/tiny_mlflow_model.py:"]),
    ("a missing dependency", lambda a: a.code.write_text("import no_such_thing\n" + a.code.read_text().replace(
        "from __future__ import annotations\n", "")), FLAGS, 1, ["no_such_thing", "requirements.in"]),
    ("a forward pass that raises", with_body(FORWARD, "return self.no_such_weight"), FLAGS, 1,
     ["AttributeError", "no_such_weight", "model_code/tiny_mlflow_model.py", "return self.no_such_weight"]),
    ("a load_context that raises", with_body(LOAD, 'raise RuntimeError("bad weights")'), FLAGS, 1,
     ["RuntimeError: bad weights", 'raise RuntimeError("bad weights")']),
    ("a float64 for a float32", with_body(FORWARD, f"return {ONE}"), FLAGS, 1, ["float32", "float64"]),
    ("another width", with_body(FORWARD, 'return np.ones((2, 5), "float32")'), FLAGS, 1, ["4", "5"]),
    ("a NaN", with_body(FORWARD, f'return ({ONE} * np.nan).astype("float32")'), FLAGS, 1, ["NaN"]),
    ("random output", with_body(FORWARD, f'return (np.random.rand() * {ONE}).astype("float32")'), FLAGS, 1,
     ["two predictions of one input differ"]),
    ("an os._exit", with_body(FORWARD, "import os; os._exit(0)"), FLAGS, 1, ["forward pass", "exit code 0"]),
    ("a sys.exit", with_body(FORWARD, "raise SystemExit(0)"), FLAGS, 1, ["forward pass", "SystemExit"]),
    ("a pass that hangs", with_body(FORWARD, "import threading; threading.Event().wait()"),
     (*FLAGS, "--time-limit", "3"), 1, ["longer than 3 s", "--time-limit"]),
    ("a check that raises", append_spec("def CHECKS(example, params, output):\n    assert output.sum() == 1, 'sum'"),
     FLAGS, 1, ["CHECKS", "AssertionError", "sum"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "flags", "code", "words"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_packager_refuses_and_the_last_good_model_stands_when_there_is(
    packaged: Author, change: Callable[[Author], object], flags: tuple[str, ...], code: int, words: list[str]
) -> None:
    before = packaged.files()
    change(packaged)
    done = packaged.package(*flags)
    assert done.returncode == code
    assert all(word in done.stderr for word in words), [word for word in words if word not in done.stderr]
    assert "model_side" not in done.stderr
    assert packaged.files() == before
    assert not list(packaged.root.glob(".mlflow_model_artifacts*"))


def test_packager_says_which_methods_are_unwritten_and_where_when_new(scaffolded: Author) -> None:
    done = scaffolded.package(*FLAGS)
    assert done.returncode == 2
    for name in BODIES:
        assert f"{name} (model_code/tiny_mlflow_model.py:" in done.stderr


BAD_FLAGS = [
    (["--output-shape", "[-1,"], ["--output-shape", "not JSON", "line 1, column 5"]),
    (["--output-shape", '{"a":1}'], ["--output-shape", "a JSON list of lengths"]),
    (["--model-config-json", "{'a':1}"], ["--model-config-json", "not JSON", "line 1, column 2"]),
    (["--extra-params-spec-json", "[1]"], ["--extra-params-spec-json", "a JSON object"]),
    (["--extra-params-spec-json", '{"n":"integr"}'], ['"n"', "Did you mean integer?", *PARAM_TYPES]),
    (["--output-dtype", "flaot32"], ["--output-dtype", "Did you mean float32?", *DTYPES]),
    (["--model-tag", "x"], ["--model-tag", "NAME=VALUE"]),
    (["--artifact", "w=a", "--artifact", "w=b"], ["--artifact", "'w' is given twice"]),
    (["--output-shape", "x", "--output-dtype", "y"], ["--output-shape", "--output-dtype"]),
    (["--no-such-flag"], ["--no-such-flag"]),
]


@pytest.mark.parametrize(("flags", "words"), BAD_FLAGS)
def test_packager_names_the_flag_and_the_place_when_it_is_malformed(
    scaffolded: Author, flags: list[str], words: list[str]
) -> None:
    done = scaffolded.package(*flags)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), [word for word in words if word not in done.stderr]
    assert "Traceback" not in done.stderr
    assert not scaffolded.model.exists()


def test_directory_is_kept_when_it_holds_something_else(author: Author) -> None:
    author.model.mkdir()
    (author.model / "thesis.tex").write_text("years of work")
    assert author.package(*FLAGS).returncode == 2
    assert (author.model / "thesis.tex").read_text() == "years of work"


def test_junk_and_hidden_files_stay_behind_when_code_travels(author: Author) -> None:
    for name in (".env", "tiny.py~", "__pycache__/x.pyc", ".git/config"):
        path: Path = author.root / "model_code" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")
    assert author.package(*FLAGS).returncode == 0
    assert set(author.files()) == TREE
