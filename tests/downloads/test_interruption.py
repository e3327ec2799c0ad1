"""Ctrl-C ends a run at once, whatever a server does or leaves undone, and what has arrived stays for the next run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .conftest import SCRIPT, Model, sha256
from .server import Answer, Fault, Hostile, cut

MB = 1 << 20
WEIGHTS = random.Random(1).randbytes(9 * MB)


class Run:
    """A download that is interrupted as soon as a server has fallen silent."""

    def __init__(self) -> None:
        self._silent, self._over = threading.Event(), threading.Event()

    def silence(self, answer: Answer) -> None:
        """Say nothing until the run is over."""
        self._silent.set()
        self._over.wait(60)
        answer.close_connection = True

    def interrupted(self, model: Model) -> str:
        """Run it, interrupt it, and return what it said."""
        command = [sys.executable, str(SCRIPT), "--package", str(model.root)]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert self._silent.wait(30)
            running.send_signal(signal.SIGINT)
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


def stalls(run: Run, sent: int) -> Fault:
    return lambda answer: answer.serve(sent=sent, then=partial(run.silence, answer))


SILENCES: dict[str, Callable[[Run], list[Fault]]] = {
    "in the middle": lambda run: [stalls(run, 5 * MB)],
    "after a cut": lambda run: [cut(5 * MB), run.silence],
    "after a cut, several times": lambda run: [cut(2 * MB), cut(3 * MB), run.silence],
}


@pytest.mark.parametrize("when", SILENCES)
def test_what_has_arrived_stays_when_a_server_falls_silent(model: Model, hostile: Hostile, run: Run, when: str) -> None:
    url = hostile.put("/w.bin", WEIGHTS, *SILENCES[when](run))
    model.declare(f'uri = "{url}"\npath = "w.bin"\nsha256 = "{sha256(WEIGHTS)}"')
    run.interrupted(model)
    assert set(model.files()) == {"w.bin.part", "w.bin.part.json"}
    assert model.actions() == ["fetched"]
    assert hostile.ranges("/w.bin")[-1] == f"bytes={5 * MB}-"
    assert model.files() == {"w.bin": WEIGHTS}


def test_run_ends_when_a_server_never_answers(model: Model, hostile: Hostile, run: Run) -> None:
    url = hostile.put("/w.bin", WEIGHTS, run.silence)
    model.declare(f'uri = "{url}"\npath = "w.bin"\nsha256 = "{sha256(WEIGHTS)}"')
    run.interrupted(model)
    assert model.actions() == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_run_ends_when_a_listing_never_comes(
    model: Model, hostile: Hostile, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hostile.address)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    hostile.put("/api/models/o/r/revision/main", b"", run.silence)
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
