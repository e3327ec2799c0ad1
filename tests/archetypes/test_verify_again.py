"""verify asks for itself: the author's code directly, and the model again. What differs is shown and kept."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_side.output.files import read_output, write_golden
from tests.packager.conftest import Author

from .conftest import MODELS, Model, PackageOf, write

MIB = 2**20
PAYLOAD: dict[str, Any] = {"inputs": [[1.0, 2.0], [3.0, 5.0], [9.0, 9.0]]}
GOOD, LOAD = "return input_obj * np.float32(2)", "self.scale = 1.0"
OF_BATCH = "return input_obj - input_obj.mean(axis=0, keepdims=True)"
CHECKS = ("repeatable", "world", "reload", "history", "unchanged", "concurrent")


def verify(author: Author, place: Path, *flags: str, payload: Any = PAYLOAD) -> subprocess.CompletedProcess[str]:
    """Verify the answer of predict_func.py, which stands for the served one, too."""
    model, asked, answer = Model(author, place), place / "payload.json", place / "answer.json"
    asked.write_text(json.dumps(payload))
    words = ["--json-payload-file", str(asked)]
    assert model.run("predict_func.py", *words, "--output-path", str(answer)).returncode == 0
    words += ["--predict-output", str(answer), "--test-output", str(answer)]
    return model.run("verify.py", *words, "--output-path", str(place / "verification.json"), *flags)


def said(place: Path, name: str = "verification.json") -> dict[str, dict[str, Any]]:
    """Return the routes and checks by name."""
    verdict = json.loads((place / name).read_text())
    return {each.get("route") or each["check"]: each for each in verdict["routes"] + verdict["checks"]}


def packaged(base: Path, forward: str, load: str = LOAD) -> Author:
    author = write(base, "tensor_to_tensor", _get_input="return tensor", _forward=forward, load_context=load)
    assert author.package().returncode == 0
    return author


ROWS = {"file_uri_to_file": 1, "text_to_tensor": 3, "tensor_to_tensor": 3, "dataframe_to_dataframe": 3}


@pytest.mark.parametrize("archetype", MODELS)
def test_verdict_is_yes_with_its_cost_when_a_good_model_is_asked_again(
    package_of: PackageOf, tmp_path: Path, archetype: str
) -> None:
    author = package_of(archetype).author
    done = verify(author, tmp_path, "--again", "--package", str(author.root), payload=MODELS[archetype].payload)
    assert done.returncode == 0
    found = said(tmp_path)
    assert [found[name]["status"] for name in ("direct", "in-process")] == ["agrees"] * 2
    assert [found[name]["status"] for name in CHECKS] == ["passed"] * len(CHECKS)
    rows = found["rows"]
    assert rows["status"] == ("passed" if archetype in ROWS else "not applicable")
    tiled = [f"each of {ROWS.get(archetype)} rows alone", "three times in another order, and one more"]
    trials = [trial["trial"] for trial in rows.get("trials", ())]
    assert trials[:2] == (tiled if archetype in ROWS else [])  # further ones follow where they are quick
    assert all(found[name]["seconds"] > 0 and found[name]["peak_memory"] > MIB for name in ("direct", "in-process"))
    assert found["served"]["seconds"] is None
    assert not (tmp_path / "verification.failed").exists()


def test_peak_memory_counts_what_the_model_took(tmp_path: Path) -> None:
    bodies = ("return tensor + 0 * np.ones(2**25)[:1].astype('f4')", GOOD)  # 256 MiB, and gone
    author = write(tmp_path, "tensor_to_tensor", _get_input=bodies[0], _forward=bodies[1])
    assert author.package().returncode == 0
    assert verify(author, tmp_path, "--again", "--package", str(author.root)).returncode == 0
    assert all(said(tmp_path)[name]["peak_memory"] > 256 * MIB for name in ("direct", "in-process"))


FAULTS = {
    "each answer depends on the others of its batch": (
        OF_BATCH, LOAD, "rows", "another answer: row 2 alone", "row 2 alone: [0, 0]: expected 4.66"),
    "an answer depends on the process": (
        "import os; return input_obj + np.float32(os.getpid())", LOAD,
        "repeatable", "another answer: in two processes", "in two processes: [0, 0]: expected "),
    "an answer depends on the year": (
        "import time; return np.where(input_obj > 8, np.float32(time.gmtime().tm_year), input_obj)", LOAD,
        "repeatable", "another answer: twice, the clock moved on by a year", "the clock moved on by a year: [2, 0]: "),
    "calls share a place in the model": (
        "self.row = input_obj\n        sum(1 for _ in range(100_000))\n        return self.row * np.float32(2)", LOAD,
        "concurrent", "4 threads at once", "4 threads at once: "),
    "only the thread that loads can predict": (
        "return input_obj * np.float32(self.own.scale)",
        "import threading\n        self.own = threading.local()\n        self.own.scale = 2",
        "concurrent", "4 threads at once", "4 threads at once: predict: it raised AttributeError"),
}  # fmt: skip


@pytest.mark.parametrize(("forward", "load", "check", "fault", "words"), FAULTS.values(), ids=FAULTS)
def test_verdict_is_no_with_the_first_cells_when(
    tmp_path: Path, forward: str, load: str, check: str, fault: str, words: str
) -> None:
    done = verify(packaged(tmp_path, forward, load), tmp_path, "--again")
    assert done.returncode == 1
    found = said(tmp_path, "verification.failed.json")
    faults = {name: found[name]["fault"] for name in (*CHECKS, "rows") if "fault" in found[name]}
    assert [*faults] == [check]
    assert fault in faults[check]
    assert words in done.stdout
    assert f"{check}: {faults[check]}" in done.stderr
    assert ("An answer may depend on its own row alone" in done.stderr) == (check != "concurrent")


def test_both_outputs_are_kept_until_they_are_the_same(tmp_path: Path) -> None:
    author = packaged(tmp_path, OF_BATCH)
    kept = tmp_path / "verification.failed"
    told = verify(author, tmp_path, "--again", "--package", str(author.root)).stderr
    assert f"What differs is in {kept}." in told
    assert 'VERIFICATION = {"rows": "the reason"} in model_spec.py allows it where it is right.' in told
    assert "`invoke verify --only rows --model tiny" in told
    assert sorted(path.name for path in kept.iterdir()) == ["rows.expected.npz", "rows.got.npz"]
    outputs = [read_output(kept / f"rows.{side}.npz") for side in ("expected", "got")]
    assert np.allclose(outputs, [[[14 / 3, 11 / 3]], [[0.0, 0.0]]])
    assert verify(author, tmp_path, "--again", payload={"inputs": [[1.0, 2.0]]}).returncode == 0
    assert not kept.exists()


@pytest.mark.parametrize("archetype", [name for name in MODELS if name != "file_uri_to_file"])
def test_answer_is_taken_as_packaged_for_the_example_alone(
    package_of: PackageOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archetype: str
) -> None:
    author, found = package_of(archetype).author, tmp_path / "found.json"
    monkeypatch.setenv("STEP_FOUND", str(found))
    model, example = Model(author, tmp_path), ("--json-payload-file", str(author.model / "serving_input_example.json"))
    assert model.run("predict_func.py", *example).returncode == 0
    assert json.loads(found.read_text())["predictions"] == 1
    answers = [model.run("predict_func.py", *example, *more).stdout for more in ((), ("--as-packaged",))]
    assert answers[0] == answers[1]
    assert json.loads(found.read_text())["predictions"] == 2
    other = tmp_path / "other.json"
    other.write_text(json.dumps(MODELS[archetype].payload))
    assert model.run("predict_func.py", "--as-packaged", "--json-payload-file", str(other)).returncode == 0


def test_golden_output_is_held_to_the_example_when_the_payload_is_another(tmp_path: Path) -> None:
    author = packaged(tmp_path, GOOD)
    assert verify(author, tmp_path, "--again").returncode == 0
    golden = said(tmp_path)["golden"]
    assert (golden["status"], golden["max_absolute"], golden["shape"]) == ("agrees", 0.0, [2, 3])
    assert golden["seconds"] > 0
    assert golden["peak_memory"] > MIB
    stored = author.model / "golden_output.json"
    output = np.array(json.loads(stored.read_text())["predictions"], "float32")
    stored.chmod(0o600)
    write_golden(output + np.float32(0.5), author.model)
    done = verify(author, tmp_path, "--again")
    assert done.returncode == 1
    assert "not every route agrees: golden" in done.stderr
    found = said(tmp_path, "verification.failed.json")
    assert (found["golden"]["max_absolute"], found["served"]["status"]) == (0.5, "agrees")
    kept = tmp_path / "verification.failed"
    assert f"package it again if it is meant to give another. What differs is in {kept}." in done.stderr
    assert np.array_equal(read_output(kept / "example.npz"), output)


def test_fault_is_told_when_the_model_fails_on_its_example_alone(tmp_path: Path) -> None:
    author = packaged(tmp_path, GOOD)
    (code,) = author.model.rglob(author.code.name)
    raising = "if len(input_obj) == 2:\n            raise ValueError('no')\n        return"
    code.write_text(code.read_text().replace("return input_obj", f"{raising} input_obj"))
    done = verify(author, tmp_path, "--again")
    assert done.returncode == 1
    golden = said(tmp_path, "verification.failed.json")["golden"]
    assert golden["fault"].startswith("the model's example: predict: it raised ValueError: no")


def test_direct_answer_is_kept_when_the_package_has_moved_on(tmp_path: Path) -> None:
    author = packaged(tmp_path, GOOD)
    before = author.code.stat()
    author.replace("np.float32(2)", "np.float32(3)")
    os.utime(author.code, ns=(before.st_atime_ns, before.st_mtime_ns))  # an edit in the same second, of the same length
    done = verify(author, tmp_path, "--package", str(author.root))
    assert done.returncode == 1
    assert "[0, 0]: in-process 2.0, direct 3.0" in done.stdout
    assert "not every route agrees: direct" in done.stderr
    output = read_output(tmp_path / "verification.failed" / "direct.npz")
    assert np.array_equal(output, np.array(PAYLOAD["inputs"]) * 3)  # type: ignore[arg-type]


def test_other_routes_are_told_when_the_direct_call_raises(tmp_path: Path) -> None:
    author = packaged(tmp_path, GOOD)
    author.replace(GOOD, "raise ValueError('no such gene')")
    done = verify(author, tmp_path, "--package", str(author.root))
    assert done.returncode == 1
    assert "raise ValueError('no such gene')" in done.stderr
    found = said(tmp_path, "verification.failed.json")
    assert found["direct"]["fault"].startswith("direct call: it raised ValueError: no such gene")
    assert found["in-process"]["status"] == "agrees"


def test_verdict_is_no_when_calls_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    load = "import threading\n        self.lock, self.owner = threading.Lock(), threading.get_ident()"
    forward = "import threading\n        if threading.get_ident() != self.owner:\n            self.lock.acquire()\n"
    forward += "        return input_obj"
    done = verify(packaged(tmp_path, forward, load), tmp_path, "--again", "--time-limit", "5")
    assert done.returncode == 1
    trial = said(tmp_path, "verification.failed.json")["concurrent"]["trials"][0]
    assert trial["fault"].startswith("predict again: it took longer than 5 s")


def test_answers_may_change_when_the_model_declares_it(tmp_path: Path) -> None:
    counting = "self.calls = getattr(self, 'calls', 0) + 1\n        return input_obj * np.float32(self.calls)"
    author = write(tmp_path, "tensor_to_tensor", _get_input="return tensor", _forward=counting)
    done = author.package()
    assert done.returncode == 1
    assert "two predictions of one input differ:\n  [0, 0]: expected 1.0, got 2.0" in done.stderr
    author.declare('VERIFICATION = {"repeatable": False, "concurrent": False}')
    assert author.package().returncode == 0
    assert verify(author, tmp_path, "--again").returncode == 0
    found = said(tmp_path)
    assert [found[name]["status"] for name in CHECKS] == ["off", *["not applicable"] * 3, "passed", "off"]
    assert found["world"]["why"] == "repeatable is off: two answers to one question may differ"


def test_direct_route_is_not_available_when_there_is_no_package(package_of: PackageOf, tmp_path: Path) -> None:
    done = verify(package_of("tensor_to_tensor").author, tmp_path)
    assert done.returncode == 0
    assert "direct      not available: it needs the package that the model was made from" in done.stdout
    assert said(tmp_path)["repeatable"]["status"] == "not checked"


def test_verify_asks_for_the_payload_when_the_model_is_to_predict(package_of: PackageOf, tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text('{"predictions": [[1.0]]}')
    words = ["--predict-output", str(tmp_path / "answer.json"), "--test-output", str(tmp_path / "answer.json")]
    done = Model(package_of("tensor_to_tensor").author, tmp_path).run("verify.py", *words, "--again")
    assert done.returncode == 2
    assert "--json-payload-file: not given" in done.stderr


def test_verify_refuses_a_package_that_is_none(package_of: PackageOf, tmp_path: Path) -> None:
    author = package_of("tensor_to_tensor").author
    done = verify(author, tmp_path, "--package", str(tmp_path))
    assert done.returncode == 2
    assert f"--package: no such file: got {tmp_path}/model_spec.py" in done.stderr
