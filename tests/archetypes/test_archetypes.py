"""Every archetype: a package of a real model that predicts, and its contract held."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml

from scaffolding import render as rendering
from scaffolding.render import archetypes, contract
from tests.object_store import put

from .conftest import MODELS, Model, PackageOf, write

MATCHING = ["text_to_tensor", "tensor_to_tensor", "dataframe_to_dataframe"]


def path_of(uri: str) -> Path:
    assert uri.startswith("file:///")
    return Path(unquote(urlsplit(uri).path))


def test_every_archetype_is_listed_with_a_contract_and_has_a_model_here() -> None:
    assert set(archetypes()) == set(MODELS)
    assert all(contract(name).endswith(".") for name in MODELS)


def test_archetype_is_a_folder_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = Path(shutil.copytree(rendering.TEMPLATES, tmp_path / "templates"))
    added = templates / "mlflow_template" / "archetypes" / "number_to_number"
    shutil.copytree(added.with_name("dataframe_to_dataframe"), added)
    (added / "README.md").write_text("# number_to_number\n\nA number in, a number out.\n")
    spec = added / "model_spec.py.jinja"
    spec.write_text(spec.read_text().replace("dataframe_to_dataframe", "number_to_number"))
    monkeypatch.setattr(rendering, "TEMPLATES", templates)
    assert "number_to_number" in archetypes()
    assert contract("number_to_number") == "A number in, a number out."
    author = write(tmp_path, "number_to_number", like="dataframe_to_dataframe")
    assert author.package().returncode == 0
    metadata = yaml.safe_load((author.model / "MLmodel").read_text())["metadata"]
    assert metadata["archetype"] == "number_to_number"


@pytest.mark.parametrize("archetype", MODELS)
def test_model_predicts_its_payload_and_another_when_packaged(package_of: PackageOf, archetype: str) -> None:
    model = package_of(archetype)
    path = model.directory / "own.json"
    assert model.run("generate_mlflow_test_payload.py", "--json-payload-filepath", str(path)).returncode == 0
    assert model.run("predict_func.py", "--json-payload-file", str(path)).returncode == 0
    found = model.predictions(MODELS[archetype].payload)
    if MODELS[archetype].predictions is not None:
        assert found == MODELS[archetype].predictions
    metadata = yaml.safe_load((model.author.model / "MLmodel").read_text())["metadata"]
    assert metadata["archetype"] == archetype
    assert metadata["rows_match"] is (archetype not in ("file_uri_to_tensor", "file_uri_to_dataframe"))


TOO_SHORT = {
    **dict.fromkeys(("text_to_tensor", "tensor_to_tensor"), 'return np.ones((1, 2), "float32")'),
    "dataframe_to_dataframe": 'return pd.DataFrame({"score": [0.5]})',
}


@pytest.mark.parametrize("archetype", TOO_SHORT)
def test_packager_refuses_when_rows_are_missing_and_takes_it_when_the_author_says_so(
    tmp_path: Path, archetype: str
) -> None:
    author = write(tmp_path, archetype, _forward=TOO_SHORT[archetype])
    done = author.package()
    assert done.returncode == 1
    assert "expected 2 rows, got 1" in done.stderr
    assert not author.model.exists()
    author.declare("ROWS_MATCH = False")
    assert author.package().returncode == 0


def test_predict_refuses_when_rows_are_missing_for_another_payload_only(tmp_path: Path) -> None:
    author = write(tmp_path, "tensor_to_tensor", _forward="return input_obj[:2]")
    assert author.package().returncode == 0
    done = Model(author, tmp_path).predict({"inputs": [[1.0]] * 3})
    assert done.returncode == 1
    assert "expected 3 rows, got 2" in done.stderr


def test_verify_refuses_when_an_answer_lacks_a_row(package_of: PackageOf) -> None:
    model = package_of("tensor_to_tensor")
    answer = model.directory / "answer.json"
    answer.write_text('{"predictions": [[0.0]]}')
    payload = model.directory / "two.json"
    payload.write_text('{"inputs": [[1.0], [1.0]]}')
    words = ["--predict-output", str(answer), "--test-output", str(answer), "--json-payload-file", str(payload)]
    done = model.run("verify.py", *words, "--output-path", str(model.directory / "verification.json"))
    assert done.returncode == 1
    assert "expected 2 rows, got 1" in done.stdout


def test_model_refuses_a_second_row_before_it_loads_and_itself_when_it_takes_one(tmp_path: Path) -> None:
    author = write(tmp_path, "text_to_tensor")
    author.add("ONE_ROW = True")
    done = author.package()
    assert done.returncode == 2
    assert "expected one row per request, as the model declares, got 2" in done.stderr
    author.declare('INPUT_EXAMPLE = pandas.DataFrame({"text": ["a"]})')
    assert author.package().returncode == 0
    model, two = Model(author, tmp_path), MODELS["text_to_tensor"].payload
    done = model.predict(two)
    assert done.returncode == 2
    assert "dataframe_split: expected one row per request, as the model declares, got 3" in done.stderr
    mlmodel = author.model / "MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace("one_row: true", "one_row: false"))
    done = model.predict(two)
    assert done.returncode == 1
    assert "ValueError: expected one row per request, got 3" in done.stderr


@pytest.mark.parametrize("archetype", MATCHING)
def test_packager_refuses_example_uri_when_the_model_takes_no_uri(tmp_path: Path, archetype: str) -> None:
    done = write(tmp_path, archetype).package("--example-uri", "model_data/tiny.txt")
    assert done.returncode == 2
    assert f"--example-uri: not for the archetype {archetype}" in done.stderr
    assert "write INPUT_EXAMPLE" in done.stderr


def about(*names: object, **params: str) -> dict[str, object]:
    """Return a payload that names files."""
    frame = {"columns": ["input_uri"], "data": [[str(name)] for name in names]}
    return {"dataframe_split": frame, "params": params} if params else {"dataframe_split": frame}


def uris(model: Model, *names: object, **params: str) -> list[str]:
    return [row["output_uri"] for row in model.predictions(about(*names, **params))]


def test_results_lie_beside_their_inputs_and_give_way_to_newer_ones(package_of: PackageOf, tmp_path: Path) -> None:
    first, second = tmp_path / "a b.txt", tmp_path / "ünï.txt"
    first.write_text("2 4")
    second.write_text("6")
    for _ in range(2):
        made = [path_of(uri) for uri in uris(package_of("file_uri_to_file"), first, second.as_uri())]
        assert made == [tmp_path / "a b.txt.result.npy", tmp_path / "ünï.txt.result.npy"]
        assert [np.load(path).tolist() for path in made] == [[[1.0, 2.0]], [[3.0]]]
    assert len(list(tmp_path.iterdir())) == 4


def test_results_lie_where_the_request_says(package_of: PackageOf, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "a.txt").write_text("2 4")
    made = uris(package_of("file_uri_to_file"), tmp_path / "a.txt", output_dir=str(tmp_path / "out"))
    assert made == [(tmp_path / "out" / "a.txt.result.npy").as_uri()]


def test_model_refuses_when_two_inputs_would_have_one_result(package_of: PackageOf, tmp_path: Path) -> None:
    names = []
    for part in ("x", "y"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.txt").write_text("2")
        names.append(tmp_path / part / "a.txt")
    done = package_of("file_uri_to_file").predict(about(*names, output_dir=str(tmp_path)))
    assert done.returncode == 1
    assert "two inputs of this request would have the one result" in done.stderr


def test_result_is_elsewhere_and_the_log_says_so_when_none_can_be_beside_the_input(package_of: PackageOf) -> None:
    uri = "/proc/sys/kernel/pid_max"  # a number, in a directory that takes no file, not even root's
    done = package_of("file_uri_to_file").predict(about(uri))
    path = path_of(json.loads(done.stdout)["predictions"][0]["output_uri"])
    assert path.name == "pid_max.result.npy"
    assert np.load(path).tolist() == [[float(Path(uri).read_text()) / 2]]
    assert f"{uri}: nothing can be written beside it" in done.stderr
    assert str(path.parent) in done.stderr


def test_log_is_silent_when_the_input_travels_in_the_model(package_of: PackageOf) -> None:
    model = package_of("file_uri_to_file")
    example = json.loads((model.author.model / "serving_input_example.json").read_text())
    assert "artifact://" in json.dumps(example)
    done = model.predict(example)
    assert done.returncode == 0
    assert "nothing can be written beside it" not in done.stderr


def test_remote_file_is_fetched_and_its_result_is_local(package_of: PackageOf, remote: str, tmp_path: Path) -> None:
    assert package_of("file_uri_to_tensor").predictions(about(remote)) == [[1.0, 2.0, 3.0]]
    (result,) = uris(package_of("file_uri_to_file"), remote)
    assert path_of(result).name == "far.txt.result.npy"
    assert np.load(path_of(result)).tolist() == [[1.0, 2.0, 3.0]]
    assert list(tmp_path.iterdir()) == [tmp_path / "far.txt"]


def test_object_of_a_store_is_fetched_and_nothing_of_it_stays(
    package_of: PackageOf, object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(f"{object_store}/inputs")
    put(f"{object_store}/inputs/größe 1.txt", b"2 4 6")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert package_of("file_uri_to_tensor").predictions(about("s3://inputs/größe 1.txt")) == [[1.0, 2.0, 3.0]]
    assert list(tmp_path.iterdir()) == []
    (result,) = uris(package_of("file_uri_to_file"), "s3://inputs/größe 1.txt")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["größe 1.txt.result.npy"]
    assert np.load(path_of(result)).tolist() == [[1.0, 2.0, 3.0]]


def test_object_that_is_not_there_is_named(package_of: PackageOf, object_store: str) -> None:
    put(f"{object_store}/inputs")
    done = package_of("file_uri_to_tensor").predict(about("s3://inputs/none.txt"))
    assert done.returncode == 1
    assert "FileNotFoundError: inputs/none.txt" in done.stderr


def test_name_with_a_colon_is_that_of_a_file(package_of: PackageOf) -> None:
    path = package_of("file_uri_to_tensor").directory / "sample:1.txt"
    path.write_text("2 4 6")
    assert package_of("file_uri_to_tensor").predictions(about("sample:1.txt")) == [[1.0, 2.0, 3.0]]


RESULT_FAULTS = {
    "no file": ("pass", "_forward wrote no file"),
    "an empty file": ('open(output_path, "w").close()', "the result file is empty"),
    "other bytes": ('import os; open(output_path, "wb").write(os.urandom(8))', "two predictions of one input"),
}


@pytest.mark.parametrize(("body", "words"), RESULT_FAULTS.values(), ids=RESULT_FAULTS)
def test_packager_refuses_when_the_forward_pass_writes(tmp_path: Path, body: str, words: str) -> None:
    author = write(tmp_path, "file_uri_to_file", _forward=body)
    done = author.package()
    assert done.returncode == 1
    assert words in done.stderr


def test_checks_get_the_result_files_and_nothing_of_them_is_left_when_packaged(tmp_path: Path) -> None:
    author = write(tmp_path, "file_uri_to_file")
    raising = "raise ValueError(open(output['output_uri'][0][7:]).name)"
    author.declare(f"def CHECKS(example, params, output): {raising}")
    done = author.package()
    assert done.returncode == 1
    result = Path(done.stderr.rpartition("ValueError: ")[2].split(". The traceback")[0])
    assert result.name == "tiny.txt.result.npy"
    assert not result.parent.parent.exists()


def test_checks_get_a_table_when_the_outputs_are_columns(tmp_path: Path) -> None:
    author = write(tmp_path, "dataframe_to_dataframe")
    author.declare("def CHECKS(example, params, output): raise ValueError(output.dtypes.astype(str).to_dict())")
    done = author.package()
    assert done.returncode == 1
    assert "{'score': 'float64'}" in done.stderr


def test_verify_compares_contents_when_outputs_are_files(package_of: PackageOf) -> None:
    model = package_of("file_uri_to_file")
    payload, example = model.directory / "payload.json", MODELS["file_uri_to_file"].payload
    words = ["--json-payload-file", str(payload), "--output-path", str(model.directory / "verification.json")]
    for name in ("in-process.json", "served.json"):
        (model.directory / name).write_text(json.dumps({"predictions": model.predictions(example)}))
    words += ["--predict-output", str(model.directory / "in-process.json")]
    words += ["--test-output", str(model.directory / "served.json")]
    assert model.run("verify.py", *words).returncode == 0
    served = json.loads((model.directory / "served.json").read_text())["predictions"][0]["output_uri"]
    np.save(path_of(served), np.zeros((2, 3)))
    done = model.run("verify.py", *words)
    assert done.returncode == 1
    assert "served      differs" in done.stdout
    path_of(served).unlink()
    done = model.run("verify.py", *words)
    assert done.returncode == 1
    assert "expected the file:// URI of a result file" in done.stdout
