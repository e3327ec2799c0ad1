"""Builds that are killed with SIGKILL at every kind of instant, and random histories: the result is a clean build's."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from engine import Step, build

from .workshop import REPOSITORY, Workshop, child_environment, new_workshop

SLOW_MODEL = (
    "mkdir model; for n in $(seq 400); do echo $n >> model/part; done;"
    " cat code/*.py code/deep/*.py spec.py > model/code; cp data/weights model/; rm model/part;"
    " wc -c < env/lib > model/env"
)


def build_and_die(shop: Workshop, after_events: int, target: str = "") -> bool:
    """Build in a process of its own that kills itself before its n-th event; tell whether it was killed.

    Never by a fork of this process: it has threads, and a fault in the child would run on as the test runner.
    """
    call = [sys.executable, "-m", "tests.engine.workshop", json.dumps(shop.as_arguments()), str(after_events), target]
    done = subprocess.run(call, env=child_environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def edit(shop: Workshop, number: int) -> None:
    (shop.root / "spec.py").write_text(f"SPEC = {number}\n")
    (shop.root / "reqs.in").write_text(f"numpy=={number}\n")


def kill_many(shop: Workshop, instants: list[int], edits: int = 1000) -> int:
    """Kill a build after each edit; of fewer edits than instants, the later ones are restored."""
    shop.commands["model"] = SLOW_MODEL
    assert shop.build().ok
    killed = 0
    for number, instant in enumerate(instants):
        edit(shop, number % edits)
        killed += build_and_die(shop, instant)
        if number % 7 == 0:
            killed += build_and_die(shop, instant // 3)
        assert shop.build().ok
        assert shop.targets() == shop.clean_build()
        assert shop.ran() == []
        assert not list((shop.root / ".pipeline").glob("aside/*"))
    return killed


def test_next_build_is_right_after_kills_at_some_instants(workshop: Workshop) -> None:
    assert kill_many(workshop, random.Random(1).sample(range(150), 15)) >= 10


def test_next_build_is_right_after_kills_at_some_instants_of_restoring(workshop: Workshop) -> None:
    assert kill_many(workshop, random.Random(3).sample(range(150), 12), edits=2) >= 8


@pytest.mark.heavy
def test_next_build_is_right_after_kills_at_every_instant_of_restoring(workshop: Workshop) -> None:
    assert kill_many(workshop, [*range(300)], edits=2) >= 250


@pytest.mark.heavy
def test_next_build_is_right_after_kills_at_every_instant(workshop: Workshop) -> None:
    """Each number of events in turn, until builds are long done before the kill: no instant is left out."""
    assert kill_many(workshop, [*range(220), *random.Random(2).sample(range(220), 40)]) >= 200


def test_proof_is_gone_when_a_build_was_killed_between_the_proof_and_its_record(tmp_path: Path) -> None:
    code = "from engine import Step, build; line = 'echo > ok; kill -9 $PPID; sleep 1000'; "
    code += "build([Step('check', line, [], ['ok'], atomic=True, proofs=['ok'])])"
    subprocess.run([sys.executable, "-c", code], env=child_environment(), cwd=tmp_path, check=False)
    assert (tmp_path / "ok").exists()
    assert build([Step("check", "exit 1", [], ["ok"], atomic=True, proofs=["ok"])], root=tmp_path).exit_code == 1
    assert not (tmp_path / "ok").exists()


def test_old_targets_come_back_before_anything_reads_them_when_a_step_was_killed(built: Workshop) -> None:
    before = built.targets()
    built.commands["model"] = "mkdir model; echo half > model/code; kill -9 $PPID; sleep 1000"
    edit(built, 1)
    assert build_and_die(built, 10_000, target="model")
    built.commands.clear()
    (built.root / "spec.py").write_text("SPEC = 1\n")
    (built.root / "reqs.in").write_text("# my pins\nnumpy\n")
    assert [outcome.step for outcome in built.status().outcomes if "interrupted" in str(outcome.reasons[:1])]
    assert built.ran() == ["pin", "env", "model"] or built.ran() == []
    assert built.targets() == before


def test_payload_that_nobody_edited_is_not_taken_for_an_authors_when_its_step_was_killed(built: Workshop) -> None:
    line = "test -f payload || (wc -c < model/code > payload)"
    built.commands["payload"] = f"{line}; kill -9 $PPID; sleep 1000"
    edit(built, 1)
    assert build_and_die(built, 10_000)
    built.commands.clear()
    (built.root / "spec.py").write_text("SPEC = 'longer than before'\n")
    assert built.build().ok
    assert built.targets() == built.clean_build()


FILES = ("spec.py", "reqs.in", "code/model.py", "code/new.py", "code/deep/deeper.py", "source.bin")
TARGETS = ("reqs.txt", "env/lib", "env/stray", "model/code", "model/stray", "output", "verdict", "data/weights")


class History(RuleBasedStateMachine):
    """Random edits, touches, deletions, renames, kills and builds; after each build the result is a clean build's."""

    base: Path

    @initialize()
    def start(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        self.base.mkdir(parents=True)
        self.shop = new_workshop(self.base)

    @rule(name=st.sampled_from(FILES), text=st.sampled_from(["A = 1\n", "B = 2\n", "numpy\n# c\n", "numpy\n"]))
    def write(self, name: str, text: str) -> None:
        (self.shop.root / name).write_text(text)

    @rule(name=st.sampled_from(TARGETS), text=st.sampled_from(["X", "numpy\n", ""]))
    def alter(self, name: str, text: str) -> None:
        if (self.shop.root / name).parent.is_dir():
            (self.shop.root / name).write_text(text)

    @rule(name=st.sampled_from((*TARGETS, "env", "model", "payload", "code/new.py", "code/helper.py", ".pipeline")))
    def delete(self, name: str) -> None:
        path = self.shop.root / name
        if name == ".pipeline":  # without a record, a payload may be the author's: it is kept
            (self.shop.root / "payload").unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @rule(old=st.sampled_from(FILES[2:5]), new=st.sampled_from(["code/a.py", "code/z.py"]))
    def rename(self, old: str, new: str) -> None:
        if (self.shop.root / old).exists():
            (self.shop.root / old).rename(self.shop.root / new)

    @rule(when=st.sampled_from([0, 1_000_000_000, 4_000_000_000]), name=st.sampled_from((*FILES, *TARGETS)))
    def touch(self, when: int, name: str) -> None:
        if (self.shop.root / name).exists():
            os.utime(self.shop.root / name, (when, when))

    @rule(depth=st.sampled_from(["1", "2"]))
    def set_param(self, depth: str) -> None:
        self.shop.params["depth"] = depth

    @rule(instant=st.integers(0, 150))
    def kill(self, instant: int) -> None:
        build_and_die(self.shop, instant)

    @rule()
    def build(self) -> None:
        if not list((self.shop.root / "code").glob("*.py")) or not list((self.shop.root / "code/deep").glob("*.py")):
            (self.shop.root / "code/model.py").write_text("A = 1\n")
            (self.shop.root / "code/deep/deeper.py").write_text("A = 1\n")
        assert self.shop.build().ok
        assert self.shop.targets() == self.shop.clean_build()
        assert self.shop.ran() == []

    @invariant()
    def status_is_an_answer(self) -> None:
        if hasattr(self, "shop"):
            assert len(self.shop.status().outcomes) == 7


def run_histories(base: Path, examples: int, steps: int) -> None:
    machine = type("HistoryHere", (History,), {"base": base})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    how = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=settings(how, derandomize=True))


def test_result_is_a_clean_build_after_some_random_histories(tmp_path: Path) -> None:
    run_histories(tmp_path / "history", examples=6, steps=12)


@pytest.mark.heavy
def test_result_is_a_clean_build_after_many_random_histories(tmp_path: Path) -> None:
    run_histories(tmp_path / "history", examples=150, steps=30)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(st.none(), st.booleans(), st.integers(0, 2))))
@settings(max_examples=50)
def test_decide_is_up_to_date_exactly_when_the_values_are_the_same(values: dict[str, int | bool | None]) -> None:
    from engine.staleness import decide

    from .test_staleness import RECORD, STEP

    same = {key: values[key] for key in reversed(values)}
    assert not decide(STEP, RECORD._replace(params=values), RECORD._replace(params=same)).reasons
    assert decide(STEP, RECORD._replace(params={**values, "d": None}), RECORD._replace(params=same)).reasons


@pytest.mark.parametrize("left", ["", '{"step": "payl', "[]"])
@pytest.mark.parametrize("edited", ["payload", "model/code"])
def test_old_targets_come_back_when_the_journal_was_cut_off_with_the_power(
    built: Workshop, left: str, edited: str
) -> None:
    step, name = ("payload", "payload") if edited == "payload" else ("model", "model")
    (built.root / edited).write_text("mine\n")
    (built.root / "spec.py").write_text("SPEC = 2\n")
    line = "mkdir -p model; echo half > model/code" if step == "model" else "echo half > payload"
    built.commands[step] = f"{line}; kill -9 $PPID; sleep 1000"
    assert build_and_die(built, 10_000)
    assert "half" in (built.root / edited).read_text()
    (built.root / ".pipeline" / "running" / f"{name}.json").write_text(left)
    built.commands[step] = "exit 1"
    assert not built.build().ok
    assert (built.root / edited).read_text() == "mine\n"


def test_journal_is_on_the_disk_before_a_target_moves(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        events.append(f"on disk {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        events.append(f"moved {path.name}")
        return rename(path, target)

    assert workshop.ran(target="pin") == ["pin"]
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    assert workshop.ran(target="pin", force=("pin",)) == ["pin"]
    moved, journal = events.index("moved reqs.txt"), [each for each in events if each.startswith("on disk pin.json")]
    assert journal
    assert events.index(journal[0]) < events.index("on disk running") < moved


def test_old_targets_of_a_recorded_run_that_was_killed_then_are_removed(built: Workshop) -> None:
    left = built.root / ".pipeline" / "aside" / "0123456789abcdef" / "0"
    left.mkdir(parents=True)
    assert built.build().up_to_date
    assert not left.exists()
