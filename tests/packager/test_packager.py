"""The packager: what it makes, from what, and what it refuses; a good model stands until a better one is proven."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_side.model.signature import PARAM_DATE, Array, Param, Scalar, Type
from model_side.package.flags import SERIALIZATIONS
from model_side.verify.params import other_values
from tests import warm_python

from .conftest import BODIES, FLAGS, Author

TREE = {
    *("MLmodel", "package_manifest.json", "conda.yaml", "python_env.yaml", "requirements.txt"),
    *("python_model.pkl", "code/model_code/__init__.py", "code/model_code/tiny_mlflow_model.py"),
    "code/model_code_….py",
    *("artifacts/tf_tiny/scale.txt", "artifacts/tiny.txt"),
    *("input_example.json", "serving_input_example.json", "golden_output.json"),
}


def tree(author: Author) -> set[str]:
    """Return the names of the MLflow Model's files, without what the code's content decides in them."""
    return {re.sub(r"(?<=^code/model_code_)[0-9a-f]{12}(?=\.py$)", "…", name) for name in author.files()}


def mlmodel(author: Author) -> dict[str, object]:
    return yaml.safe_load((author.model / "MLmodel").read_text())


CONTAINERS = (b"PK", b"\x93NUMPY", b"\x80", b"\x89HDF")  # zip, npy, pickle, HDF5


def test_scanners_take_nothing_but_the_pickled_model_for_a_pickle(good_model: Author) -> None:
    suspects = [name for name, content in good_model.files().items() if content.startswith(CONTAINERS)]
    assert suspects == ["python_model.pkl"]
    assert not [name for name in good_model.files() if name.endswith((".npy", ".npz", ".zip", ".bin", ".pt", ".dat"))]


def test_packager_makes_the_tree_when_flags_say_everything(good_model: Author) -> None:
    assert tree(good_model) == TREE
    outputs = json.loads(mlmodel(good_model)["signature"]["outputs"])
    assert outputs == [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]
    assert good_model.golden() == [[3.0] * 4, [7.5] * 4]
    assert good_model.files()["requirements.txt"] == b"mlflow==3.1.0\nnumpy==2.3.0\n"
    example = json.loads((good_model.model / "serving_input_example.json").read_text())
    assert example["dataframe_split"]["data"] == [["artifact://input_example"]]


# As the template wrote it before it had base classes: predict is in the author's own file.
OWN_PREDICT = """import mlflow.pyfunc
import numpy as np


class TinyMLflowModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        {load_context}

    def predict(self, context, model_input, params=None):
        example = context.artifacts["input_example"]
        return np.concatenate([self._forward(np.loadtxt(example, ndmin=2)) for uri in model_input["input_uri"]])

    def _forward(self, input_obj):
        {_forward}
"""


@pytest.mark.parametrize("serialization", SERIALIZATIONS)
def test_older_package_whose_class_has_its_own_predict_is_packaged(
    scaffolded: Author, good_model: Author, serialization: str
) -> None:
    scaffolded.code.write_text(OWN_PREDICT.format(**BODIES))
    scaffolded.code.with_name("__init__.py").write_text('"""The model\'s own code."""\n')
    assert scaffolded.package(*FLAGS, "--serialization", serialization).returncode == 0
    assert scaffolded.files()["golden_output.json"] == good_model.files()["golden_output.json"]


def test_message_keeps_the_path_that_was_looked_for_when_frames_name_the_authors_file(author: Author) -> None:
    author.replace(BODIES["load_context"], 'open(__file__ + ".txt")')
    done = author.package(*FLAGS)
    assert f'File "{author.code}"' in done.stderr
    assert f"{author.code}.txt" not in done.stderr
    assert done.stderr.count("/code/model_code/tiny_mlflow_model.py.txt") == 2


def test_two_predictions_of_one_input_may_differ_by_the_models_own_tolerance(author: Author) -> None:
    author.replace("self.scale =", "self.calls = iter(range(9)); self.scale =")
    author.replace("* self.scale", "* (1 + 1e-4 * next(self.calls)) * self.scale")
    refused = author.package(*FLAGS)
    assert refused.returncode == 1
    assert "two predictions of one input differ" in refused.stderr
    assert "\nA new process gives the first answer again" in refused.stderr  # earlier calls count, not random numbers
    assert "TOLERANCE" in refused.stderr
    author.declare('TOLERANCE = {"rtol": 1e-3}')
    assert author.package(*FLAGS).returncode == 0


def test_no_path_of_the_author_travels_when_packaged(good_model: Author) -> None:
    for name, content in good_model.files().items():
        assert str(good_model.root).encode() not in content, name
        assert str(good_model.root.parent).encode() not in content, name


def test_model_has_another_identity_when_a_weight_changes(packaged: Author) -> None:
    before = mlmodel(packaged)
    (packaged.root / "model_data" / "tf_tiny" / "scale.txt").write_text("0.6")
    assert packaged.package(*FLAGS, SOURCE_DATE_EPOCH="86400").returncode == 0
    after = mlmodel(packaged)
    assert after["model_uuid"] != before["model_uuid"]
    assert after["utc_time_created"] == "1970-01-02 00:00:00"


EVERYTHING = """
import pandas
INPUT_EXAMPLE = pandas.DataFrame({"input_uri": ["model_data/tiny.txt"]})
ARTIFACTS = {"checkpoint": "model_data/tf_tiny"}
TAGS = {"size": "tiny", "by": "spec"}
LICENSE, DESCRIPTION = "MIT", "Adds numbers."
MODEL_CONFIG = {"depth": 1}
"""


def test_spec_gives_everything_and_a_flag_overrides_when_both_are_there(author: Author) -> None:
    spec = author.root / "model_spec.py"
    spec.write_text(spec.read_text().replace("(-1, -1)", "(-1, 4)") + EVERYTHING)
    assert author.package().returncode == 0
    assert mlmodel(author)["metadata"]["tags"] == {"size": "tiny", "by": "spec"}
    assert mlmodel(author)["metadata"]["about"] == {"license": "MIT", "description": "Adds numbers."}
    assert mlmodel(author)["flavors"]["python_function"]["config"] == {"depth": 1}
    flags = ("--model-tag", "by=flag", "--model-config-json", '{"depth": 2}', "--out-dir", "other")
    assert author.package(*flags, "--extra-params-spec-json", '{"batch_size": "integer"}').returncode == 0
    other = yaml.safe_load((author.root / "other" / "MLmodel").read_text())
    assert other["metadata"]["tags"] == {"size": "tiny", "by": "flag"}
    assert other["flavors"]["python_function"]["config"] == {"depth": 2}
    param = {"name": "batch_size", "type": "integer", "default": None, "shape": None}
    assert json.loads(other["signature"]["params"]) == [param]
    assert mlmodel(author)["flavors"]["python_function"]["config"] == {"depth": 1}


PARAMS = """
from mlflow.types import ParamSpec
PARAMS = [ParamSpec("factor", "double", 1.0), ParamSpec("columns", "long", [0, 1], (-1,)), ParamSpec("best", "long", 3)]
PARAMS += [ParamSpec("unit", "string", "count"), ParamSpec("round", "boolean", False)]
PARAMS += [ParamSpec("since", "datetime", "2020-01-01"), ParamSpec("note", "string", None)]
PARAMS += [ParamSpec("batch_size", "integer", 8), ParamSpec("device", "string", "cpu")]
MODEL_SIGNATURE = ModelSignature(MODEL_SIGNATURE.inputs, MODEL_SIGNATURE.outputs, ParamSchema(PARAMS))
INERT_PARAMS = ["batch_size", "device"]
"""
USES = """if params["unit"] not in ("count", "log") or params["device"] != "cpu":
            raise ValueError(params)
        summed = input_obj[:, params["columns"]].sum(axis=1, keepdims=True) * params["factor"] + 0.25
        summed = np.round(summed) if params["round"] else summed
        day = params["since"].year - 2020
        return (np.minimum(summed, params["best"] * 4) * np.ones((1, 4)) + day).astype("float32")"""


OTHERS: list[tuple[Type, Any, Any, list[Any]]] = [
    (Scalar("double"), 3.0, 1.0, [1.0, 7.0, 1.5, -4.0, 3000.0]),
    (Scalar("integer"), 8, 8, [9, 1, 17, 90]),
    (Scalar("integer"), 2**31 - 1, 1, [1]),
    (Scalar("long"), 0, 0, [1, 10]),
    (Scalar("boolean"), False, False, [True]),
    (Scalar("string"), "mean", "max", ["max", "meanx"]),
    (Scalar("string"), "", "", ["x"]),
    (Scalar("string"), "/home/me/results", "", ["", "x"]),
    (PARAM_DATE, "2000-01-01T00:00:00", None, ["2020-06-15T12:00:00"]),
    (Array(Scalar("string")), ["a", "b"], ["a", "b"], [["ax", "b"], []]),
    (Array(Scalar("long")), [], [], [[1], [10]]),
]


@pytest.mark.parametrize(("type_", "given", "default", "others"), OTHERS)
def test_params_are_tried_with_other_values_of_their_type(
    type_: Type, given: Any, default: Any, others: list[Any]
) -> None:
    assert list(map(repr, other_values(given, Param("p", type_, default)))) == list(map(repr, others))


def test_params_that_change_the_answer_or_are_declared_inert_are_taken(author: Author) -> None:
    author.replace(BODIES["_forward"], USES)
    author.declare(PARAMS)
    done = author.package(*FLAGS)
    assert done.returncode == 0
    assert "note: params: note: not tried: INPUT_EXAMPLE gives no value for it" in done.stderr
    assert author.golden() == [[3.25] * 4, [9.25] * 4]
    assert mlmodel(author)["metadata"]["inert_params"] == ["batch_size", "device"]


def test_packager_says_which_methods_are_unwritten_and_where_when_new(scaffolded: Author) -> None:
    done = scaffolded.package(*FLAGS)
    assert done.returncode == 2
    for name in BODIES:
        assert re.search(rf"model_code/tiny_mlflow_model.py:\d+: {name} is still to be written", done.stderr)


def test_directory_is_kept_when_it_holds_something_else(author: Author) -> None:
    author.model.mkdir()
    (author.model / "thesis.tex").write_text("years of work")
    assert author.package(*FLAGS).returncode == 2
    assert (author.model / "thesis.tex").read_text() == "years of work"


def test_junk_and_hidden_files_stay_behind_and_the_hidden_are_named_when_code_travels(author: Author) -> None:
    for name in (".env", "tiny.py~", "__pycache__/x.pyc", ".git/config"):
        path: Path = author.root / "model_code" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")
    done = author.package(*FLAGS)
    assert done.returncode == 0
    assert "note: model_code/.env stays behind" in done.stderr
    assert tree(author) == TREE


def test_model_may_call_its_modules_as_it_likes_and_print_when_packaged(author: Author) -> None:
    (author.root / "model_code" / "json.py").write_text("depth = 2\n")
    (author.root / "model_code" / "numpy.py").write_text("")
    body = "import json, os; from .json import depth; print(json.dumps(depth)); "
    body += "os.system('echo words of a child')\n        "
    author.replace(BODIES["_forward"], body + BODIES["_forward"])
    done = author.package(*FLAGS, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["ok"] is True
    assert "words of a child" in done.stderr


def test_packager_works_when_every_path_has_spaces_and_is_unicode(author: Author, tmp_path: Path) -> None:
    moved = Author(author.root.rename(tmp_path / "ein Päckchen 包 'x'"))
    (moved.root / "model_data" / "tiny.txt").rename(moved.root / "model_data" / "größe 1.txt")
    (moved.root / "model_data" / "tf_tiny").rename(moved.root / "model_data" / "重み 1")
    (moved.root / "model_data" / "重み 1" / "more weights é.bin").write_bytes(b"1")
    flags = ["--checkpoint", "model_data/重み 1", "--example-uri", "model_data/größe 1.txt", "--output-shape", "[-1,4]"]
    moved.model.parent.joinpath("out put").mkdir()
    words = [*flags, "--out-dir", "out put/mödel", "--model-class", "model_code.tiny_mlflow_model:TinyMLflowModel"]
    assert moved.package(*words).returncode == 0
    assert (moved.root / "out put/mödel/artifacts/重み 1/more weights é.bin").is_file()
    assert (moved.root / "out put/mödel/artifacts/größe 1.txt").is_file()


def test_file_beside_the_packager_hides_no_module(author: Author) -> None:
    for name in ("argparse.py", "json.py", "numpy/__init__.py", "yaml.py"):
        (author.root / name).parent.mkdir(exist_ok=True)
        (author.root / name).write_text("raise RuntimeError('not the real one')")
    assert author.package_by_hand(*FLAGS).returncode == 0


# What ends by itself when an interpreter ends: each is kept until then.
ENDING = {
    "a daemon": "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "a pool of threads": "import concurrent.futures as f; f.ThreadPoolExecutor().submit(len, 'x')",
    "a pool of processes": "import concurrent.futures as f; type(self).pool = f.ProcessPoolExecutor(1)\n        "
    "self.pool.submit(len, 'x').result()",
    "a pool of multiprocessing": "import multiprocessing; type(self).pool = multiprocessing.Pool(1)\n        "
    "self.pool.map(len, ['x'])",
    "joblib": "import joblib; joblib.Parallel(2)(joblib.delayed(divmod)(x, 2) for x in range(9))",
    "a program that a hook ends": "import atexit, subprocess; helper = subprocess.Popen(['sleep', '600'])\n        "
    "atexit.register(helper.wait); atexit.register(helper.kill)",
}


@pytest.mark.parametrize("start", ENDING.values(), ids=ENDING)
def test_process_of_the_forward_pass_ends_as_an_interpreter_does_with(author: Author, start: str) -> None:
    author.replace(BODIES["load_context"], f"{start}\n        {BODIES['load_context']}")
    assert author.package(*FLAGS).returncode == 0


def test_paths_of_flags_are_relative_to_the_working_directory_when_called_from_elsewhere(author: Author) -> None:
    (author.root.parent / "w").mkdir()
    (author.root.parent / "w" / "scale.txt").write_text("2")
    (author.root.parent / "x.txt").write_text("1 1 1\n")
    words = ("--checkpoint", "w", "--example-uri", "x.txt", "--output-shape", "[-1,4]", "--out-dir", "made")
    done = warm_python.run(author.root / "mlflow_packager.py", *words, cwd=author.root.parent)
    assert done.returncode == 0, done.stderr
    golden = json.loads((author.root.parent / "made" / "golden_output.json").read_text())
    assert golden == {"predictions": [[6.0] * 4]}
    assert not author.model.exists()
