"""Each relation between a model's answers, by two models: one that breaks it alone, and one like it that does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from model_side.verify.checks import TRIED
from model_side.verify.world import WORLD
from tests.archetypes.conftest import SCRIPTS, Model, write
from tests.packager.conftest import Author

TWICE = "return input_obj * np.float32(2)"
OF_FILE = {"dataframe_split": {"columns": ["input_uri"], "data": [["artifact://input_example"]]}}
SCALE = """
from mlflow.types import ParamSchema, ParamSpec
PARAMS = ParamSchema([ParamSpec("scale", "float", 2.0)])
MODEL_SIGNATURE = ModelSignature(MODEL_SIGNATURE.inputs, MODEL_SIGNATURE.outputs, PARAMS)
"""
PAYLOAD = {"inputs": [[1.0, 2.0], [3.0, 5.0], [9.0, 9.0]]}


@dataclass(frozen=True)
class Code:
    """The bodies of a model's methods, and what its spec declares."""

    forward: str = TWICE
    load: str = "pass"
    get_input: str = "return tensor"
    archetype: str = "tensor_to_tensor"
    spec: str = ""


def lines(*code: str) -> str:
    return "\n        ".join(code)


# By the relation: what breaks it, the trial that shows it, and what is like it and holds.
CASES = {
    "another process": (
        "repeatable", Code(lines("import os", "return input_obj + np.float32(os.getpid())")), "in two processes",
        Code(lines("import os", "os.getpid()", TWICE))),
    "local time": (
        "world", Code(lines("import time", "return input_obj + np.float32(time.localtime(0).tm_min)")),
        "with another time zone",
        Code(lines("import time", "return input_obj + np.float32(time.gmtime(0).tm_min)"))),
    "home": (
        "world", Code(lines("import os.path", "return input_obj + np.float32(len(os.path.expanduser('~')))")),
        "with another user",
        Code(lines("import os.path", "os.path.expanduser('~')", TWICE))),
    "entry of the user": (
        "world", Code(lines("import os, pwd", "return input_obj + np.float32(len(pwd.getpwuid(os.getuid()).pw_dir))")),
        "with another user",
        Code(lines("import os, pwd", "pwd.getpwuid(os.getuid())", TWICE))),
    "host name": (
        "world", Code(lines("import socket", "return input_obj + np.float32(socket.gethostname() == 'localhost')")),
        "with another host name",
        Code(lines("import os, socket", "socket.gethostname(), os.uname().nodename", TWICE))),
    "language": (
        "world", Code(lines("import os", "return input_obj + np.float32(len(os.environ.get('LC_ALL', '')))")),
        "with another language",
        Code(lines("import locale", "locale.localeconv(), locale.getlocale()", TWICE))),
    "rights of its files": (
        "world", Code(lines("import os, pathlib, tempfile", "path = pathlib.Path(tempfile.mkdtemp(), 'x')",
                            "path.touch()", "return input_obj + np.float32(path.stat().st_mode & 0o44)")),
        "with another umask",
        Code(lines("import pathlib, tempfile", "path = pathlib.Path(tempfile.mkdtemp(), 'x')",
                   "path.touch(0o600)", "return input_obj + np.float32(path.stat().st_mode & 0o777)"))),
    "thread variables": (
        "world", Code(lines("import os", "return input_obj + np.float32(os.environ.get('OMP_NUM_THREADS', 4))")),
        "with another number of processors",
        Code(lines("import os", "os.environ.get('OMP_NUM_THREADS')", TWICE))),
    "processors": (
        "world", Code(lines("import os", "return input_obj * np.float32(os.cpu_count())")),
        "with another number of processors",
        Code(lines("import os", "parts = np.array_split(input_obj, len(os.sched_getaffinity(0)))",
                   "return np.concatenate(parts) * np.float32(2)"))),
    "eight rows": (
        "rows", Code(lines("answer = input_obj * np.float32(2)", "answer[8:] = 0", "return answer")), "three times",
        Code(lines("parts = [input_obj[n : n + 8] for n in range(0, len(input_obj), 8)]",
                   "return np.concatenate(parts) * np.float32(2)"))),
    "ends on ten rows": (
        "rows", Code(lines("import os", "if len(input_obj) == 10:", "    os._exit(3)", TWICE)), "three times",
        Code(lines("import os", "if len(input_obj) == 0:", "    os._exit(3)", TWICE))),
    "a whole cohort": (
        "rows", Code(lines("if len(input_obj) not in (2, 3):", "    raise ValueError('not a cohort')", TWICE)),
        "row 0 alone",
        Code(lines("if len(input_obj) > 5:", "    input_obj = input_obj.copy()", TWICE))),
    "ends elsewhere": (
        "world", Code(lines("import os", "if os.environ.get('TZ') == 'Asia/Kathmandu':", "    os._exit(3)", TWICE)),
        "with another time zone",
        Code(lines("import os", "if os.environ.get('TZ') == 'nowhere':", "    os._exit(3)", TWICE))),
    "a batch of 128": (
        "rows", Code(lines("answer = input_obj * np.float32(2)", "answer[128:] = 0", "return answer")), "129 rows",
        Code(lines("parts = [input_obj[n : n + 128] for n in range(0, len(input_obj), 128)]",
                   "return np.concatenate(parts) * np.float32(2)"))),
    "kept by its first row": (
        "rows", Code(lines("key = len(input_obj), input_obj[0].tobytes()",
                           "return self.seen.setdefault(key, input_obj * np.float32(2)).copy()"), "self.seen = {}"),
        "all but the first in another order",
        Code(lines("key = input_obj.tobytes()",
                   "return self.seen.setdefault(key, input_obj * np.float32(2)).copy()"), "self.seen = {}")),
    "sorted": (
        "rows", Code(lines("order = input_obj[:, 0].argsort()", "return input_obj[order] * np.float32(2)")),
        "in another order",
        Code(lines("order = input_obj[:, 0].argsort()", "return input_obj[order][order.argsort()] * np.float32(2)"))),
    "of the class": (
        "reload", Code("return input_obj * np.float32(self.scale)",
                       lines("type(self).loads = getattr(type(self), 'loads', 0) + 1", "self.scale = self.loads")),
        "loaded a second time",
        Code(TWICE, "type(self).loads = getattr(type(self), 'loads', 0) + 1")),
    "earlier calls": (
        "history", Code(lines("if len(input_obj) > 3:", "    self.mean = input_obj.mean()",
                              "return input_obj * np.float32(2) + (self.mean if len(input_obj) == 3 else 0)"),
                        "self.mean = np.float32(0)"),
        "the same again, after all but the first in another order",
        Code(lines("self.mean = input_obj.mean()", TWICE))),
    "a mean that is taken once": (
        "history", Code(lines("if len(input_obj) == 1:", "    self.mean = np.float32(1)",
                              "return input_obj * np.float32(2) + self.mean"),
                        "self.mean = np.float32(0)"),
        "the same again, after row 0 alone",
        Code(lines("mean = input_obj.mean(axis=1, keepdims=True)", "return input_obj * np.float32(2) + mean"))),
    "kept by rounded numbers": (
        "history", Code(lines("key = input_obj.round(1).tobytes()",
                              "return self.seen.setdefault(key, input_obj * np.float32(2)).copy()"), "self.seen = {}"),
        "after slightly smaller numbers, loaded a second time",
        Code(lines("key = input_obj.tobytes()",
                   "return self.seen.setdefault(key, input_obj * np.float32(2)).copy()"), "self.seen = {}")),
    "made by the first request": (
        "history", Code(lines("own = type(self)", "own.mean = getattr(own, 'mean', None) or input_obj.mean()",
                              "return input_obj - own.mean")),
        "with another request before it",
        Code(lines("own = type(self)", "own.mean = getattr(own, 'mean', None) or np.float32(5)",
                   "return input_obj - own.mean"))),
    "after thirty calls": (
        "history", Code(lines("self.calls += 1", "return input_obj * np.float32(2 + (self.calls > 30))"),
                        "self.calls = 0"),
        "the same again, after 4 threads at once",
        Code(lines("self.calls += 1", TWICE), "self.calls = 0")),
    "one buffer": (
        "unchanged", Code(lines("if not hasattr(self.own, 'buffer'):", "    self.own.buffer = np.empty(640, 'f4')",
                                "answer = self.own.buffer[: input_obj.size].reshape(input_obj.shape)",
                                "np.multiply(input_obj, np.float32(2), out=answer)", "return answer"),
                          lines("import threading", "self.own = threading.local()")),
        "an answer, after the next call",
        Code(lines("self.last = input_obj", "return input_obj * np.float32(2)"))),
    "in place": (
        "unchanged", Code(lines("input_obj *= np.float32(2)", "return input_obj")), "an input, after its call",
        Code(lines("input_obj = input_obj.copy()", "input_obj *= np.float32(2)", "return input_obj"))),
    "shared for microseconds": (
        "concurrent", Code(lines("row = self.buffer[: input_obj.size].reshape(input_obj.shape)",
                                 "np.copyto(row, input_obj)", "return row * np.float32(2)"),
                           "self.buffer = np.zeros(640, 'f4')"),
        "4 threads at once",
        Code(lines("row = self.buffer[: input_obj.size].reshape(input_obj.shape)",
                   "with self.lock:", "    np.copyto(row, input_obj)", "    return row * np.float32(2)"),
             lines("import threading", "self.buffer, self.lock = np.zeros(640, 'f4'), threading.Lock()"))),
}  # fmt: skip


# What others of the same relation show already, in a like way.
HEAVY = {
    *("entry of the user", "thread variables", "a batch of 128", "sorted", "a mean that is taken once", "in place"),
    *("kept by path", "kept by time", "of all cells", "made by the first file"),
}
STRICT = "STRICT_INPUTS = True"


def of_file(forward: str, get_input: str = "return np.loadtxt(uri, ndmin=2)", spec: str = "") -> Code:
    return Code(forward, "self.seen = {}", get_input, "file_uri_to_tensor", spec)


# Of a file with two cells, each in a line, or with params.
CASES |= {
    "its name": (
        "files",
        of_file("return input_obj.astype('f4')", "return np.loadtxt(uri, ndmin=2) + uri.count('another')"),
        "copies of its files, named otherwise",
        of_file("return input_obj.astype('f4')")),
    "kept by name": (
        "cells",
        of_file("return input_obj.astype('f4')", lines(
            "name = uri.rpartition('/')[2]",
            "if name not in self.seen:",
            "    self.seen[name] = np.loadtxt(uri, ndmin=2)",
            "return self.seen[name]")),
        "other content in a file of the same name",
        of_file("return input_obj.astype('f4')", lines(
            "self.seen[uri] = np.loadtxt(uri, ndmin=2)", "return self.seen[uri]"))),
    "kept by path": (
        "cells",
        of_file("return input_obj.astype('f4')", lines(
            "if uri not in self.seen:",
            "    self.seen[uri] = np.loadtxt(uri, ndmin=2)",
            "return self.seen[uri]")),
        "other content in a file of the same name",
        of_file("return input_obj.astype('f4')", lines(
            "import os",
            "key = uri, os.stat(uri).st_mtime_ns",
            "if key not in self.seen:",
            "    self.seen[key] = np.loadtxt(uri, ndmin=2)",
            "return self.seen[key]"))),
    "kept by time": (
        "cells",
        of_file("return input_obj.astype('f4')", lines(
            "import os",
            "key = os.path.getmtime(uri)",
            "if key not in self.seen:",
            "    self.seen[key] = np.loadtxt(uri, ndmin=2)",
            "return self.seen[key]")),
        "cells in another order",
        of_file("return input_obj.astype('f4')")),
    "the cells of one call": (
        "concurrent",
        of_file("return self.seen['cells'].astype('f4')", lines(
            "self.seen['cells'] = np.loadtxt(uri, ndmin=2)", "return self.seen['cells'].copy()")),
        "4 threads at once",
        of_file("return input_obj.astype('f4')", lines(
            "cells = self.seen['cells'] = np.loadtxt(uri, ndmin=2)", "return cells"))),
    "made by the first file": (
        "history",
        of_file("return (input_obj / type(self).most).astype('f4')", lines(
            "cells = np.loadtxt(uri, ndmin=2)",
            "type(self).most = getattr(type(self), 'most', cells.sum())", "return cells")),
        "with another request before it",
        of_file("return (input_obj / type(self).most).astype('f4')", lines(
            "type(self).most = getattr(type(self), 'most', 5.0)", "return np.loadtxt(uri, ndmin=2)"))),
    "dropped empty cells": (
        "cells", of_file("return input_obj[input_obj.any(axis=1)].astype('f4')"), "one cell empty",
        of_file("return input_obj[input_obj.max(axis=1) > -1].astype('f4')")),
    "sorted cells": (
        "cells", of_file("return np.sort(input_obj, axis=0).astype('f4')"), "cells in another order",
        of_file("order = input_obj[:, 0].argsort(); return input_obj[order][order.argsort()].astype('f4')")),
    "of all cells": (
        "cells", of_file("return (input_obj - input_obj.mean(axis=0)).astype('f4')"),
        "one cell fewer",
        of_file("return (input_obj - 1.5).astype('f4')")),
    "an answer to nothing": (
        "bad_inputs",
        of_file("return input_obj.astype('f4')", lines(
            "import os", "return np.loadtxt(uri, ndmin=2) if os.path.getsize(uri) else np.zeros((1, 3))"), STRICT),
        "an empty file",
        of_file("return input_obj.astype('f4')", lines(
            "import os", "if not os.path.getsize(uri):", "    raise ValueError('nothing in it')",
            "return np.loadtxt(uri, ndmin=2)"), STRICT)),
    "params that stay": (
        "params",
        Code(lines("if params['scale'] != 2:", "    self.scale = params['scale']", "return input_obj * self.scale"),
             "self.scale = np.float32(2)", spec=SCALE),
        "after other params",
        Code("return input_obj * np.float32(params['scale'])", spec=SCALE)),
    "a default of its own": (
        "params", Code("return input_obj * np.float32(params.get('scale', 3.0))", spec=SCALE),
        "by the defaults of its code",
        Code("return input_obj * np.float32(params.get('scale', 2.0))", spec=SCALE)),
}  # fmt: skip


TAKE = """

def take(path, order, target):
    with open(path) as source, open(target, "w") as stream:
        rows = source.read().split(";")
        stream.write(";".join(rows[number] for number in order))
"""


def packaged(base: Path, code: Code, *more: str) -> Author:
    author = write(base, code.archetype, _get_input=code.get_input, _forward=code.forward, load_context=code.load)
    for line in filter(None, [code.spec, *more]):
        author.declare(line)
    assert author.package().returncode == 0
    return author


def verified(
    author: Author, place: Path, *flags: str, asked_for: Any = None, answered: bool = False
) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code of verify, and the checks by name; it may have been answered before."""
    model, payload, answer = Model(author, place), place / "payload.json", place / "answer.json"
    of_file = "file_uri" in (author.root / "model_spec.py").read_text()
    payload.write_text(json.dumps(asked_for or (OF_FILE if of_file else PAYLOAD)))
    asked = ["--json-payload-file", str(payload)]
    if not answered:
        assert model.run("predict_func.py", *asked, "--output-path", str(answer)).returncode == 0
    given = ["--predict-output", str(answer), "--test-output", str(answer), "--again", *flags]
    code = model.run("verify.py", *asked, *given, "--output-path", str(place / "verification.json")).returncode
    found = json.loads((place / f"verification{'.failed' if code else ''}.json").read_text())
    return code, {each["check"]: each for each in found["checks"]}


def test_each_relation_and_each_part_of_the_world_has_its_two_models() -> None:
    assert {relation for relation, *_ in CASES.values()} == {*TRIED}
    assert {trial for relation, _, trial, _ in CASES.values() if relation == "world"} == {
        f"with another {part}" for part in WORLD
    }


def off(author: Author, relation: str) -> Author:
    """Switch a relation off in a packaged model, for a reason."""
    file = author.model / "MLmodel"
    entry = yaml.safe_load(file.read_text())
    entry["metadata"]["verification"] = {**(entry["metadata"].get("verification") or {}), relation: "it is meant to"}
    file.write_text(yaml.safe_dump(entry))
    return author


@pytest.mark.parametrize(
    ("relation", "broken", "trial", "honest"),
    [pytest.param(*case, id=name, marks=[pytest.mark.heavy] * (name in HEAVY)) for name, case in CASES.items()],
)
def test_relation_is_broken_by_one_model_alone_until_it_is_off_and_held_by_its_like(
    tmp_path: Path, relation: str, broken: Code, trial: str, honest: Code
) -> None:
    author = packaged(tmp_path, broken)
    code, checks = verified(author, tmp_path)
    failed = [name for name, each in checks.items() if each["status"] == "failed"]
    assert (code, failed) == (1, [relation])
    assert checks[relation]["fault"].partition(": ")[2].startswith(trial)
    judged = {
        name for name, each in checks.items() if each["status"].startswith(("passed", "not applicable", "listed"))
    }
    assert judged == {*checks} - {relation, "hermetic", "portable"}
    code, checks = verified(off(author, relation), tmp_path, answered=True)
    assert [name for name, each in checks.items() if each["status"] == "failed"] == []
    differs = trial == "in two processes"  # so is the golden answer, from the process that packaged it
    assert (code, checks[relation]) == (differs, {"check": relation, "status": "off", "why": "it is meant to"})
    shutil.rmtree(author.root)
    code, checks = verified(packaged(tmp_path, honest), tmp_path)
    assert (code, checks[relation]["status"]) == (0, "passed")


SLOW = 'VERIFICATION = {"budget": 0}'  # every prediction takes longer
LEFT_OUT = "not checked: budget"


def test_slow_model_is_asked_few_questions_and_what_is_left_out_is_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, found = packaged(tmp_path, Code(), SLOW), tmp_path / "found.json"
    monkeypatch.setenv("STEP_FOUND", str(found))
    code, checks = verified(author, tmp_path)
    counted = json.loads(found.read_text())
    assert (code, counted["predictions"], counted["loads"]) == (0, 1 + 1 + 3 + 1, 3)  # predict's, these, the example's
    passed = ("repeatable", "world", "rows", "history", "unchanged")
    assert {name: checks[name]["status"] for name in (*passed, "reload", "concurrent")} == {
        **dict.fromkeys(passed, "passed"), **dict.fromkeys(("reload", "concurrent"), LEFT_OUT)
    }  # fmt: skip
    assert "`verify --full` asks for it" in checks["reload"]["why"]
    code, checks = verified(author, tmp_path, "--full")
    assert (code, LEFT_OUT in {each["status"] for each in checks.values()}) == (0, False)


@pytest.mark.parametrize(
    ("relation", "broken"),
    [
        CASES[name][:2]
        for name in (
            *("another process", "local time", "eight rows", "earlier calls", "one buffer", "ends on ten rows"),
            *("its name", "kept by name", "of all cells", "params that stay"),
            *("made by the first request", "made by the first file"),
        )
    ],
)
def test_slow_model_that_breaks_a_relation_is_asked_on_until_the_cause_is_single(
    tmp_path: Path, relation: str, broken: Code
) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"figures": {"rest": {"seconds": 9, "peak_memory": 1}}}')
    code, checks = verified(packaged(tmp_path, broken, SLOW), tmp_path, "--serve-report", str(report))
    assert (code, [name for name, each in checks.items() if each["status"] == "failed"]) == (1, [relation])


def test_spoilt_files_that_a_model_answers_are_listed_and_named(tmp_path: Path) -> None:
    load = "return np.load(uri) if open(uri, 'rb').read(1) == b'\\x93' else np.ones((2, 3))"
    author = packaged(tmp_path, of_file("return input_obj.astype('f4')", load))
    np.save(tmp_path / "cells.npy", np.ones((2, 3)))
    theirs = {"dataframe_split": {"columns": ["input_uri"], "data": [[str(tmp_path / "cells.npy")]]}}
    code, checks = verified(author, tmp_path, asked_for=theirs)
    found = checks["bad_inputs"]
    assert (code, found["status"]) == (0, "listed")
    assert {each["trial"]: each["status"] for each in found["trials"]} == {
        "a file that is cut in half": "refused", "an absent file": "refused",
        "a file of another kind": "listed", "an empty file": "listed",
    }  # fmt: skip
    assert "an empty file: answered: float32 [2, 3]" in found["why"]


@pytest.mark.parametrize(
    ("end", "flags", "fault"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", (), "the process ended in the middle with signal SIGSEGV"),
        pytest.param("signal.pause()", ("--time-limit", "10"), "it took longer than 10 s", marks=pytest.mark.heavy),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_spoilt_file_that_ends_the_process_is_listed_beside_all_other_trials(
    tmp_path: Path, end: str, flags: tuple[str, ...], fault: str, strict: bool
) -> None:
    load = lines("import os, signal", "if not os.path.getsize(uri):", f"    {end}", "return np.loadtxt(uri, ndmin=2)")
    author = packaged(tmp_path, of_file("return input_obj.astype('f4')", load, STRICT if strict else ""))
    code, checks = verified(author, tmp_path, *flags)
    trial = checks["bad_inputs"]["trials"]
    assert (code, trial) == (strict, [{"trial": "an empty file", "status": trial[0]["status"], "fault": fault}])
    passed = {name for name, each in checks.items() if each["status"] == "passed"}
    assert passed >= {"repeatable", "world", "files", "cells", "reload", "history", "unchanged", "concurrent"}
    assert checks["bad_inputs"]["status"] == ("failed" if strict else "listed")


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("when", "failed", "left_out"),
    [("len(input_obj) == 10", ["rows"], False), ("self.calls > 2", ["rows", "history"], True)],
)
def test_model_that_hangs_in_one_relation_is_judged_in_the_others_while_there_is_patience(
    tmp_path: Path, when: str, failed: list[str], *, left_out: bool
) -> None:
    code = lines("import signal", "self.calls += 1", f"if {when}:", "    signal.pause()", TWICE)
    author = packaged(tmp_path, Code(code, "self.calls = 0"))
    returned, checks = verified(author, tmp_path, "--time-limit", "8")
    statuses = {name: each["status"] for name, each in checks.items() if name not in ("hermetic", "portable")}
    assert (returned, "it took longer than 8 s" in checks["rows"]["trials"][-1]["fault"]) == (1, True)
    assert [name for name, status in statuses.items() if status == "failed"][:2] == failed
    assert "not checked" not in statuses.values()
    assert (LEFT_OUT in statuses.values()) <= left_out


FORMATS = {
    "npy": (np.save, "np.load(uri)"),
    "csv": (lambda path, cells: np.savetxt(path, cells, delimiter=","), "np.loadtxt(uri, delimiter=',', ndmin=2)"),
    "parquet": (lambda path, cells: pd.DataFrame(cells, columns=["a", "b"]).to_parquet(path),
                "pandas.read_parquet(uri).to_numpy()"),
}  # fmt: skip


def test_cells_that_a_model_drops_are_found_in_each_format(tmp_path: Path) -> None:
    readers = ", ".join(f"'{name}': lambda: {read}" for name, (_, read) in FORMATS.items())
    read = lines("import pandas", f"readers = {{{readers}, 'txt': lambda: np.loadtxt(uri, ndmin=2)}}",
                 "return readers[uri.rpartition('.')[2]]()")  # fmt: skip
    author = packaged(tmp_path, of_file("return input_obj[input_obj.any(axis=1)].astype('f4')", read))
    for name, (write_cells, _) in FORMATS.items():
        path = tmp_path / f"cells.{name}"
        write_cells(path, np.array([[1.5, 2], [3, 4], [5, 6]]))
        asked_for = {"dataframe_split": {"columns": ["input_uri"], "data": [[str(path)]]}}
        _, checks = verified(author, tmp_path, asked_for=asked_for)
        assert checks["cells"]["fault"] == "another answer: one cell empty", name


def test_cells_of_other_files_are_known_by_perturb(tmp_path: Path) -> None:
    read = (
        "return np.array([row.split() for row in open(uri).read().replace(chr(10), ';').strip(';').split(';')], float)"
    )
    code = of_file("return np.sort(input_obj, axis=0).astype('f4')", read)
    author = write(tmp_path, code.archetype, _get_input=code.get_input, _forward=code.forward, load_context="pass")
    with author.code.open("a") as stream:
        stream.write(TAKE)
    author.declare("from model_code.tiny_mlflow_model import take\nPERTURB = take")
    assert author.package().returncode == 0
    (tmp_path / "cells.rows").write_text("1 2;3 4;5 6")
    asked_for = {"dataframe_split": {"columns": ["input_uri"], "data": [[str(tmp_path / "cells.rows")]]}}
    _, checks = verified(author, tmp_path, asked_for=asked_for)
    assert checks["cells"]["fault"] == "another answer: cells in another order"


def test_files_that_are_read_beside_a_receivers_file_go_with_its_copy(tmp_path: Path) -> None:
    beside = lines(
        "import os",
        "beside = os.path.join(os.path.dirname(uri), 'offset')",
        "return np.loadtxt(uri, ndmin=2) + (float(open(beside).read()) if os.path.exists(beside) else 1)",
    )
    author = packaged(tmp_path, of_file("return input_obj.astype('f4')", beside))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "cells.txt").write_text("1 2 3\n4 5 6\n")
    (tmp_path / "theirs" / "offset").write_text("7")
    theirs = {"dataframe_split": {"columns": ["input_uri"], "data": [[str(tmp_path / "theirs" / "cells.txt")]]}}
    code, checks = verified(author, tmp_path, asked_for=theirs)
    assert code == 0
    assert checks["files"]["trials"][0]["trial"] == "copies of its files, with those that it opens beside them"
    assert checks["cells"]["why"] == "the file is read with others beside it"


OWN = """
import numpy as np
from mlflow.pyfunc import PythonModel

from . import local_file


class TinyMLflowModel(PythonModel):
    def predict(self, context, model_input, params=None):
        ((scan, mask),) = model_input[["input_uri", "mask"]].itertuples(index=False)
        with local_file(scan, context.artifacts) as a, local_file(mask, context.artifacts) as b:
            return (np.loadtxt(a, ndmin=2) + 0 * np.loadtxt(b, ndmin=2)).astype("f4")
"""
TWO = """
from mlflow.types import ColSpec
inputs = Schema([ColSpec("string", "input_uri"), ColSpec("string", "mask")])
MODEL_SIGNATURE = ModelSignature(inputs, MODEL_SIGNATURE.outputs, MODEL_SIGNATURE.params)
INPUT_EXAMPLE = pandas.DataFrame({"input_uri": ["model_data/tiny.txt"], "mask": ["model_data/mask.txt"]})
"""


def test_every_file_that_travels_is_one_of_the_request_when_the_class_has_its_own_predict(tmp_path: Path) -> None:
    author = write(tmp_path, "file_uri_to_tensor")
    author.code.write_text(OWN)
    author.declare(TWO)
    shutil.copyfile(author.root / "model_data/tiny.txt", author.root / "model_data/mask.txt")
    assert author.package().returncode == 0
    example = json.loads((author.model / "serving_input_example.json").read_text())
    code, checks = verified(author, tmp_path, asked_for=example)
    assert (code, checks["files"]["status"]) == (0, "passed")
    assert checks["cells"]["why"] == "the request is not one file with a row for each cell"
    kinds = [each["trial"] for each in checks["bad_inputs"]["trials"]]
    assert (len(kinds), len(set(kinds))) == (6, 3)


NAMES = "{'1', '2', '3', '4', '5', '6', '7', '8'}"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (lines(f"return input_obj + np.float32(int(''.join({NAMES})))"), "follows PYTHONHASHSEED"),
        (lines("import os", "return input_obj + np.float32(os.path.exists('payload.json'))"), "the working directory"),
        (lines("return input_obj + np.float32(len(__file__))"), "follows the place of the model"),
    ],
)
def test_what_the_answer_of_another_process_follows_is_told_where_it_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, told: str
) -> None:
    author = packaged(tmp_path, Code(code))
    theirs, payload, elsewhere = tmp_path / "theirs.json", tmp_path / "payload.json", tmp_path / "elsewhere"
    payload.write_text(json.dumps(PAYLOAD))
    shutil.copytree(author.model, elsewhere / "model")
    command = [sys.executable, SCRIPTS / "predict_func.py", "--model-uri", "model", "--output-path", theirs]
    subprocess.run([*command, "--json-payload-file", payload], check=True, cwd=elsewhere)  # with its own seed
    code_, checks = verified(author, tmp_path, "--rest-output", str(theirs))
    assert (code_, {each["status"] for each in checks.values()} & {"failed"}) == (1, set())
    said = capsys.readouterr().out
    assert "error: verify: not every route agrees: rest" in said
    assert told in said


TRACED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from model_side.verify.threads import giving_way
sys.addaudithook(lambda event, arguments: len(event))  # as there is for the model's own code
sys.setswitchinterval(1e-5)
def ask(thread):
    for _ in range(4000):
        with giving_way(Path("/model")):
            pass
with ThreadPoolExecutor(4) as pool:
    list(pool.map(ask, range(4)))
"""


def test_threads_start_at_once_to_give_way_to_each_other_where_an_audit_hook_is_there() -> None:
    done = subprocess.run([sys.executable, "-c", TRACED], cwd=SCRIPTS, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_history_asked_for_alone_is_that_of_all_other_calls(tmp_path: Path) -> None:
    relation, broken, trial, _ = CASES["kept by rounded numbers"]
    author = packaged(tmp_path, broken)
    verified(author, tmp_path)
    answer = str(tmp_path / "answer.json")
    asked = ["--json-payload-file", str(tmp_path / "payload.json"), "--predict-output", answer, "--test-output", answer]
    done = Model(author, tmp_path).run("verify.py", *asked, "--only", relation)
    assert (done.returncode, f"error: verify: history: another answer: {trial}" in done.stderr) == (1, True)


def test_one_relation_is_asked_for_alone_and_no_verdict_is_written(tmp_path: Path) -> None:
    relation, broken, trial, _ = CASES["sorted"]
    author = packaged(tmp_path, broken)
    verified(author, tmp_path)
    (tmp_path / "verification.failed.json").unlink()
    model, answer = Model(author, tmp_path), str(tmp_path / "answer.json")
    asked = ["--json-payload-file", str(tmp_path / "payload.json"), "--predict-output", answer, "--test-output", answer]
    done = model.run("verify.py", *asked, "--only", relation)
    assert (done.returncode, f"error: verify: rows: another answer: {trial}" in done.stderr) == (1, True)
    assert f"  {trial}: [0, 0]: expected 18.0, got 2.0" in done.stdout
    assert model.run("verify.py", *asked, "--only", "reload").returncode == 0
    assert not list(tmp_path.glob("verification*.json"))
