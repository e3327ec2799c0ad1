"""Ctrl-C ends a run at once, whatever a server does or leaves undone, and what has arrived stays for the next run."""

from __future__ import annotations

import ctypes
import json
import random
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from downloads.transfer import Tuning

from .conftest import Model, sha256
from .server import Answer, Fault, Hostile, code, cut

MB = 1 << 20
WEIGHTS, LONG = random.Random(1).randbytes(24 * MB), random.Random(2).randbytes(40 * MB)


class Run:
    """A download that is interrupted as soon as a server has fallen silent."""

    def __init__(self) -> None:
        self._silent, self._over = threading.Event(), threading.Event()

    def silence(self, answer: Answer) -> None:
        """Say nothing until the run is over."""
        self._silent.set()
        self._over.wait(60)
        answer.close_connection = True

    def interrupted(self, model: Model, number: signal.Signals = signal.SIGINT) -> str:
        """Run it, interrupt it, and return what it said."""
        running = subprocess.Popen(model.command, stderr=subprocess.PIPE, text=True)
        try:
            assert self._silent.wait(30)
            interrupt(running.pid, number)
            said = running.communicate(timeout=15)[1]
        finally:
            running.kill()
            self._over.set()
        assert running.returncode == 130
        assert said.count("interrupted") >= 1
        assert "Traceback" not in said
        return said


@pytest.fixture
def run() -> Iterator[Run]:
    yield (made := Run())
    made._over.set()


def interrupt(process: int, number: signal.Signals) -> None:
    """Send a signal to a thread that waits for a server: the system may choose any."""
    threads = sorted(int(task.name) for task in Path(f"/proc/{process}/task").iterdir())
    assert ctypes.CDLL(None).tgkill(process, threads[-1], number) == 0


def stalls(run: Run, sent: int) -> Fault:
    return lambda answer: answer.serve(sent=sent, then=partial(run.silence, answer))


SILENCES: dict[str, Callable[[Run], list[Fault]]] = {
    "in the middle": lambda run: [stalls(run, 22 * MB)],
    "after a cut": lambda run: [cut(22 * MB), run.silence],
    "after a cut, several times": lambda run: [cut(12 * MB), cut(10 * MB), run.silence],
}


@pytest.mark.parametrize("when", SILENCES)
def test_what_has_arrived_stays_when_a_server_falls_silent(model: Model, hostile: Hostile, run: Run, when: str) -> None:
    url = hostile.put("/w.bin", WEIGHTS, *SILENCES[when](run))
    model.declare(f'uri = "{url}"\npath = "w.bin"\nsha256 = "{sha256(WEIGHTS)}"')
    said = run.interrupted(model)
    assert re.search(
        r"kept: (8.4|16.8) MB of model_data/w.bin: the same command goes on from there\ninterrupted\n", said
    )
    assert (model.files(), set(model.desk())) == ({}, {"part", "part.note"})
    assert model.actions(tuning=Tuning()) == ["fetched"]
    assert hostile.ranges("/w.bin")[-1] in (f"bytes={8 * MB}-", f"bytes={16 * MB}-")
    assert model.files() == {"w.bin": WEIGHTS}


@pytest.mark.parametrize("sent", [0, 4 * MB], ids=["never", "no more, over every connection"])
def test_run_ends_when_a_server_answers(model: Model, hostile: Hostile, run: Run, sent: int) -> None:
    url = hostile.put("/w.bin", LONG, stalls(run, sent) if sent else run.silence, *[run.silence] * 3)
    model.declare(f'uri = "{url}"\npath = "w.bin"\nsha256 = "{sha256(LONG)}"')
    run.interrupted(model)
    hostile.faults.clear()
    assert model.actions() == ["fetched"]
    assert model.files() == {"w.bin": LONG}


def test_files_of_a_directory_that_are_whole_are_told_when_it_is_interrupted(
    model: Model, hub: Hostile, run: Run
) -> None:
    listing = [{"type": "file", "path": name, "size": len(text)} for name, text in (("a", b"aaaa"), ("b", WEIGHTS))]
    hub.put("/api/models/o/r/revision/main", json.dumps({"sha": "0" * 40}).encode())
    hub.put(f"/api/models/o/r/tree/{'0' * 40}", json.dumps(listing).encode())
    hub.put(f"/o/r/resolve/{'0' * 40}/a", b"aaaa")
    hub.put(f"/o/r/resolve/{'0' * 40}/b", WEIGHTS, code(404), stalls(run, 1000))
    model.declare('uri = "hf://o/r/"\npath = "d"\nmutable = true')
    assert "404" in model.error(jobs=1)
    assert "kept: 4 bytes of model_data/d: the same command goes on from there" in run.interrupted(model)


def test_nothing_is_told_to_be_kept_when_nothing_is(model: Model, hostile: Hostile, run: Run) -> None:
    model.declare(f'uri = "{hostile.put("/w", b"w" * 1000, stalls(run, 10))}"\npath = "w"\nmutable = true')
    assert "kept" not in run.interrupted(model)


def test_request_to_end_is_an_interruption_too(model: Model, hostile: Hostile, run: Run) -> None:
    model.declare(f'uri = "{hostile.put("/w.bin", WEIGHTS, stalls(run, 22 * MB))}"\npath = "w.bin"\nmutable = true')
    assert "goes on from there" in run.interrupted(model, signal.SIGTERM)


def test_run_ends_when_a_listing_never_comes(model: Model, hub: Hostile, run: Run) -> None:
    hub.put("/api/models/o/r/revision/main", b"", run.silence)
    model.declare('uri = "hf://o/r/"\npath = "d"\nmutable = true')
    run.interrupted(model)
    assert model.files() == {}


def test_run_ends_when_an_object_store_never_answers(
    model: Model, hostile: Hostile, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test-key-id")
    monkeypatch.setenv("AWS_ENDPOINT_URL", hostile.address)
    for path in ("/bucket", "/bucket/"):
        hostile.put(path, b"", *[run.silence] * 9)
    model.declare('uri = "s3://bucket/dir/"\npath = "d"\nmutable = true')
    run.interrupted(model)
    assert model.files() == {}
