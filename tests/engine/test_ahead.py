"""What runs beside what: preparations beside an earlier step, and steps that keep apart one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Command, Preparation, Step, build

AHEAD = ("/bin/sh", "-c", "echo $$ > pid; cat late > /dev/null; echo ready > prepared")


def steps(early: str, ahead: tuple[str, ...] = AHEAD) -> list[Step]:
    preparation = Preparation(Command(ahead), beside="early")
    late = Step("late", "cp prepared done", ("made",), ("done",), preparation=preparation)
    return [Step("early", early, (), ("made",)), late]


def runs(pid: str) -> bool:
    return Path(f"/proc/{pid.strip()}").exists()


def test_preparation_runs_beside_the_earlier_step(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "late")
    wait = "echo go > late; while [ ! -e prepared ]; do :; done; echo 1 > made"
    assert build(steps(wait), root=tmp_path, jobs=2).ok
    assert (tmp_path / "done").read_text() == "ready\n"


def test_preparation_is_left_out_when_one_command_runs_at_a_time_or_the_step_is_not_asked_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "late")
    (tmp_path / "prepared").write_text("by itself\n")
    assert build(steps("echo 1 > made"), root=tmp_path).ok
    (tmp_path / "made").unlink()
    assert build(steps("echo 2 > made"), "early", root=tmp_path, jobs=2).ok
    assert not (tmp_path / "pid").exists()


def test_preparation_is_ended_when_the_build_ends_before_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "late")
    assert not build(steps("while [ ! -s pid ]; do :; done; exit 1"), root=tmp_path, jobs=2).ok
    assert not runs((tmp_path / "pid").read_text())
    assert not (tmp_path / "prepared").exists()


def test_step_runs_all_the_same_when_its_preparation_fails(tmp_path: Path) -> None:
    (tmp_path / "prepared").write_text("by itself\n")
    assert build(steps("echo 1 > made", ("no-such-program",)), root=tmp_path, jobs=2).ok
    assert (tmp_path / "done").read_text() == "by itself\n"


MEET = ("echo here > meeting; echo 1 > one", "cat meeting > two")  # each waits for the other
ALONE = "mkdir busy || exit 1; i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done; rmdir busy; echo 1 >"


@pytest.mark.parametrize("apart", [None, lambda: False])
def test_steps_run_side_by_side_when_nothing_keeps_them_apart(tmp_path: Path, apart: Callable[[], bool] | None) -> None:
    os.mkfifo(tmp_path / "meeting")
    one, two = (Step(name, line, (), (name,), apart=apart) for name, line in zip(("one", "two"), MEET, strict=True))
    assert build([one, two], root=tmp_path, jobs=2).ok
    assert (tmp_path / "two").read_text() == "here\n"


def test_steps_run_one_after_the_other_when_they_keep_apart_and_others_beside_them(tmp_path: Path) -> None:
    found = tmp_path / "found"

    def apart() -> bool:
        return found.read_text() == "heavy\n"  # decided by what an earlier step has found

    first = Step("first", "echo heavy > found", (), ("found",))
    pair = [Step(name, f"{ALONE} {name}", ("found",), (name,), apart=apart) for name in ("one", "two")]
    other = Step("other", "while [ ! -d busy ]; do :; done; echo 1 > other", ("found",), ("other",))
    assert build([first, *pair, other], root=tmp_path, jobs=3).ok


def test_late_arguments_are_asked_for_at_the_start_and_not_recorded(tmp_path: Path) -> None:
    words: list[str] = []
    command = Command(("/bin/sh", "-c", 'echo "$@" > made', "sh"), late=lambda: words)
    steps = [Step("late", command, ("made-of",), ("made",)), Step("first", "echo 1 > made-of", (), ("made-of",))]
    words.append("heavy")
    assert build(steps, root=tmp_path).ok
    assert (tmp_path / "made").read_text() == "heavy\n"
    words.append("more")
    assert build(steps, root=tmp_path).up_to_date
