"""What a request may name: files and directories of any name, and parts of files, in examples and in payloads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from mlflow.artifacts import download_artifacts

from model_side.model.model import disable_tracing
from model_side.package.travel import artifact_faults, code_faults
from tests import warm_python

from .conftest import SCRIPTS, Model, write

# A file of numbers, a directory with one, or a row of a file.
READ = """path, _, row = uri.rpartition("::row/")
        import os
        file = os.path.join(path or uri, "matrix.txt") if os.path.isdir(path or uri) else path or uri
        table = np.loadtxt(file, ndmin=2)
        return table[[int(row)]] if row and path else table"""
NAMES = (
    *("plain.txt", "co:lon/c:x.txt", "g::h/x::y.txt", "it's/é 包.txt", "[1]/x*.txt", "plus+&/a=b;c,d.txt", "50%.txt"),
    *("store.zarr", "sample #1.txt", "what?.txt", "x%25.txt", "mod%41els/a%20b.txt", "#", "store #2.zarr"),
)
KEPT = NAMES[:8]  # those that MLflow finds in a directory
PART = "parts 1.txt"


def fill(root: Path, names: Sequence[str] = NAMES) -> None:
    """Make a file or directory of each name; its number is what it holds."""
    for number, name in enumerate(names):
        path = root / name / "matrix.txt" if name.endswith(".zarr") else root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number} {number}\n")
    (root / PART).write_text("10 11\n20 21\n")


def scaled(*numbers: float) -> list[list[float]]:
    return [[number / 2, number / 2] for number in numbers]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a model whose example names them all; those in model_data/in/ travel in an artifact of their directory."""
    directory = tmp_path_factory.mktemp("names")
    author = write(directory, "file_uri_to_tensor", _get_input=READ)
    fill(author.root / "model_data" / "own")
    fill(author.root / "model_data" / "in", KEPT)
    names = [f"model_data/own/{name}" for name in (*NAMES, f"{PART}::row/1")]
    names += [f"model_data/in/{name}" for name in (*KEPT, f"{PART}::row/1")]
    author.declare(f"INPUT_EXAMPLE = pandas.DataFrame({{'input_uri': {names!r}}})")
    author.declare('ARTIFACTS = {"checkpoint": "model_data/tf_tiny", "data": "model_data/in"}')
    done = author.package()
    assert done.returncode == 0
    fill(directory)
    return Model(author, directory)


EXPECTED, EXPECTED_KEPT = ([*scaled(*range(len(names))), [10.0, 10.5]] for names in (NAMES, KEPT))


def test_example_gives_each_files_own_numbers_when_names_are_odd(model: Model) -> None:
    path = model.directory / "own.json"
    assert model.run("generate_mlflow_test_payload.py", "--json-payload-filepath", str(path)).returncode == 0
    payload = json.loads(path.read_text())
    uris = [uri for (uri,) in payload["dataframe_split"]["data"]]
    assert all(uri.startswith("artifact://") for uri in uris)
    assert "artifact://data/g%3A%3Ah/x%3A%3Ay.txt" in uris
    assert model.predictions(payload) == EXPECTED + EXPECTED_KEPT


def asked(*uris: object) -> dict[str, object]:
    return {"dataframe_split": {"columns": ["input_uri"], "data": [[str(uri)] for uri in uris]}}


def test_payload_names_files_by_path_by_uri_or_in_an_artifact(model: Model) -> None:
    here, names = model.directory, (*NAMES, f"{PART}::row/1")
    assert model.predictions(asked(*names)) == EXPECTED
    assert model.predictions(asked(*(here / name for name in names))) == EXPECTED
    assert model.predictions(asked(*(f"file://{here / name}" for name in names))) == EXPECTED
    assert model.predictions(asked(*(f"file://{quote(str(here / name))}" for name in names))) == EXPECTED
    kept = (*KEPT, f"{PART}::row/1")
    assert model.predictions(asked(*(f"artifact://data/{name}" for name in kept))) == EXPECTED_KEPT
    assert model.predictions(asked(*(f"artifact://data/{quote(name)}" for name in kept))) == EXPECTED_KEPT


def test_part_of_a_remote_file_is_read_from_what_was_fetched(model: Model, remote: str) -> None:
    assert model.predictions(asked(f"{remote}::row/0", f"{remote}?version=1")) == [[1.0, 2.0, 3.0]] * 2


def test_results_of_directories_and_parts_lie_beside_them(tmp_path: Path) -> None:
    author = write(tmp_path, "file_uri_to_file", _get_input=f"import numpy as np\n        {READ}")
    assert author.package().returncode == 0
    fill(tmp_path)
    found = Model(author, tmp_path).predictions(asked("store #2.zarr", f"{PART}::row/1"))
    names = ("store #2.zarr.result.npy", f"{PART}::row_1.result.npy")
    assert [row["output_uri"] for row in found] == [(tmp_path / name).as_uri() for name in names]
    assert [np.load(tmp_path / name).tolist() for name in names] == [scaled(13), [[10.0, 10.5]]]


@pytest.mark.parametrize("uri", ["none #1.txt", "file:///none%201.txt", "none.txt::row/1"])
def test_file_that_is_not_there_is_named_as_the_request_does(model: Model, uri: str) -> None:
    done = model.predict(asked(uri))
    assert done.returncode == 1
    assert f"FileNotFoundError: {uri}: no such file or directory" in done.stderr


def test_model_is_fetched_whole_from_where_mlflow_keeps_it(model: Model, tmp_path: Path) -> None:
    disable_tracing()
    fetched = Path(download_artifacts(artifact_uri=str(model.author.model), dst_path=str(tmp_path)))
    assert {path.relative_to(fetched).as_posix() for path in fetched.rglob("*") if path.is_file()} == {
        *model.author.files()
    }
    assert (fetched / "artifacts" / "sample _1.txt").read_text() == "8 8\n"
    assert (fetched / "artifacts" / "store _2.zarr" / "matrix.txt").is_file()


@pytest.mark.parametrize("name", ["x #1.txt", "what?.txt", "x%25.txt", "deep%41/x.txt", "new\nline.txt"])
def test_name_in_a_directory_is_refused_by_its_own_fault_when_mlflow_would_not_find_it(
    tmp_path: Path, name: str
) -> None:
    for top in ("model_data/tf_tiny", "model_code"):
        path = tmp_path / top / name
        path.parent.mkdir(parents=True)
        path.touch()
    (fault,) = artifact_faults({"w": tmp_path / "model_data" / "tf_tiny"}, {})
    assert f"{'tf_tiny/' + name!r}: MLflow fetches no file of this name: rename it" in fault
    (fault,) = code_faults(tmp_path / "model_code")
    assert f"{'model_code/' + name!r}: MLflow fetches no file of this name" in fault


def test_place_that_mlflow_cannot_load_from_is_refused_by_its_own_fault(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "mod%41els" / "model"
    done = model.author.package("--out-dir", str(place))
    assert done.returncode == 2
    assert f"{place}: MLflow loads no model from this path" in done.stderr
    shutil.copytree(model.author.model, place)
    for words in (["predict_func.py", "--json-payload-file", "x"], ["check_model.py"]):
        done = warm_python.run(SCRIPTS / words[0], "--model-uri", str(place), *words[1:], cwd=tmp_path)
        assert f"{place}: MLflow loads no model from this path" in done.stderr
