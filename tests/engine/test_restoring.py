"""Going back: a step whose inputs were seen before is restored, not run."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from engine import Step, build, status
from engine.runner import Builder
from engine.walk import Pipeline, Result

from .workshop import Workshop


def edit(shop: Workshop, number: int) -> None:
    (shop.root / "spec.py").write_text(f"SPEC = {number}\n")
    (shop.root / "reqs.in").write_text(f"numpy=={number}\n")


def acted(result: Result) -> dict[str, str]:
    assert result.ok, [str(outcome.error) for outcome in result.outcomes if outcome.error]
    return {each.step: str(each.action) for each in result.outcomes if each.action != "up-to-date"}


def test_undone_edit_restores_every_step_with_when_and_why_it_was_made(built: Workshop) -> None:
    first, started = built.targets(), time.time()
    built.params["depth"] = "4"
    edit(built, 1)
    assert set(acted(built.build()).values()) == {"ran"}
    second = built.targets()
    built.params["depth"] = "3"
    (built.root / "spec.py").write_text("SPEC = 1\n")
    (built.root / "reqs.in").write_text("# my pins\nnumpy\n")
    result = built.build()
    assert acted(result) == dict.fromkeys(["pin", "env", "model", "payload", "predict", "verify"], "restored")
    assert built.targets() == first
    at, reasons = next(each.made for each in result.outcomes if each.step == "model")
    assert reasons == ("never built",)
    assert at < started
    assert built.build().up_to_date
    built.params["depth"] = "4"
    edit(built, 1)
    result = built.build()
    assert set(acted(result).values()) == {"restored"}
    assert "depth changed" in next(each.made for each in result.outcomes if each.step == "model")[1]
    assert built.targets() == second
    assert not list((built.root / ".pipeline").glob("aside/*"))


def test_step_runs_where_nothing_is_to_be_restored(built: Workshop) -> None:
    edit(built, 1)
    assert built.build().ok
    (built.root / "verdict").unlink()
    assert acted(built.build(restore=False)) == {"verify": "ran"}
    assert acted(built.build(force=["verify"])) == {"verify": "ran"}
    (built.root / "verdict").unlink()
    assert [each.action for each in built.status().outcomes][-1] == "would-run"
    assert acted(built.build()) == {"verify": "restored"}


def test_damaged_result_costs_a_run_and_one_line(built: Workshop, capfd: pytest.CaptureFixture[str]) -> None:
    shelf = built.root / ".pipeline" / "kept" / "verify"
    for damage in ("object", "entry"):
        before = built.targets()
        (built.root / "verdict").unlink()
        place = next(shelf.glob("objects/*") if damage == "object" else shelf.glob("*.json"))
        place.write_text("nonsense")
        assert acted(built.build()) == {"verify": "ran"}
        assert built.targets() == before
        assert capfd.readouterr().err.count("damaged") == 1
        (built.root / "verdict").unlink()
        assert acted(built.build()) == {"verify": "restored"}


def test_failure_is_not_restored(built: Workshop) -> None:
    edit(built, 1)
    built.commands["model"] = "mkdir model; touch model/code; exit 1"
    for _ in range(2):
        assert [each.action for each in built.build().outcomes][3] == "failed"


def test_edit_of_a_target_is_never_overwritten(built: Workshop) -> None:
    edit(built, 1)
    assert built.build().ok
    (built.root / "payload").write_text("mine\n")
    assert built.build().ok
    (built.root / "spec.py").write_text("SPEC = 1\n")
    (built.root / "reqs.in").write_text("# my pins\nnumpy\n")
    assert acted(built.build())["model"] == "restored"
    assert (built.root / "payload").read_text() == "mine\n"
    assert (built.root / "output").read_text().endswith("mine\n")
    assert built.build().up_to_date


@pytest.mark.parametrize("stray", ["there/stray", "there/made"])
def test_what_no_step_has_made_is_left_to_the_steps_own_command(tmp_path: Path, stray: str) -> None:
    def step(number: int) -> list[Step]:
        line = "test ! -e there/stray && mkdir -p there && echo {n} > there/made"
        return [Step("make", line, [], ["there"], params={"n": number}, atomic=True)]

    for number in (1, 2):
        assert acted(build(step(number), root=tmp_path)) == {"make": "ran"}
    (tmp_path / stray).write_text("an author's\n")
    result = build(step(1), root=tmp_path)
    assert result.outcomes[0].action == ("failed" if stray == "there/stray" else "ran")
    assert (tmp_path / stray).exists()


def test_what_does_not_count_in_a_directory_stays_when_it_is_restored(tmp_path: Path) -> None:
    def step(number: int) -> list[Step]:
        line = "mkdir -p there/deep/er && echo {n} > there/made && echo run > there/run && chmod +x there/run"
        return [Step("make", line, [], ["there"], params={"n": number}, ignored=["there/notes"], atomic=True)]

    for number in (1, 2):
        assert acted(build(step(number), root=tmp_path)) == {"make": "ran"}
    (tmp_path / "there" / "notes").mkdir()
    (tmp_path / "there" / "notes" / "mine").write_text("an author's\n")
    assert acted(build(step(1), root=tmp_path)) == {"make": "restored"}
    assert (tmp_path / "there" / "made").read_text() == "1\n"
    assert (tmp_path / "there" / "notes" / "mine").read_text() == "an author's\n"
    assert (tmp_path / "there" / "deep" / "er").is_dir()
    assert os.access(tmp_path / "there" / "run", os.X_OK)
    assert not os.access(tmp_path / "there" / "made", os.X_OK)


def test_step_that_does_more_than_make_its_targets_is_not_restored(tmp_path: Path) -> None:
    def steps(number: int) -> list[Step]:
        return [
            Step("tell", "echo {n} >> said; echo {n} > told", [], ["told"], params={"n": number}, restorable=False),
            Step("link", "ln -s told linked; echo {n} > here", ["told"], ["linked", "here"], params={"n": number}),
        ]

    for number in (1, 2, 1):
        assert set(acted(build(steps(number), root=tmp_path)).values()) == {"ran"}
    assert (tmp_path / "said").read_text() == "1\n2\n1\n"


def test_former_result_fits_by_what_its_command_read_beside_its_dependencies(tmp_path: Path) -> None:
    line = 'read name < which; cat "$name" > out; echo "{\\"inputs\\": [\\"$name\\"]}" > $STEP_FOUND'
    steps = [Step("read", line, ["which"], ["out"])]

    def actions(which: str, content: str) -> dict[str, str]:
        (tmp_path / "which").write_text(f"{which}\n")
        (tmp_path / which).write_text(content)
        return acted(build(steps, root=tmp_path))

    assert actions("a", "1") == {"read": "ran"}
    assert actions("b", "2") == {"read": "ran"}
    assert actions("a", "1") == {"read": "restored"}
    assert actions("b", "3") == {"read": "ran"}
    assert actions("b", "2") == {"read": "restored"}
    assert (tmp_path / "out").read_text() == "2"
    assert status(steps, root=tmp_path).up_to_date


def test_large_result_is_kept_when_it_is_replaced_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kept.COPIED_BYTES", 100)

    def step(number: object) -> list[Step]:
        line = "mkdir .new && seq 1000 > .new/weights && echo {n} > .new/n && mkdir -p m && mv .new/* m/ && rmdir .new"
        return [Step("make", f"{line} && test {{n}} != bad", [], ["m"], params={"n": number}, atomic=True)]

    weights = tmp_path / "m" / "weights"
    for number in ("1", "2"):
        assert acted(build(step(number), root=tmp_path)) == {"make": "ran"}
    for number in ("1", "2", "1"):
        assert acted(build(step(number), root=tmp_path)) == {"make": "restored"}
        assert (tmp_path / "m" / "n").read_text() == f"{number}\n"
        assert weights.stat().st_nlink == 1
    assert not build(step("bad"), root=tmp_path).ok
    assert weights.stat().st_nlink == 1


def test_environment_is_moved_there_and_back(tmp_path: Path) -> None:
    def step(number: int) -> list[Step]:
        line = "mkdir -p env/lib/python3.11/site-packages/a-{n}.dist-info env/bin; echo home = /usr > env/pyvenv.cfg; "
        line += "echo {n} > env/lib/python3.11/site-packages/a-{n}.dist-info/RECORD; touch env/bin/python"
        return [Step("sync", line, [], ["env"], params={"n": number})]

    for number in (1, 2):
        assert acted(build(step(number), root=tmp_path)) == {"sync": "ran"}
    for number in (1, 2, 1):
        assert acted(build(step(number), root=tmp_path)) == {"sync": "restored"}
        assert (tmp_path / f"env/lib/python3.11/site-packages/a-{number}.dist-info/RECORD").is_file()
    assert build(step(1), root=tmp_path).up_to_date
    shutil.rmtree(tmp_path / "env")
    assert acted(build(step(1), root=tmp_path)) == {"sync": "ran"}


def test_former_results_are_listed_and_pruned(built: Workshop) -> None:
    from chain.former import as_text, former_results
    from chain.packages import Package

    (built.root.parent / "shop_mlflow_pkg").symlink_to(built.root)
    packages = [Package("shop", built.root.parent)]
    for prune in ("", "1"):
        kept = former_results(packages, prune)
        assert [facts["step"] for facts in kept if facts["results"] == 1] == sorted(each.name for each in built.steps())
    assert as_text(kept).endswith(f"former results: 7, {sum(facts['bytes'] for facts in kept) / 1e6:.1f} MB")
    assert sum(facts["removed"] for facts in former_results(packages, "0")) == 7
    (built.root / "verdict").unlink()
    assert acted(built.build()) == {"verify": "ran"}


def test_clones_share_what_they_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_CACHE", str(tmp_path / "shared"))
    steps = [Step("make", "cat in > out", ["in"], ["out"])]
    for clone, action in (("one", "ran"), ("two", "restored")):
        root = tmp_path / clone / "package"
        root.mkdir(parents=True)
        (root / "in").write_text("the same\n")
        assert acted(build(steps, root=root)) == {"make": action}
        assert (root / "out").read_text() == "the same\n"
        assert not (root / ".pipeline" / "kept").exists()


def test_few_former_results_of_a_step_are_kept(tmp_path: Path) -> None:
    def step(number: int) -> list[Step]:
        return [Step("make", "echo {n} > out", [], ["out"], params={"n": number})]

    for number in range(20):
        assert acted(build(step(number), root=tmp_path)) == {"make": "ran"}
    shelf = tmp_path / ".pipeline" / "kept" / "make"
    assert len([*shelf.glob("*.json")]) == len([*shelf.glob("objects/*")]) == 12
    assert acted(build(step(12), root=tmp_path)) == {"make": "restored"}
    assert acted(build(step(1), root=tmp_path)) == {"make": "ran"}


def test_evidence_of_a_failure_goes_when_a_success_is_restored(tmp_path: Path) -> None:
    def step(number: int) -> list[Step]:
        line = "test {n} -lt 3 && echo {n} > out || (echo why > why; exit 1)"
        return [Step("prove", line, [], ["out"], params={"n": number}, evidence=["why"], atomic=True)]

    assert [build(step(number), root=tmp_path).ok for number in (1, 2, 3)] == [True, True, False]
    assert (tmp_path / "why").exists()
    assert acted(build(step(1), root=tmp_path)) == {"prove": "restored"}
    assert not (tmp_path / "why").exists()


def test_what_was_restored_is_told_as_json_and_in_the_closing_line(built: Workshop) -> None:
    from chain import report

    (built.root / "verdict").unlink()
    pipeline = Pipeline(built.root, tuple(built.steps()), "shop")
    (result,) = Builder().build_all([pipeline])
    assert "1 restored, 6 up to date" in report.sentence(result)
    step = json.loads(report.document([result]))["models"][0]["steps"][-1]
    assert (step["action"], step["reasons"]) == ("restored", ["verdict missing"])
    assert step["made"]["reasons"] == ["never built"]
    assert "error" not in step
    assert f"restored    made {step['made']['at']}: never built" in report.line(result.outcomes[-1])


def test_result_beside_a_kept_edit_is_not_taken_for_one_of_these_inputs(tmp_path: Path) -> None:
    def step(number: int) -> list[Step]:
        line = "test -e out || echo {n} > out; echo {n} > other"
        return [Step("make", line, [], ["out", "other"], params={"n": number}, editable=["out"])]

    assert build(step(1), root=tmp_path).ok
    (tmp_path / "out").write_text("mine\n")
    assert acted(build(step(2), root=tmp_path)) == {"make": "ran"}
    (tmp_path / "out").unlink()
    assert acted(build(step(2), root=tmp_path)) == {"make": "ran"}
    assert (tmp_path / "out").read_text() == "2\n"


@pytest.mark.parametrize("copied", [0, 1 << 20])
def test_other_result_of_the_same_inputs_replaces_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    monkeypatch.setattr("engine.kept.COPIED_BYTES", copied)
    steps = [Step("make", "head -c 1000 /dev/urandom > out", [], ["out"])]
    for _ in range(4):
        assert build(steps, root=tmp_path, force=["make"]).ok
    assert len([*(tmp_path / ".pipeline" / "kept" / "make").glob("objects/*")]) <= 1


@pytest.mark.parametrize("copied", [0, 1 << 20])
def test_former_results_of_a_package_have_a_limit_in_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    monkeypatch.setattr("engine.kept.COPIED_BYTES", copied)
    monkeypatch.setattr("engine.kept.MOST_BYTES", 5000)

    def steps(number: int) -> list[Step]:
        line = "head -c 1000 /dev/urandom > {name}"
        return [Step(name, line, [], [name], params={"n": number, "name": name}) for name in ("one", "two")]

    for number in range(6):
        assert build(steps(number), root=tmp_path).ok
    kept = [*(tmp_path / ".pipeline" / "kept").glob("*/objects/*")]
    assert 3000 <= sum(path.stat().st_size for path in kept) <= 5000
    assert set(acted(build(steps(4), root=tmp_path)).values()) == {"restored"}
    assert set(acted(build(steps(0), root=tmp_path)).values()) == {"ran"}


def test_environment_does_not_go_to_another_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_CACHE", str(tmp_path / "shared"))
    line = "mkdir -p env/lib/python3.11/site-packages env/bin; echo {n} > env/n; echo home = /usr > env/pyvenv.cfg; "
    line += 'echo "#!$PWD/env/bin/python" > env/bin/tool; touch env/bin/python'
    for clone, number in (("one", 1), ("one", 2), ("two", 1)):
        root = tmp_path / clone / "package"
        root.mkdir(parents=True, exist_ok=True)
        assert acted(build([Step("sync", line, [], ["env"], params={"n": number})], root=root)) == {"sync": "ran"}
        assert str(root) in (root / "env" / "bin" / "tool").read_text()
