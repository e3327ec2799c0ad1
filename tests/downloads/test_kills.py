"""Downloads that are killed with SIGKILL, by number of events and in the middle of a transfer: never a wrong byte."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from .conftest import SCRIPT, Model, sha256
from .server import Answer, Fault, Hostile, cut
from .test_archives import tar_of

MB = 1 << 20
DRIVER = Path(__file__).with_name("killed.py")


class Victim:
    """The process that downloads; the server can kill it in the middle of an answer."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, model: Model, events: int) -> bool:
        """Run the driver; tell whether it was killed."""
        self._started.clear()
        environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parent)}
        command = [sys.executable, str(DRIVER), str(model.root), str(model.cache), str(events)]
        self._process = subprocess.Popen(command, env=environment)
        self._started.set()
        code = self._process.wait()
        assert code in (0, -signal.SIGKILL)
        return code != 0

    def killed_after(self, sent: int) -> Fault:
        """Answer with so many bytes, then kill the client."""

        def kill(answer: Answer) -> None:
            answer.serve(sent=sent)
            self._started.wait(20)
            assert self._process
            self._process.kill()

        return kill


def declare(model: Model, hostile: Hostile, base: Path, number: int) -> dict[str, bytes]:
    """Declare one source of each kind with contents of this round, and return what must be in model_data/ after it."""
    make = random.Random(number).randbytes
    big, small, first, second, made = make(9 * MB), make(100_000), make(5000), make(0), make(3000)
    packed = tar_of([("a", first), ("deep/b", second)])
    tree = base / f"tree{number}"
    (tree / "deep").mkdir(parents=True)
    (tree / "a").write_bytes(first)
    (tree / "deep" / "b").write_bytes(second)
    (base / "made").write_bytes(made)
    listing = f"{sha256(first)}  a\n{sha256(second)}  deep/b\n".encode()
    model.declare(
        f'uri = "{hostile.put("/big", big)}"\npath = "big"\nsha256 = "{sha256(big)}"',
        f'uri = "{hostile.put("/small", small)}"\npath = "in/small"\nsha256 = "{sha256(small)}"',
        f'uri = "{tree.as_uri()}"\npath = "tree"\nsha256 = "{sha256(listing)}"',
        f'uri = "{tree.as_uri()}"\npath = "loose"\nmutable = true',
        f'uri = "{hostile.put("/packed", packed)}"\npath = "packed"\nunpack = true\nsha256 = "{sha256(packed)}"',
        'command = "bring"\noutputs = ["made", "copy"]',
    )
    whole = {"big": big, "in/small": small, "made": made, "copy": made}
    for top in ("tree", "loose", "packed"):
        whole |= {f"{top}/a": first, f"{top}/deep/b": second}
    return whole


def install_program(model: Model, base: Path) -> None:
    program = model.root / ".venv" / "bin" / "bring"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat {base}/made > model_data/made\ncp model_data/made model_data/copy\n")
    program.chmod(0o755)


def spoil(model: Model, how: int) -> None:
    """Make work for the next round: all of it, or some."""
    if how % 3 == 0:
        shutil.rmtree(model.data)
    elif how % 3 == 1:
        (model.data / "big").unlink()
        shutil.rmtree(model.data / "tree")
        (model.data / "made").unlink()
    else:
        (model.data / ".downloads" / "record.json").unlink()
        for name in ("loose", "tree", "packed")[how % 2 :]:
            shutil.rmtree(model.data / name)
        for name in ("made", "copy"):
            (model.data / name).unlink()
    if how % 2:
        shutil.rmtree(model.cache)


def kill_many(model: Model, hostile: Hostile, base: Path, instants: Sequence[int]) -> int:
    install_program(model, base)
    victim, killed = Victim(), 0
    for number, instant in enumerate(instants):
        if number % 5 == 0:
            shutil.rmtree(model.data, ignore_errors=True)
            whole = declare(model, hostile, base, number)
        else:
            spoil(model, number)
        if number % 2:
            sent = random.Random(instant).randrange(9 * MB)
            hostile.faults["/big"].extend([cut(sent // 2), victim.killed_after(sent // 3)])
        died = victim.run(model, instant if number % 2 == 0 else 10**9)
        killed += died
        present = model.files()
        # A command writes in its place itself; its half-done outputs are marked, and go in the next run.
        marked = bool(list(model.data.glob(".downloads/*/command")))
        wrong = [name for name, text in present.items() if whole.get(name) != text]
        assert not [name for name in wrong if not (marked and name in ("made", "copy"))]
        hostile.faults.clear()
        assert not victim.run(model, 10**9)
        assert model.files() == whole
    return killed


def test_no_wrong_byte_is_in_place_after_kills_at_some_instants(model: Model, hostile: Hostile, tmp_path: Path) -> None:
    instants = random.Random(3).sample(range(5, 150), 8)
    assert kill_many(model, hostile, tmp_path, instants) >= 4


@pytest.mark.heavy
def test_no_wrong_byte_is_in_place_after_a_hundred_kills(model: Model, hostile: Hostile, tmp_path: Path) -> None:
    instants = random.Random(4).choices(range(150), k=180)
    assert kill_many(model, hostile, tmp_path, instants) >= 100
