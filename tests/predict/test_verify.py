"""verify: routes that agree leave verification.json, routes that differ never do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import verify as command

from model_side.base.errors import run_main
from model_side.output.files import write_golden
from model_side.verify.checks import TRIED as ASKED_AGAIN
from model_side.verify.checks import UNPROVEN, held_checks, lines

Make = Callable[..., Path]
Check = Callable[..., int]
Capture = pytest.CaptureFixture[str]

PAIR = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
COLUMNS = [{"type": "double", "name": "score"}, {"type": "string", "name": "label"}]
ANSWER = [[0.5, 1.5]]
UUID = "5eca" * 8


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., int]:
    """Return a function that writes answers, what serve_predict.py reports and the payload, and runs verify on them."""

    def run(
        model: Path, predicted: Any, served: Any, payload: Any = None, *, rest: Any = None, report: Any = None
    ) -> int:
        argv = ["--model-uri", str(model), "--output-path", str(tmp_path / "verification.json")]
        answers = {"predict": predicted, "test": served, "rest": rest}
        files = {f"--{name}-output": {"predictions": each} for name, each in answers.items() if each is not None}
        files |= {"--serve-report": report} if report else {}
        files |= {"--json-payload-file": payload} if payload else {}
        for flag, content in files.items():
            path = tmp_path / f"{flag}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            argv += [flag, str(path)]
        return run_main(lambda: command.main(argv))

    return run


def result(tmp_path: Path, name: str = "verification.json") -> dict[str, Any]:
    made: dict[str, Any] = json.loads((tmp_path / name).read_text(encoding="utf-8"))
    return made


def statuses(tmp_path: Path, name: str = "verification.json") -> dict[str, str]:
    return {route["route"]: route["status"] for route in result(tmp_path, name)["routes"][1:]}  # the first is "direct"


def route_of(tmp_path: Path, route: str, name: str = "verification.json") -> dict[str, Any]:
    return next(each for each in result(tmp_path, name)["routes"] if each["route"] == route)


def test_verdict_is_written_when_routes_agree(model_dir: Make, check: Check, tmp_path: Path) -> None:
    model = model_dir(PAIR)
    mlmodel = json.loads((model / "MLmodel").read_text(encoding="utf-8"))
    (model / "MLmodel").write_text(json.dumps({**mlmodel, "model_uuid": UUID}), encoding="utf-8")
    assert check(model, ANSWER, [[0.5, 1.5000001]]) == 0
    made = result(tmp_path)
    assert made["ok"] is True
    assert made["model_uuid"] == UUID
    assert made["tolerance"] == {"rtol": 1e-05, "atol": 0.0}
    served = route_of(tmp_path, "served")
    assert (served["status"], served["shape"], served["dtype"]) == ("agrees", [1, 2], "float32")
    assert 0 < served["max_absolute"] < 1e-6
    assert str(tmp_path) not in (tmp_path / "verification.json").read_text(encoding="utf-8")


def test_verdict_is_kept_aside_and_cells_are_shown_when_routes_differ(
    model_dir: Make, check: Check, tmp_path: Path, capsys: Capture
) -> None:
    model = model_dir(PAIR)
    assert check(model, ANSWER, [[0.5, 1.6]]) == 1
    assert not (tmp_path / "verification.json").exists()
    assert statuses(tmp_path, "verification.failed.json") == {"in-process": "agrees", "served": "differs"}
    cell = route_of(tmp_path, "served", "verification.failed.json")["differing"][0]
    assert (cell["index"], cell["expected"]) == ([0, 1], 1.5)
    said = "".join(capsys.readouterr())
    assert "[0, 1]: in-process 1.5, served 1.6" in said
    assert "verify: not every route agrees: served" in said
    assert f"The answers are in {tmp_path / '--predict-output.json'} and {tmp_path / '--test-output.json'}." in said
    assert check(model, ANSWER, ANSWER) == 0
    assert not (tmp_path / "verification.failed.json").exists()
    assert check(model, ANSWER, [[0.5, 1.6]]) == 1
    assert not (tmp_path / "verification.json").exists()  # nobody takes the earlier one for a proof of this model


def test_only_what_verify_wrote_is_removed_when_its_directory_holds_more(
    model_dir: Make, check: Check, tmp_path: Path
) -> None:
    model, kept = model_dir(PAIR), tmp_path / "verification.failed"
    kept.mkdir()
    (kept / "direct.npz").write_bytes(b"of an earlier run")
    assert check(model, ANSWER, ANSWER) == 0
    assert not kept.exists()
    kept.mkdir()
    for name in ("direct.npz", "notes.txt"):
        (kept / name).write_bytes(b"mine")
    assert check(model, ANSWER, [[0.5, 1.6]]) == 1
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("alone", [False, True])
def test_advice_is_given_when_the_served_answer_alone_differs_and_was_without_other_files(
    model_dir: Make, check: Check, capsys: Capture, *, alone: bool
) -> None:
    report = {"portable": "passed", "without_network": True, "without_other_files": alone, "used_from_outside": USED}
    assert check(model_dir(PAIR), ANSWER, [[0.5, 1.6]], rest=ANSWER, report=report) == 1
    assert ("a file that the model reads where there is one" in capsys.readouterr().err) == alone


@pytest.mark.parametrize(("served", "told"), [([[0.5, 1.6]], True), (ANSWER, False)])
def test_variables_that_a_receiver_does_not_have_are_told_when_the_served_answer_differs(
    model_dir: Make, check: Check, capsys: Capture, served: Any, *, told: bool
) -> None:
    report = {"used_from_outside": {"files": [], "network": [], "programs": [], "variables": ["REF_SCALE"]}}
    assert check(model_dir(PAIR), ANSWER, served, report=report) == int(told)
    said = "".join(capsys.readouterr())
    assert ("It looked for REF_SCALE, which is set here and not where a receiver runs the model" in said) == told
    assert ('VERIFICATION = {"environment": ["REF_SCALE"]}' in said) == told


def test_rest_counts_as_a_route_when_its_answer_is_given(
    model_dir: Make, check: Check, tmp_path: Path, capsys: Capture
) -> None:
    assert check(model_dir(PAIR), ANSWER, ANSWER, rest=[[0.5, 1.6]]) == 1
    agree = {"in-process": "agrees", "served": "agrees", "rest": "differs"}
    assert statuses(tmp_path, "verification.failed.json") == agree
    assert "not every route agrees: rest" in capsys.readouterr().err


USED: dict[str, list[str]] = {"files": ["~/weights.bin"], "network": ["example.org"], "programs": []}
NOTHING: dict[str, list[str]] = {"files": [], "network": [], "programs": []}
LOOKED_FOR = {**NOTHING, "files": ["~/.cache/x"]}


TRIED = {"repeatable": [{"trial": "twice", "status": "agrees"}], "concurrent": [{"trial": "4", "status": "differs"}]}
UNKNOWN = dict.fromkeys(("hermetic", "portable", *ASKED_AGAIN), "not checked")


@pytest.mark.parametrize(
    ("settings", "report", "trials", "expected"),
    [
        ({}, {}, {}, {}),
        (
            {},
            {"used_from_outside": USED, "portable": "passed", "without_network": True},
            {},
            {"hermetic": "failed", "portable": "passed"},
        ),
        ({"network": True}, {"used_from_outside": USED}, {}, {"hermetic": UNPROVEN}),
        ({"network": True}, {"used_from_outside": {**USED, "files": []}}, {}, {"hermetic": "passed"}),
        ({}, {"used_from_outside": {**USED, "network": []}}, {}, {"hermetic": UNPROVEN}),
        ({}, {"used_from_outside": NOTHING}, {}, {"hermetic": "passed"}),
        ({}, {"used_from_outside": {**NOTHING, "programs": ["samtools"]}}, {}, {"hermetic": "passed"}),
        ({}, {"used_from_outside": LOOKED_FOR, "without_other_files": True}, {}, {"hermetic": "passed"}),
        (
            {"hermetic": False, "portable": False},
            {"used_from_outside": USED},
            {},
            dict.fromkeys(("hermetic", "portable"), "off"),
        ),
        ({}, {}, TRIED, {"repeatable": "passed", "concurrent": "failed"}),
        ({}, {"equal_answers_at_once": 4}, {}, {"concurrent": "passed"}),
        ({}, {"equal_answers_at_once": 4}, TRIED, {"repeatable": "passed", "concurrent": "failed"}),
        ({"repeatable": False, "concurrent": False}, {}, TRIED, dict.fromkeys(TRIED, "off")),
    ],
)
def test_checks_follow_what_was_seen_and_the_models_settings(
    settings: dict[str, bool], report: dict[str, Any], trials: dict[str, Any], expected: dict[str, str]
) -> None:
    checks = {check["check"]: check["status"] for check in held_checks({"verification": settings}, report, trials)}
    assert checks == {**UNKNOWN, **expected}


def test_verdict_is_no_when_a_prediction_uses_the_network(
    model_dir: Make, check: Check, tmp_path: Path, capsys: Capture
) -> None:
    assert check(model_dir(PAIR), ANSWER, ANSWER, report={"used_from_outside": USED}) == 1
    said = capsys.readouterr().err
    assert "verify: hermetic: the prediction uses the network: example.org" in said
    assert result(tmp_path, "verification.failed.json")["checks"][0]["files"] == ["~/weights.bin"]


@pytest.mark.parametrize(
    ("alone", "line"),
    [
        (True, "hermetic    passed          it did without ~/.cache/x"),
        (False, f"hermetic    {UNPROVEN} it uses, from outside: files: ~/.cache/x"),
    ],
)
def test_files_from_outside_are_told_as_what_the_prediction_had_or_did_without(
    model_dir: Make, check: Check, capsys: Capture, line: str, *, alone: bool
) -> None:
    report = {"used_from_outside": LOOKED_FOR, "without_other_files": alone}
    assert check(model_dir(PAIR), ANSWER, ANSWER, report=report) == 0
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("outputs", "one", "other", "told"),
    [
        (
            PAIR,
            ANSWER,
            [[0.5, 1.6]],
            "Floats are up to absolute 0.1, relative 0.0667 apart; TOLERANCE allows atol 0, r",
        ),
        (COLUMNS, [{"score": 0.5, "label": "a"}], [{"score": 0.5, "label": "b"}], ""),
        (PAIR, ANSWER, [[0.5]], ""),
    ],
)
def test_tolerance_is_told_when_floats_differ(
    model_dir: Make, check: Check, capsys: Capture, outputs: Any, one: Any, other: Any, told: str
) -> None:
    assert check(model_dir(outputs), one, other) == 1
    said = capsys.readouterr().err
    assert told in said
    assert ("TOLERANCE" in said) == bool(told)


def test_distance_is_told_when_repeated_answers_are_apart_within_the_tolerance() -> None:
    trials = {"repeatable": [{"trial": "twice", "status": "agrees", "max_absolute": 1e-7}]}
    said = lines(held_checks({}, {}, trials))
    assert "repeatable  passed          twice, at most 1e-07 apart, within TOLERANCE" in said.splitlines()


def test_tolerance_is_the_models_when_its_metadata_has_one(model_dir: Make, check: Check) -> None:
    assert check(model_dir(PAIR, tolerance={"rtol": 0.1, "atol": 0.0}), ANSWER, [[0.5, 1.6]]) == 0


@pytest.mark.parametrize(
    ("served", "fault"),
    [
        ([["a", 1.5]], "expected float32, got <U"),
        ([[0.5]], "wrong shape: expected (-1, 2), got (1, 1)"),
        ([[0.5, float("nan")]], "NaN or infinite"),
        ([[0.5, 1.5], [0.5, 1.5]], "expected float32 [1, 2], got float32 [2, 2]"),
    ],
)
def test_fault_is_told_when_an_answer_does_not_fit(
    model_dir: Make, check: Check, tmp_path: Path, served: Any, fault: str
) -> None:
    assert check(model_dir(PAIR), ANSWER, served) == 1
    assert fault in route_of(tmp_path, "served", "verification.failed.json")["fault"]


def test_null_agrees_with_bare_nan_and_infinity_when_the_model_allows_them(model_dir: Make, check: Check) -> None:
    model = model_dir(PAIR, allow_nan=True)
    assert check(model, [[None, None]], [[float("nan"), float("inf")]]) == 0
    assert check(model, [[None, 1.0]], [[float("nan"), float("nan")]]) == 1


def test_golden_output_counts_when_the_payload_is_the_example(
    model_dir: Make, check: Check, tmp_path: Path, capsys: Capture
) -> None:
    model = model_dir(PAIR)
    write_golden([[0.5, 1.7]], model)
    assert check(model, ANSWER, ANSWER, {"dataframe_records": [{"uri": "other"}]}) == 0
    golden = {"route": "golden", "status": "not available", "why": "the payload is not the model's example"}
    assert route_of(tmp_path, "golden") == golden
    assert check(model, ANSWER, ANSWER, {"dataframe_records": [{"uri": "a"}]}) == 1
    assert statuses(tmp_path, "verification.failed.json")["golden"] == "differs"
    said = "".join(capsys.readouterr())
    assert "[0, 1]: in-process 1.5, golden 1.7" in said
    assert f"The answers are in {tmp_path / '--predict-output.json'} and {model / 'golden_output.json'}." in said
    assert "golden is what the model gave when it was packaged: package it again if it is meant to give another" in said
    write_golden(ANSWER, model)
    assert check(model, ANSWER, ANSWER, {"dataframe_records": [{"uri": "a"}]}) == 0
    assert statuses(tmp_path)["golden"] == "agrees"


def test_golden_output_of_an_earlier_version_counts(model_dir: Make, check: Check, tmp_path: Path) -> None:
    model = model_dir(PAIR)
    np.savez(model / "golden_output.npz", output=np.array([[0.5, 1.7]], "float32"))
    assert check(model, ANSWER, ANSWER, {"dataframe_records": [{"uri": "a"}]}) == 1
    assert statuses(tmp_path, "verification.failed.json")["golden"] == "differs"


@pytest.mark.parametrize("text", ["", "{}", '{"predictions": [["a", 1.0]]}'])
def test_golden_output_that_cannot_be_read_is_named(
    model_dir: Make, check: Check, tmp_path: Path, text: str, capsys: Capture
) -> None:
    model = model_dir(PAIR)
    (model / "golden_output.json").write_text(text)
    assert check(model, ANSWER, ANSWER, {"dataframe_records": [{"uri": "a"}]}) == 1
    assert "golden_output.json: " in capsys.readouterr().out


def test_columns_of_the_table_stand_apart_when_the_differences_are_long(
    model_dir: Make, check: Check, capsys: Capture
) -> None:
    rows = [[{"score": score, "label": "a"}] for score in (0.9773192623301518, 0.9772204719730203)]
    check(model_dir(COLUMNS), *rows)
    assert " 9.88e-05   0.000101   label: " in capsys.readouterr().out


def test_columns_are_compared_by_name_when_the_output_is_a_table(model_dir: Make, check: Check, tmp_path: Path) -> None:
    model, rows = model_dir(COLUMNS), [{"score": 0.5, "label": "a"}]
    write_golden(rows, model)
    assert check(model, rows, rows, {"inputs": {"uri": ["a"]}}) == 0
    assert route_of(tmp_path, "golden")["shape"] == {"score": [1], "label": [1]}
    assert check(model, rows, [{"score": 0.5, "label": "b"}]) == 1
    cell = route_of(tmp_path, "served", "verification.failed.json")["differing"][0]
    assert cell == {"index": ["label", 0], "expected": "a", "got": "b"}


def test_answer_is_named_when_it_is_missing_or_no_answer(model_dir: Make, tmp_path: Path, capsys: Capture) -> None:
    argv = ["--model-uri", str(model_dir(PAIR)), "--output-path", str(tmp_path / "v.json")]
    argv += ["--predict-output", str(tmp_path / "none.json"), "--test-output", str(tmp_path / "none.json")]
    assert run_main(lambda: command.main(argv)) == 2
    assert "none.json: cannot be read" in capsys.readouterr().err


def test_mlflow_and_pandas_are_not_imported_when_verify_runs() -> None:
    code = "import sys, verify; print(sorted({'mlflow', 'pandas'} & set(sys.modules)))"
    scripts = Path(command.__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
