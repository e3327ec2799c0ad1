"""What prepares something for a step runs beside an earlier one, and never outlives the build."""

from __future__ import annotations

import os
from pathlib import Path

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
