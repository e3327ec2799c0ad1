"""One process in the model's own environment that has the model loaded, and a pipe to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError
from model_side.base.processes import advice_on_end, ended_with
from serving.rebuilt import Rebuilt
from serving.sandbox.leash import Limits, leashed

_SCRIPTS = str(Path(__file__).parents[1])
# The room of the worker alone: nothing else of the tool is importable in the model's environment, and nothing that lies
# in the working directory, which Python has as "".
_START = (
    f"import sys; sys.path[:] = [{_SCRIPTS!r}, *filter(None, sys.path)]; from model_side.run.units import main;"
    " sys.path.pop(0); main(sys.argv[1:])"
)
SHOWN_LINES = 40
LOADING_SECONDS = 600.0  # that a model may take at least to load, whatever the limit of a unit is
SUBJECT = "worker"


class Unit(NamedTuple):
    """One input, or one request.

    Parameters
    ----------
    number : int
        In the cohort.
    request : mapping
        What a worker is sent.
    """

    number: int
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Crew:
    """What every worker of a batch runs in.

    Parameters
    ----------
    model : Path
    environment : Rebuilt
    variables : mapping of str to str
        Those of a receiver of the model.
    form : str
        The format of outputs.
    logs : Path
        A directory.
    seconds : float
        Time limit of a unit.
    kept : tuple of str
        Paths that a worker can only read.
    """

    model: Path
    environment: Rebuilt
    variables: Mapping[str, str]
    form: str
    logs: Path
    seconds: float
    kept: tuple[str, ...] = ()


class Worker:
    """A process that predicts; its answers come in the order of its requests.

    Parameters
    ----------
    crew : Crew
    name : str
    """

    def __init__(self, crew: Crew, name: str) -> None:
        self.name, self.queue, self.is_ready = name, deque[Unit](), False
        self._seconds, self._log = crew.seconds, crew.logs / f"worker-{name}.log"
        ours, theirs = socket.socketpair()
        with theirs, self._log.open("wb") as output:
            words = [crew.environment.program("python"), "-c", _START, str(crew.model), crew.form, str(theirs.fileno())]
            variables = crew.environment.variables(crew.variables)
            limits, passed = Limits(kept=crew.kept), [theirs.fileno()]
            self._process = leashed(words, variables, output, limits=limits, passed=passed)
        self.channel = Connection(ours.detach())
        self.since = time.monotonic()

    def send(self, unit: Unit) -> None:
        """Ask for a unit; where the process has ended, `receive` tells."""
        if not self.queue and self.is_ready:
            self.since = time.monotonic()
        self.queue.append(unit)
        with suppress(BrokenPipeError, ConnectionResetError):
            self.channel.send_bytes(json.dumps(unit.request).encode())

    def receive(self) -> tuple[Unit, dict[str, Any]] | None:
        """Return the next answer, with its unit; None where it only says that the model is loaded.

        Raises
        ------
        EOFError
            If the process has ended.
        StepError
            If the model cannot be loaded.
        """
        try:
            answer: dict[str, Any] = json.loads(self.channel.recv_bytes())
        except ConnectionResetError as error:
            raise EOFError from error
        self.since = time.monotonic()
        if self.is_ready:
            return self.queue.popleft(), answer
        if "error" in answer:
            raise StepError(
                "the model", "it cannot be loaded", got=answer["error"], author_traceback=answer["traceback"]
            )
        self.is_ready = True
        return None

    def wait_until_ready(self) -> None:
        """Wait until the model is loaded.

        Raises
        ------
        StepError
            If it cannot be, or takes too long.
        """
        try:
            if self.channel.poll(max(0.0, self.deadline - time.monotonic())):
                self.receive()
                return
            self.stop()
            raise StepError("the model", "loading it took too long", author_traceback=self.said())
        except EOFError as error:
            raise StepError("the model", "loading it failed", got=self.ended(), author_traceback=self.said()) from error

    @property
    def deadline(self) -> float:
        """When, by the monotonic clock, what it does now has taken too long."""
        if not self.is_ready:
            return self.since + max(self._seconds, LOADING_SECONDS)
        return self.since + self._seconds if self.queue else float("inf")

    def ended(self) -> str:
        """Wait for a process that is ending, and return how it did; its memory goes with it."""
        code = self._process.wait()
        self.stop()
        return f"the worker ended with {ended_with(code)}. {advice_on_end(code)}".strip()

    def said(self) -> str:
        """Return the end of what it said."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-SHOWN_LINES:])

    def stop(self) -> None:
        """End it, and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self.channel.close()
