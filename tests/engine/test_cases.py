"""The cases of staleness end to end: real files, real commands, the real runner."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import pytest

import engine
from chain import report
from engine import build
from engine.errors import UsageError
from engine.fingerprint import StatCache
from engine.runner import Builder
from engine.staleness import Reason, Why
from engine.step import Command, Says, Step
from engine.walk import Action, Outcome, Pipeline, Result
from model_side.base.read_only import can_hold
from tests.overlay import can_layer, run_in_layers

from .workshop import Workshop

FROM_MODEL = ["model", "payload", "predict", "verify"]


def write(name: str, text: str) -> Callable[[Workshop], None]:
    def change(shop: Workshop) -> None:
        (shop.root / name).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / name).write_text(text)

    return change


def delete(name: str) -> Callable[[Workshop], None]:
    def change(shop: Workshop) -> None:
        path = shop.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def rename(old: str, new: str) -> Callable[[Workshop], None]:
    return lambda shop: (shop.root / old).rename(shop.root / new) and None


def touch(shop: Workshop) -> None:
    for path in shop.root.rglob("*"):
        if path.is_file() and ".pipeline" not in path.parts:
            os.utime(path)


def keep_stat(name: str, text: str) -> Callable[[Workshop], None]:
    """Write other content of the same size and restore the modification time."""

    def change(shop: Workshop) -> None:
        path = shop.root / name
        before = path.stat()
        assert len(text) == before.st_size
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change


def restore_older(shop: Workshop) -> None:
    (shop.root / "spec.py").write_text("SPEC = 0\n")
    os.utime(shop.root / "spec.py", (1_000_000_000, 1_000_000_000))


def from_the_future(shop: Workshop) -> None:
    for path in shop.root.rglob("*.py"):
        os.utime(path, (4_000_000_000, 4_000_000_000))


def identical_copy(shop: Workshop) -> None:
    shutil.copy(shop.root / "model" / "code", shop.root / "copy")
    (shop.root / "copy").replace(shop.root / "model" / "code")


def repoint(shop: Workshop) -> None:
    (shop.root / "other.py").write_text("import other\n")
    (shop.root / "code" / "helper.py").unlink()
    (shop.root / "code" / "helper.py").symlink_to("../other.py")


def params(**values: str) -> Callable[[Workshop], None]:
    return lambda shop: shop.params.clear() or shop.params.update(values)


LEAVINGS = ("__pycache__/a.pyc", "model.py~", ".model.py.swp", ".DS_Store", "#a#", "x.pyo")
CASES: list[tuple[str, Callable[[Workshop], object], list[str]]] = [
    ("1 nothing", lambda shop: None, []),
    ("2 files were touched", touch, []),
    ("3 model code was edited", write("code/model.py", "import helper  # new\n"), FROM_MODEL),
    ("3 a helper two imports deep was edited", write("code/deep/deeper.py", "X = 21\n"), FROM_MODEL),
    ("3 the spec was edited", write("spec.py", "SPEC = 22\n"), FROM_MODEL),
    ("3 an edit keeps what is below the same", write("code/model.txt", "not read"), ["model"]),
    ("4 a comment was edited", write("reqs.in", "# other pins\nnumpy\n"), ["pin"]),
    ("4 a requirement was edited", write("reqs.in", "numpy\npandas\n"), ["pin", "env", *FROM_MODEL]),
    ("5 a target was deleted", delete("env"), ["env"]),
    ("5 a target in the middle was deleted", delete("model"), ["model"]),
    ("5 the last target was deleted", delete("verdict"), ["verify"]),
    ("6 a target was altered by hand", write("reqs.txt", "torch\n"), ["pin"]),
    ("6 the last target was altered by hand", write("verdict", "0 0\n"), ["verify"]),
    ("7 a file was deleted in a target directory", delete("model/weights"), ["model"]),
    ("7 a file was added in a target directory", write("model/stray", "x"), ["model"]),
    ("8 a file was added to the code", write("code/new.py", "Y = 1\n"), FROM_MODEL),
    ("9 a file was removed from the code", delete("code/helper.py"), FROM_MODEL),
    ("10 a file was renamed in the code", rename("code/helper.py", "code/zz.py"), FROM_MODEL),
    ("10 leavings of tools do not count", lambda shop: [write(f"code/{name}", "x")(shop) for name in LEAVINGS], []),
    ("11 a parameter changed", params(depth="4"), ["model"]),
    ("11 a parameter was removed", params(), ["model"]),
    ("12 the implementation changed", lambda shop: shop.tool.write_text("print('other')\n"), ["model"]),
    ("13 a program changed version", lambda shop: shop.versions.update(uv="1.1"), ["pin"]),
    ("14 a source was restored with an old time", restore_older, FROM_MODEL),
    ("15 same size and modification time, other content", keep_stat("code/deep/deeper.py", "X = 9\n"),
     FROM_MODEL),
    ("20 times in the future", from_the_future, []),
    ("23 a symlink was repointed", repoint, FROM_MODEL),
    ("24 a target was replaced by an identical copy", identical_copy, []),
    ("26 the stat cache was deleted", delete(".pipeline/stat.json"), []),
    ("26 the stat cache is garbage", write(".pipeline/stat.json", "{garbage"), []),
    ("26 the stat cache has another shape", write(".pipeline/stat.json", '{"schema":1,"files":{"spec.py":[1]}}'), []),
    ("29 the payload was edited", write("payload", "my own\n"), ["predict", "verify"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_build_runs_exactly_what_must_run_when(
    built: Workshop, change: Callable[[Workshop], object], expected: list[str]
) -> None:
    change(built)
    foreseen = [outcome for outcome in built.status().outcomes if outcome.action == "would-run"]
    assert set(expected) <= {outcome.step for outcome in foreseen}
    assert bool(foreseen) == bool(expected)
    ran = built.ran()
    assert sorted(ran) == sorted(expected)
    if (built.root / "payload").read_text() != "my own\n":
        assert built.targets() == built.clean_build()
    assert built.ran() == []


def test_build_sees_other_content_within_the_clock_tick_of_the_hash_before_it(workshop: Workshop) -> None:
    path = workshop.root / "spec.py"
    workshop.ran()
    for number in range(30):
        path.write_text(f"S={number:04}\n")
        assert "model" in workshop.ran(target="model")


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, ""), ("", "cannot be read"), ("{half", "cannot be read"), ("[]", "damaged"), ('{"steps": 3}', "damaged"),
     ('{"schema": 99, "steps": {}}', "schema 99"), ('{"schema": 1, "steps": {"pin": {"run": "x"}}}', "damaged")],
)  # fmt: skip
def test_build_reruns_with_one_line_when_the_ledger_is(built: Workshop, content: str | None, word: str) -> None:
    ledger = built.root / ".pipeline" / "ledger.json"
    ledger.unlink()
    if content is not None:
        ledger.write_text(content)
    outcomes = built.status().outcomes
    assert word in str(outcomes[0].reasons[0])
    assert len(built.ran()) == 7
    assert built.ran() == []


def test_build_runs_nothing_when_the_directory_was_moved_or_copied(built: Workshop) -> None:
    copy, moved = built.root.with_name("copy"), built.root.with_name("moved")
    shutil.copytree(built.root, copy, symlinks=True)
    built.root.rename(moved)
    for root in (copy, moved):
        built.root = root
        assert built.ran() == []


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda root: (root / "spec.py").unlink(), ["spec.py", "missing", "'model'"]),
        (lambda root: (root / "reqs.in").unlink(), ["reqs.in", "missing"]),
        (lambda root: ((root / "spec.py").unlink(), (root / "spec.py").mkdir()), ["spec.py", "a file", "a directory"]),
        (lambda root: (shutil.rmtree(root / "code"), (root / "code").touch()), ["code", "a directory", "a file"]),
        (lambda root: (root / "code" / "link.py").symlink_to("nowhere.py"), ["code/link.py", "leads nowhere"]),
        (lambda root: (root / "code" / "link.py").symlink_to("link.py"), ["code/link.py", "leads back"]),
        (lambda root: (root / "code" / "loop").symlink_to("."), ["code/loop", "leads back"]),
        (lambda root: os.mkfifo(root / "code" / "pipe"), ["code/pipe", "pipe"]),
    ],
    ids=["missing", "missing at the start", "now a directory", "now a file", "dangling", "self", "loop", "fifo"],
)  # fmt: skip
def test_build_and_status_refuse_by_name_when_an_input_is(
    built: Workshop, break_it: Callable[[Path], object], words: list[str]
) -> None:
    before = built.targets()
    break_it(built.root)
    for result in (built.status(), built.build()):
        errors = [outcome.error for outcome in result.outcomes if outcome.error]
        assert len(errors) == 1
        assert isinstance(errors[0], UsageError)
        assert result.exit_code == 2
        for word in words:
            assert word in str(errors[0])
        assert not any(outcome.action == "ran" for outcome in result.outcomes)
    assert built.targets() == before


def test_failed_step_leaves_target_and_record_when_it_wrote_before_it_failed(built: Workshop) -> None:
    before = built.targets()
    good, built.commands["model"] = dict(built.commands), "mkdir model; echo half > model/code; exit 3"
    write("spec.py", "SPEC = 5\n")(built)
    result = built.build()
    by_name = {outcome.step: outcome for outcome in result.outcomes}
    assert result.exit_code == 1
    assert by_name["model"].action == "failed"
    assert "exit code 3" in str(by_name["model"].error)
    assert [by_name[name].action for name in ("payload", "predict", "verify")] == ["skipped"] * 3
    assert built.targets() == before
    assert [o.step for o in built.status().outcomes if o.state == "stale"] == ["model"]
    built.commands = good
    write("spec.py", "SPEC = 1\n")(built)
    assert built.ran() == []


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on another file system."""
    with TemporaryDirectory(dir="/dev/shm") as place:
        if Path(place).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is one file system only")
        yield Path(place)


def test_targets_come_back_when_a_step_fails_whose_targets_are_on_another_file_system(
    tmp_path: Path, elsewhere: Path
) -> None:
    (tmp_path / "disk").symlink_to(elsewhere)
    good = Step(
        "s", "mkdir disk/model; echo good > disk/model/code; echo x > disk/file", [], ["disk/model", "disk/file"]
    )
    assert build([good], root=tmp_path).ok
    failing = Step("s", "mkdir disk/model; exit 1", [], ["disk/model", "disk/file"])
    assert "exit code 1" in the_error(build([failing], root=tmp_path))
    assert (elsewhere / "model" / "code").read_text() == "good\n"
    assert sorted(path.name for path in elsewhere.iterdir()) == ["file", "model"]
    assert build([good], root=tmp_path).up_to_date
    assert build([good], root=tmp_path, force=["s"]).ok


def test_copy_of_a_target_is_on_the_disk_before_the_target_goes(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it cannot be renamed, as behind a link to another disk."""
    events: list[str] = []
    fsync, rename, rmtree = os.fsync, Path.rename, shutil.rmtree

    class Library(ctypes.CDLL):
        def syncfs(self, descriptor: int) -> int:
            events.append(f"all on disk {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
            return int(self["syncfs"](descriptor))

    def synced(descriptor: int) -> None:
        events.append(f"on disk {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        events.append(f"{path.name} is {target.name} of {target.parent.name}")
        return moved

    def removed(path: Path, ignore_errors: bool = False) -> None:
        events.append(f"removed {Path(path).name}")
        rmtree(path, ignore_errors)

    (tmp_path / "disk").symlink_to(elsewhere)
    step = Step("s", "mkdir disk/model; echo good > disk/model/code", [], ["disk/model"])
    assert build([step], root=tmp_path).ok
    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(shutil, "rmtree", removed)
    assert build([step], root=tmp_path, force=["s"]).ok
    (copied,) = (number for number, event in enumerate(events) if event.startswith(".0.part is 0 of "))
    run = events[copied].rpartition(" ")[2]
    assert [events[copied - 1], *events[copied + 1 : copied + 3]] == [
        "all on disk .0.part",
        f"on disk {run}",
        "removed model",
    ]


def test_edit_that_is_kept_has_its_name_on_the_disk_behind_a_link_too(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    (tmp_path / "disk").symlink_to(elsewhere)
    step = Step("s", "echo good > disk/weights", [], ["disk/weights"], editable=["disk/weights"])
    assert build([step], root=tmp_path).ok
    (elsewhere / "weights").write_text("edited")
    monkeypatch.setattr(os, "fsync", recorded)
    assert build([step], root=tmp_path, force=["s"]).ok
    assert (elsewhere / "weights.edited").read_text() == "edited"
    kept = synced.index(elsewhere / "weights.edited")
    assert synced[kept + 1] == elsewhere


# In a layer of a container: makes a directory anew, fails to, and makes what was there at first.
LAYERED = """
from pathlib import Path
from engine import Step, build
good = "mkdir -p .venv/lib; echo {}> .venv/lib/made"
for line in (good.format("2 "), "mkdir .venv; exit 3", good.format("")):
    (outcome,) = build([Step("s", line, [], [".venv"])]).outcomes
    print(outcome.action.value, outcome.error, Path(".venv/lib/made").read_text())
"""


@pytest.mark.skipif(not can_layer(), reason="this system does not let a user mount layers")
def test_directory_is_made_anew_or_stays_when_it_lies_in_a_layer_of_a_container(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    assert build([Step("s", "mkdir -p .venv/lib; echo > .venv/lib/made", [], [".venv"])], root=root).ok
    done = run_in_layers(root, LAYERED)
    ran, failed, back, *more = done.stdout.split("\n\n")
    assert (ran, more) == ("ran None 2", [""]), done.stderr
    assert failed.startswith("failed s: failed with exit code 3.")
    assert failed.endswith(" 2")
    assert back == "restored None "


# Builds once, mounts what is named over itself in a view of the files of its own, and builds again, forced.
MOUNTED = """
import os, sys
from engine import Step, build
from model_side.base.namespaces import NEW_FILES, NEW_USER, bind, leave
root, place, target, line = sys.argv[1:]
step = Step("s", line, [], [target])
os.chdir(root)
os.mkdir("disk")
assert build([step], root=root).ok
leave(NEW_USER | NEW_FILES)
bind(place, place)
for outcome in build([step], root=root, force=["s"]).outcomes:
    print(outcome.error)
"""
BUSY = "{}: cannot be moved: got Device or resource busy. It is a mount point: mount a directory above it, or name a"


@pytest.mark.skipif(not can_hold(Path(__file__)), reason="this system has no namespaces for users")
@pytest.mark.parametrize(
    ("place", "target", "line", "fault"),
    [
        ("model", "model", "mkdir model; echo 1 > model/file", BUSY),
        ("made", "made", "echo 1 > made", BUSY),
        ("disk", "disk/model", "mkdir disk/model; echo 1 > disk/model/file", "None"),
    ],
)
def test_target_that_is_a_mount_point_is_named_and_stays(
    tmp_path: Path, place: str, target: str, line: str, fault: str
) -> None:
    command = [sys.executable, "-c", MOUNTED, str(tmp_path), place, target, line]
    environment = {**os.environ, "PYTHONPATH": str(Path(engine.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith(fault.format(target))
    assert {path.name for path in tmp_path.iterdir()} == {".pipeline", "disk", place}
    made = tmp_path / target
    assert (made / "file" if made.is_dir() else made).read_text() == "1\n"


@pytest.mark.parametrize(
    ("then", "fault"),
    [("echo more >> in", "in changed while it ran"), ("exit 1", "exit code 1"), ("kill -9 $$", "signal 9")],
)
def test_proof_is_gone_when_the_run_that_wrote_it_is_not_recorded(tmp_path: Path, then: str, fault: str) -> None:
    def step(line: str) -> Step:
        return Step("check", line, ["in"], ["ok", "note"], atomic=True, proofs=["ok"])

    (tmp_path / "in").write_text("1")
    assert build([step("echo > ok; echo > note")], root=tmp_path).ok
    assert "exit code 2" in the_error(build([step("exit 2")], root=tmp_path))
    assert (tmp_path / "ok").exists()  # it is that of the last run that was recorded
    assert fault in the_error(build([step(f"echo > ok; {then}")], root=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".pipeline", "in", "note"]


def test_step_is_not_recorded_when_its_input_changes_while_it_runs(built: Workshop) -> None:
    built.commands["model"] = "mkdir model; cat code/*.py spec.py > model/code; echo more >> spec.py"
    before = built.targets()
    result = built.build()
    assert "spec.py changed while it ran" in the_error(result)
    assert built.targets() == before
    assert "model" in [outcome.step for outcome in built.status().outcomes if outcome.state == "stale"]


def test_step_is_not_recorded_when_it_does_not_write_its_target(built: Workshop) -> None:
    built.commands["model"] = "true"
    before = built.targets()
    result = built.build()
    assert "did not write a target" in the_error(result)
    assert built.targets() == before


def test_edited_payload_is_kept_and_stays_known_as_edited_when_the_model_changes(built: Workshop) -> None:
    write("payload", "mine\n")(built)
    for number in range(3):
        write("spec.py", f"SPEC = 1{number}\n")(built)
        assert "payload" in built.ran()
        assert (built.root / "payload").read_text() == "mine\n"
    assert "payload" in built.ran(force=("payload",))
    assert (built.root / "payload").read_text() != "mine\n"


def test_forced_step_runs_and_what_is_below_does_not_when_its_target_is_the_same(built: Workshop) -> None:
    assert built.ran(force=("model",)) == ["model"]
    with pytest.raises(UsageError, match="Did you mean 'model'"):
        built.build(force=("modle",))


def test_status_and_dry_run_write_nothing_when_everything_is_stale(workshop: Workshop) -> None:
    before = sorted(workshop.root.rglob("*"))
    assert workshop.status().outcomes[0].state == "stale"
    assert workshop.status().outcomes[-1].state == "stale"
    workshop.build(dry_run=True)
    assert sorted(workshop.root.rglob("*")) == before


def test_ledger_and_target_stand_when_the_disk_refuses_to_be_written(built: Workshop) -> None:
    """A directory in the way of the ledger's own rename stands for a disk that is full or read-only."""
    before = built.targets()
    write("spec.py", "SPEC = 7\n")(built)
    built.commands["model"] = (
        "mkdir model; echo other > model/code; rm .pipeline/ledger.json; mkdir -p .pipeline/ledger.json/in-the-way"
    )
    result = built.build()
    assert result.exit_code == 1
    assert "ledger.json" in the_error(result)
    assert built.targets() == before


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs; one that ended and that nobody has asked after does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def the_error(result: Result) -> str:
    return str(next(outcome.error for outcome in result.outcomes if outcome.error))


def test_failure_names_no_empty_log_where_the_command_spoke_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    step = Step("bring", Command("echo no such bucket >&2; exit 1", says=Says.LIVE), targets=["weights"])
    assert the_error(build([step], root=tmp_path)) == "bring: failed with exit code 1. What it said is above."
    assert "no such bucket" in capfd.readouterr().err


def run_build(root: Path, *, code: str = "") -> subprocess.Popen[str]:
    """Start a build in a process of its own."""
    script = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.engine.workshop import Workshop
from engine.runner import Builder
from engine.walk import Pipeline
shop = Workshop(Path({str(root)!r}), tool=Path({str(root.parent / "packager.py")!r}))
{code}
say = lambda text: print(text, flush=True)
result = Builder(task="invoke verify", say=say).build_all([Pipeline(shop.root, tuple(shop.steps()), "shop")])[0]
print("ran", *[outcome.step for outcome in result.outcomes if outcome.action == "ran"], flush=True)
raise SystemExit(result.exit_code)
"""
    command = [sys.executable, "-c", script]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parents[2]
    )


def test_second_build_waits_names_the_first_and_then_has_nothing_to_do(workshop: Workshop) -> None:
    gate, reached = workshop.root / "gate", workshop.root / "reached"
    os.mkfifo(gate)
    os.mkfifo(reached)
    blocked = "shop.commands['verify'] = 'echo > reached; timeout 60 cat gate; cksum < output > verdict'"
    first = run_build(workshop.root, code=blocked)
    reached.read_text()
    second = run_build(workshop.root, code=blocked)
    assert second.stdout is not None
    assert f"waiting for invoke verify (process {first.pid})" in second.stdout.readline()
    last = Workshop(workshop.root, tool=workshop.tool).status().outcomes[-1]
    assert str(last.reasons[0]) == f"invoke verify (process {first.pid}) is building it"
    gate.write_text("go")
    assert "ran pin env data model payload predict verify" in first.communicate()[0]
    assert second.communicate()[0].split() == ["ran"]
    assert (first.returncode, second.returncode) == (0, 0)


def test_interrupted_build_exits_130_ends_its_children_and_leaves_nothing_half_done(built: Workshop) -> None:
    before = built.targets()
    write("spec.py", "SPEC = 8\n")(built)
    reached = built.root / "reached"
    os.mkfifo(reached)
    line = "mkdir model; echo half > model/code; (sleep 1000 & echo $! $$ > reached; wait)"
    code = f"shop.commands['model'] = {line!r}"
    running = run_build(built.root, code=code)
    pids = [int(word) for word in reached.read_text().split()]
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode in (130, -signal.SIGINT)
    assert not any(is_alive(pid) for pid in pids)
    assert built.targets() == before
    assert "model" in [outcome.step for outcome in built.status().outcomes if outcome.state == "stale"]


def test_builds_of_two_packages_run_side_by_side(tmp_path: Path) -> None:
    """Each waits for the other's step: one after the other, neither could finish."""
    pipelines = []
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / name / "in")
        line = f"(echo hello > ../{other}/in) & timeout 30 cat in > out; wait"
        pipelines.append(Pipeline(tmp_path / name, (Step("meet", line, [], ["out"]),), name))
    results = Builder(jobs=2).build_all(pipelines)
    assert [result.ok for result in results] == [True, True]


def test_failure_of_one_package_stops_only_what_depends_on_it(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    pipelines = []
    for name, line in (("bad", "exit 1"), ("good", "echo > x")):
        steps = (Step("one", line, [], ["x"]), Step("two", "cp x y", ["x"], ["y"]), Step("free", "echo > z", [], ["z"]))
        pipelines.append(Pipeline(tmp_path / name, steps, name))
    bad, good = Builder(jobs=2).build_all(pipelines)
    assert [outcome.action for outcome in bad.outcomes] == ["failed", "skipped", "ran"]
    assert [outcome.action for outcome in good.outcomes] == ["ran"] * 3


def test_record_holds_no_absolute_path_of_the_package(built: Workshop) -> None:
    assert str(built.root) not in json.dumps(json.loads((built.root / ".pipeline" / "ledger.json").read_text()))


def test_steps_of_a_pipeline_run_at_once_when_jobs_allow(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    steps = [Step("say", "echo x > pipe; echo > a", [], ["a"]), Step("hear", "timeout 30 cat pipe > b", [], ["b"])]
    assert build(steps, root=tmp_path, jobs=2).ok


def test_every_step_is_recorded_when_many_end_at_once(tmp_path: Path) -> None:
    steps = [Step(f"s{number}", f"echo > t{number}", [], [f"t{number}"]) for number in range(40)]
    assert build(steps, root=tmp_path, jobs=8).ok
    assert build(steps, root=tmp_path).up_to_date


def test_directory_is_made_once_when_two_builds_need_it_at_the_same_time(tmp_path: Path) -> None:
    line = "test -e made -o -d shop || (mkdir part && echo > part/made && mv part shop)"
    steps = (Step("make", line, [], ["made"], atomic=True), Step("use", "cp made used", ["made"], ["used"]))
    both = Barrier(2)

    def one() -> Result:
        both.wait(timeout=30)
        return Builder().build_all([Pipeline(tmp_path / "shop", steps)])[0]

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(one), pool.submit(one)]]
    assert [result.exit_code for result in results] == [0, 0]
    assert sorted(path.name for path in tmp_path.rglob("*") if ".pipeline" not in path.parts) == [
        "made",
        "shop",
        "used",
    ]


def test_step_fails_with_its_programs_name_when_that_is_not_there(tmp_path: Path) -> None:
    result = build([Step("s", ["no/such/program"], [], ["x"])], root=tmp_path)
    assert result.exit_code == 1
    assert the_error(result) == (
        "s: it cannot be started: expected a program no/such/program, got No such file or directory."
    )


def test_build_refuses_before_any_step_runs_when_a_later_input_is_missing(built: Workshop) -> None:
    (built.root / "reqs.in").write_text("numpy\npandas\n")
    (built.root / "spec.py").unlink()
    result = built.build()
    assert result.exit_code == 2
    assert "spec.py: it is missing" in the_error(result)
    assert "ran" not in [outcome.action for outcome in result.outcomes]


def write_environment(root: Path, place: str, *distributions: str) -> None:
    library = root / "env" / "lib" / "python3.11" / "site-packages"
    for name in distributions:
        (library / f"{name}.dist-info").mkdir(parents=True)
        record = f"../../../bin/{name},sha256={place},1\n{name}.py,sha256=fixed,1\n"
        (library / f"{name}.dist-info" / "RECORD").write_text(record)
    (root / "env" / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")


def test_environment_made_again_elsewhere_is_the_same_when_it_holds_the_same_distributions(tmp_path: Path) -> None:
    """The RECORD of a distribution lists its scripts, too, whose first lines hold the environment's path."""
    step = [Step("use", "echo > x", ["env"], ["x"])]
    write_environment(tmp_path, "here", "numpy-2.0")
    assert build(step, root=tmp_path).ok
    shutil.rmtree(tmp_path / "env")
    write_environment(tmp_path, "there", "numpy-2.0")
    assert build(step, root=tmp_path).up_to_date
    write_environment(tmp_path, "there", "mlflow-3.1")
    result = build(step, root=tmp_path)
    assert [str(reason) for reason in result.outcomes[0].reasons] == ["env: mlflow 3.1 added"]


def test_environment_that_somebody_installed_into_is_made_again(tmp_path: Path) -> None:
    line = "mkdir -p env/lib/python3.11/site-packages; echo home = /usr > env/pyvenv.cfg"
    step = [Step("make", line, targets=["env"])]
    assert build(step, root=tmp_path).ok
    write_environment(tmp_path, "here", "numpy-2.0")
    result = build(step, root=tmp_path)
    assert result.outcomes[0].action == "ran"
    assert "env: numpy 2.0 altered since it was made" in map(str, result.outcomes[0].reasons)
    assert build(step, root=tmp_path).up_to_date


def test_big_file_is_hashed_once_when_a_step_has_hashed_it_already(tmp_path: Path) -> None:
    """A step of the tool's own keeps what it hashed in the stat cache, and the runner takes it from there."""
    cache = json.dumps({"schema": 1, "files": {"x": [2, 1, 1, 1, "sha256:y"]}})
    step = Step("s", f"echo > x; echo '{cache}' > .pipeline/stat.json", [], ["x"])
    assert build([step], root=tmp_path).ok
    assert json.loads((tmp_path / ".pipeline" / "stat.json").read_text())["files"]["x"][4] != "sha256:y"
    other = StatCache({"x": (1, 2, 3, 4, "sha256:other")})
    mine = StatCache()
    mine.adopt(other)
    assert mine.kept() == {"x": (1, 2, 3, 4, "sha256:other")}


TELLING = "echo told; echo complained >&2; echo made > out"


def test_person_is_told_what_a_step_writes_to_stdout_and_the_log_ends_with_it(tmp_path: Path) -> None:
    step = Step("tell", Command(TELLING, says=Says.AFTERWARDS), targets=["out"])
    outcome = build([step], root=tmp_path).outcomes[0]
    assert (outcome.action, outcome.told) == ("ran", "told\n")
    assert report.line(outcome).splitlines()[1:] == ["  told"]
    logs = tmp_path / ".pipeline" / "logs"
    assert {path.name: path.read_text() for path in logs.iterdir()} == {"tell.log": "complained\ntold\n"}
    assert build([step], root=tmp_path).outcomes[0].told == ""


def test_closing_sentence_tells_elapsed_time_when_steps_ran_side_by_side() -> None:
    ran = (Outcome("a", Action.RAN, seconds=2.0), Outcome("b", Action.RAN, seconds=2.0))
    assert report.sentence(Result("m", ran, 2.5)) == "m: ok: 2 ran, 2.5 s"


def test_log_holds_all_when_a_step_that_tells_fails(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, (Step("tell", Command(f"{TELLING}; exit 3", says=Says.AFTERWARDS), targets=["out"]),))
    outcome = Builder().build_all([pipeline])[0].outcomes[0]
    assert (outcome.action, outcome.told) == ("failed", "")
    assert outcome.error
    assert outcome.error.said == "complained\ntold"
    shown = report.block(outcome, "foo", "invoke package --model foo").splitlines()
    log = tmp_path / ".pipeline" / "logs" / "tell.log"
    assert shown == [
        "",
        "foo: tell failed",
        "complained",
        "told",
        f"error: tell: failed with exit code 3. Its output is in {log}.",
        "Try again: invoke package --model foo",
    ]


def test_failure_is_shown_with_the_end_of_what_it_said_and_a_count_of_the_rest(tmp_path: Path) -> None:
    outcome = build([Step("long", "seq 100; exit 3", targets=["out"])], root=tmp_path).outcomes[0]
    shown = report.block(outcome, "foo", "again").splitlines()
    assert shown[2:4] == ["… 40 lines before", "41"]
    assert len(shown) == 65


def test_failure_is_shown_from_its_traceback_on(tmp_path: Path) -> None:
    command = "seq 9; echo 'Traceback (most recent call last):'; echo '  in it'; echo 'error: that'; exit 3"
    outcome = build([Step("raise", command, targets=["out"])], root=tmp_path).outcomes[0]
    shown = report.block(outcome, "foo", "again").splitlines()
    assert shown[2:6] == ["… 9 lines before", "Traceback (most recent call last):", "  in it", "error: that"]


@pytest.mark.parametrize("columns", [80, 200])
def test_line_of_a_step_fits_the_terminal(columns: int) -> None:
    reasons = (Reason(Why.DEPENDENCY_CHANGED, "model_data/" + "long/" * 30 + "name.bin"),)
    line = report.line(Outcome("package", Action.RAN, reasons, 61.25), "foo", columns=columns)
    shown = report.without_colour(line)
    assert len(shown) == columns - 1
    assert shown.startswith("✓  foo  package        ran         model_data/long/")
    assert shown.endswith("…  61.2 s")
    assert line.startswith("\x1b[32m✓  foo")


def test_nothing_is_told_of_a_step_that_does_not_tell(tmp_path: Path) -> None:
    outcome = build([Step("quiet", TELLING, targets=["out"])], root=tmp_path).outcomes[0]
    assert (outcome.told, len(report.line(outcome).splitlines())) == ("", 1)
    assert (tmp_path / ".pipeline" / "logs" / "quiet.log").read_text() == "told\ncomplained\n"


def test_output_of_a_failed_step_is_above_its_error_when_the_engine_is_used_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = the_error(build([Step("s", "echo the reason; exit 3", targets=["out"])], root=tmp_path))
    assert f"Its output is in {tmp_path}/.pipeline/logs/s.log." in fault
    assert capsys.readouterr().err == "the reason\n"
    assert (tmp_path / ".pipeline" / "logs" / "s.log").read_text() == "the reason\n"


def test_what_was_rolled_back_and_a_damaged_ledger_are_told_when_the_engine_is_used_alone(
    built: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = built.root / ".pipeline" / "running" / "model.json"
    journal.write_text('{"step": "model", "run": "gone", "plan": {}}')
    assert built.build().ok
    assert "model was cut off last time; its partial output was rolled back" in capsys.readouterr().err
    (built.root / ".pipeline" / "ledger.json").write_text("{half")
    built.status()
    assert "ledger.json cannot be read (JSONDecodeError); every step counts as never built" in capsys.readouterr().err
