"""The chain through the real Invoke, uv and mlflow, on a model of the tests' own. Each test leaves it up to date."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import IO
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from serving.recipe import read_recipe, recipe_ahead

from .conftest import NAME, REPOSITORY, Package

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("chain")]

ALL = [
    "scaffold",
    "compile-reqs",
    "sync-env",
    "download-data",
    "package",
    "payload",
    "predict",
    "serve-predict",
    "verify",
]
SPEC = """
import pandas as pd
INPUT_EXAMPLE = pd.DataFrame({"input_uri": ["model_data/tiny.h5ad"]})
ARTIFACTS = {"checkpoint": "model_data/tf_sapiens"}
"""


@pytest.fixture(scope="module")
def built(package: Package) -> Package:
    """Return the package, built by the chain."""
    (package.root / "tiny.h5ad").rename(package.root / "model_data" / "tiny.h5ad")
    spec = package.root / "model_spec.py"
    spec.write_text(spec.read_text() + SPEC)
    ran = package.ran("verify")
    assert sorted(ran) == sorted(ALL)
    return package


@pytest.mark.parametrize("name", ["verification.json", "serve_report.json"])
def test_every_key_of_what_proves_the_model_is_in_the_reference(built: Package, name: str) -> None:
    document = json.loads((built.root / name).read_text())
    text = (REPOSITORY / "docs" / "reference.md").read_text()
    section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
    lists = [value for value in document.values() if isinstance(value, list)]
    entries = [entry for value in lists for entry in value if isinstance(entry, dict)]
    checks = [entry["check"] for entry in entries if "check" in entry]
    keys = {*document, *checks, *(key for entry in entries for key in entry)}
    assert sorted(key for key in keys if f"`{key}`" not in section) == []


def test_build_runs_nothing_and_imports_no_mlflow_when_nothing_changed(built: Package) -> None:
    words = ["verify", "--model", "transcriptformer", "--models-dir", str(built.root.parent)]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "invoke", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("up to date") > len(ALL)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "engine.runner" in imported
    assert not imported & {"mlflow", "pandas", "numpy"}
    assert "filelock" not in imported


def test_json_tells_what_each_step_found(built: Package) -> None:
    found = {name: step["found"] for name, step in built.steps("verify").items()}
    assert found["compile-reqs"]["pins"] == found["sync-env"]["distributions"] > 50
    assert found["package"]["digest"].startswith("sha256:")
    assert all(found["package"]["proof"][name] > 0 for name in ("seconds", "peak_memory"))
    assert found["payload"] == {"payload": "test_input_payload.json"}
    assert "float32" in found["package"]["output"]
    assert "float32" in found["predict"]["output"]
    assert found["serve-predict"]["portable"] == "passed"
    assert found["verify"]["ok"] is True
    counted = {name: (each["loads"], each["predictions"]) for name, each in found.items() if "loads" in each}
    assert (counted["predict"], counted["serve-predict"][0]) == ((1, 1), 2)
    assert min(counted["package"][1], counted["verify"][1]) > 1


def test_verification_says_that_all_routes_agree(built: Package) -> None:
    verification = json.loads((built.root / "verification.json").read_text())
    assert verification["ok"] is True
    costs = {route["route"]: (route["seconds"], route["peak_memory"]) for route in verification["routes"]}
    assert list(costs) == ["direct", "in-process", "served", "rest", "golden"]
    assert all(seconds and memory > 0 for route, (seconds, memory) in costs.items() if route != "golden")
    checks = {check["check"]: check["status"] for check in verification["checks"]}
    other = {name: status for name, status in checks.items() if status != "passed"}
    assert other.keys() <= {"rows", "params", "cells", "bad_inputs"}  # of files, and of what this model does not have
    assert set(other.values()) <= {"not applicable", "listed"}


def test_model_is_as_it_was_packaged_when_all_routes_have_run_it(built: Package) -> None:
    assert list((built.root / "mlflow_model_artifacts").rglob("__pycache__")) == []


def test_report_is_made_when_asked_for_and_shows_the_models_own_answer(built: Package) -> None:
    path = built.root / "report.html"
    assert built.ran("report") == ["report"]
    assert built.ran("report") == []
    assert list(built.steps("verify")) == ALL
    text = path.read_text()
    path.unlink()
    assert "A curve for each of 2 rows, over 2048 columns." in text
    assert "5 ways of running it give the same answer" in text
    assert len(text) < 1_000_000


def test_payload_is_written_in_another_format_and_with_faults_beside_an_edited_one_when_asked(built: Package) -> None:
    payload = built.root / "test_input_payload.json"
    given = payload.read_text()
    payload.write_text(f"{given}\n")
    done = built.invoke("payload", "--format", "instances", "--negative")
    assert done.returncode == 0, done.stderr
    instances = built.root / "test_input_payload.instances.json"
    assert "instances" in json.loads(instances.read_text())
    assert (built.root / "test_input_payload.negative" / "unknown-key.json").is_file()
    instances.write_text("{}")
    assert built.invoke("payload", "--format", "instances").returncode == 2  # it is kept, and does not fit
    assert built.invoke("payload", "--format", "instances", "--force").returncode == 0
    assert "instances" in json.loads(instances.read_text())
    assert payload.read_text() == f"{given}\n"
    payload.write_text(given)


def test_comment_in_requirements_reruns_compile_reqs_alone(built: Package) -> None:
    path = built.root / "requirements.in"
    path.write_text("# a comment\n" + path.read_text())
    assert built.ran("verify") == ["compile-reqs"]


def test_edit_of_code_that_changes_no_answer_reruns_what_reads_the_model(built: Package) -> None:
    built.code.write_text(built.code.read_text() + "\n# a comment\n")
    steps = built.steps("verify")
    ran = [name for name, step in steps.items() if step["action"] == "ran"]
    assert sorted(ran) == sorted(["package", "payload", "predict", "serve-predict", "verify"])
    assert steps["package"]["reasons"] == ["model_code/transcriptformer_mlflow_model.py changed"]


def test_predict_stops_at_predict_when_asked_for_it(built: Package) -> None:
    scale = built.root / "model_data" / "tf_sapiens" / "scale.txt"
    scale.write_text("0.25\n")
    assert built.ran("predict") == ["package", "payload", "predict"]
    assert json.loads((built.root / "predict_output.json").read_text())["predictions"][0][0] == 0.5
    scale.write_text("0.5\n")
    assert built.ran("predict") == ["package", "payload", "predict"]
    assert built.invoke("status").returncode == 0


def test_edited_payload_is_kept_and_predicted(built: Package) -> None:
    other = built.root / "other.txt"
    other.write_text("2 2 2\n")
    payload = built.root / "test_input_payload.json"
    before = payload.read_text()
    payload.write_text(before.replace("artifact://input_example", str(other)))
    assert built.ran("predict") == ["predict"]
    assert len(json.loads((built.root / "predict_output.json").read_text())["predictions"]) == 1
    payload.write_text(before)
    assert built.ran("predict") == ["predict"]


def test_placeholder_is_refused_by_name_and_the_old_answer_stands(built: Package) -> None:
    payload, answer = built.root / "test_input_payload.json", built.root / "predict_output.json"
    before, old = payload.read_text(), answer.read_text()
    payload.write_text(before.replace("artifact://input_example", "<string: input_uri>"))
    done = built.invoke("predict")
    assert done.returncode == 2
    assert "<string: input_uri>" in done.stderr
    assert "placeholder" in done.stderr
    assert answer.read_text() == old
    payload.write_text(before)
    assert built.ran("predict") == []


def test_forward_pass_that_raises_shows_the_authors_traceback_and_the_good_model_stands(built: Package) -> None:
    before, model = built.code.read_text(), built.root / "mlflow_model_artifacts" / "MLmodel"
    good = model.read_bytes()
    built.code.write_text(before.replace("return (input_obj.mean", "return (self.no_such_thing"))
    done = built.invoke("verify")
    assert done.returncode == 1
    assert "return (self.no_such_thing" in done.stderr
    assert "model_side" not in done.stderr
    assert "skipped" in done.stdout
    assert model.read_bytes() == good
    built.code.write_text(before)
    assert built.ran("verify") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["package", "--model", "pbmc_pcaa"], ["model 'pbmc_pcaa'", "Did you mean 'pbmc_pca'?"]),
        (["package", "--model", "../x"], ["../x"]),
        (["scaffold", "--model", "class"], ["class", "keyword"]),
        (["serve", "--model", "pbmc_pca", "--model", "other"], ["several models", "a server has one"]),
    ],
)
def test_task_refuses_and_names_the_nearest_when_there_is_no_such_model(words: list[str], expected: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 2
    assert all(word in done.stderr for word in expected), done.stderr
    assert "Traceback" not in done.stderr


def test_server_answers_its_curl_line_and_ends_with_its_task(built: Package) -> None:
    words = ["serve", "--model", "transcriptformer", "--models-dir", str(built.root.parent)]
    command = [sys.executable, "-m", "invoke", *words]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as task:
        assert task.stdout
        assert task.stderr
        line = next((line for line in task.stdout if line.startswith("curl ")), None)
        assert line, task.stderr.read()
        url = shlex.split(line)[-1]
        body = (built.root / "test_input_payload.json").read_bytes()
        with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=60) as answer:
            assert answer.read() == (built.root / "test_output.json").read_bytes()
        task.kill()
        assert "POST /invocations" in task.stderr.read()  # it is at its end: the server held it and is gone
    with pytest.raises(URLError):
        urlopen(url, timeout=60)


def test_environment_that_is_made_ahead_is_the_one_that_the_model_asks_for(built: Package) -> None:
    ahead = recipe_ahead(built.root, os.environ)
    assert ahead.fingerprint == read_recipe(built.root / "mlflow_model_artifacts", os.environ).fingerprint
    assert "rebuilding" not in (built.root / ".pipeline" / "logs" / "serve-predict.log").read_text()


def said_until(stream: IO[str], start: str) -> list[str]:
    """Return the lines that come, up to one that starts so."""
    lines = []
    for line in stream:
        lines.append(line.rstrip())
        if line.startswith(start):
            return lines
    pytest.fail(f"it ended without {start!r}: {lines}")


def test_watch_calls_the_code_after_each_edit_and_then_brings_the_prediction_up_to_date(built: Package) -> None:
    code, model = built.code.read_text(), built.root / "mlflow_model_artifacts" / "MLmodel"
    command = [sys.executable, "-m", "invoke", "watch", "--model", NAME, "--models-dir", str(built.root.parent)]
    watch = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert watch.stdout is not None
    try:
        said_until(watch.stdout, "watching")
        built.code.write_text(code.replace("self.scale *", "2 * self.scale *"))
        said = said_until(watch.stdout, "watching")
        assert f"model_code/{built.code.name} changed" in said
        steps = [line.split()[0] for line in said if "  ran  " in line]
        assert steps == ["package", "payload", "predict"]
        tried = next(line for line in said if line.startswith("output float32 [2, 2048], from 2 to 5"))
        assert said.index(tried) < next(number for number, line in enumerate(said) if line.startswith("package"))
        assert json.loads((built.root / "predict_output.json").read_text())["predictions"][0][0] == 2

        good = model.read_bytes()
        built.code.write_text(code.replace("self.scale *", "no_such_name *"))
        said = said_until(watch.stdout, "watching")
        assert any("NameError" in line for line in said)
        assert "the MLflow Model stays as it is" in said
        assert not [line for line in said if line.startswith("package")]
        assert model.read_bytes() == good
    finally:
        built.code.write_text(code)
        watch.send_signal(signal.SIGINT)
        rest, _ = watch.communicate()
    assert watch.returncode == 130
    assert "Traceback" not in rest
    assert built.ran("verify")[:3] == ["package", "payload", "predict"]
