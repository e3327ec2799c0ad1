"""`mlflow models serve` for as long as a block runs: up and answering, or gone, whatever ends the block."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from model_side.base.errors import StepError, UsageError
from model_side.base.processes import (
    advice_on_end,
    ask_where,
    descendants,
    ended_with,
    held,
    left_running,
    runs_still,
)
from model_side.base.tracebacks import author_stack

from .answering import listener
from .predict import START_SECONDS, WHERE
from .rebuilt import Rebuilt
from .sandbox.audit import watched
from .sandbox.leash import FREE, Limits, leashed, require_none_left

HOST = "127.0.0.1"
OK = 200
POLL_SECONDS, GRACE_SECONDS = 0.05, 5.0
SHOWN_LINES = 60  # of the log of a server that died
_RETURNED = re.compile(r"Return code = -(\d+)")  # as MLflow says how the process ended that answered


@dataclass(frozen=True)
class Server:
    """A server that was started.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    process : Popen
        What holds it: the leader of its group, in a session of its own.
    log : Path or None
        The file of its output; None where that goes to this process's stderr.
    model : str
        The MLflow Model's directory, where its code is.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path | None
    model: str = ""

    def wait_until_up(self, seconds: float) -> None:
        """Wait until it answers, for so many seconds at most.

        Parameters
        ----------
        seconds : float

        Raises
        ------
        StepError
            At once if it ends, or when the time is over; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not self._answers():
            with suppress(subprocess.TimeoutExpired):
                code = self.process.wait(POLL_SECONDS)
                raise self.failure(f"it ended with {ended_with(code)} before it answered")
            if time.monotonic() > deadline:
                self.end_here()
                raise self.failure(f"it did not answer within {seconds:g} s", by_us=True)

    def send(self, method: str, place: str, body: str = "", kind: str = "", seconds: float = 10) -> tuple[int, str]:
        """Return the status and the text of its answer.

        Parameters
        ----------
        method, place : str
        body, kind : str
            What is sent, and its content type.
        seconds : float
            How long the answer may take.

        Raises
        ------
        LateError
            If there is none in that time.
        StepError
            If there is none.
        """
        connection = HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            connection.request(method, place, body.encode(), {"Content-Type": kind} if kind else {})
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", errors="replace")
        except TimeoutError as error:
            raise LateError("REST", f"it took longer than {seconds:g} s") from error
        except (OSError, HTTPException) as error:
            raise StepError("REST", "the server did not answer", got=repr(error)) from error
        finally:
            connection.close()

    def _answers(self) -> bool:
        with suppress(StepError):
            return self.send("GET", "/ping")[0] == OK
        return False

    def end_here(self) -> None:
        """End all that it has started, and let its interpreters say in its log where they are."""
        ask_where((each.pid for each in descendants(self.process.pid)), GRACE_SECONDS)

    def ended(self) -> StepError:
        """Wait until it ends by itself, and return that as an error."""
        return self.failure(f"it ended with {ended_with(self.process.wait())}")

    def failure(self, fault: str, seconds: float = 0.0, *, by_us: bool = False) -> StepError:
        """Return an error with the end of the log in front; it tells which signal ended the process that answered.

        Parameters
        ----------
        fault : str
        seconds : float
            How long to wait for the end of a server that answers no more.
        by_us : bool
            Whether it was ended because it took too long.
        """
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        said = self._said()
        lines, stack = said.splitlines(), author_stack(said, [Path(self.model)])
        shown = "\n".join([*lines[-SHOWN_LINES:], stack])
        advice = "Its log is above."
        signals = _RETURNED.findall(said)
        if signals and not by_us:
            code = -int(signals[-1])
            fault, advice = (
                f"{fault.rstrip('.')}: {ended_with(code)} ended it",
                f"{advice_on_end(code)} {held(_largest())} {advice}".strip(),
            )
        return StepError("mlflow models serve", fault, advice=advice, author_traceback=shown)

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log else ""

    def stop(self) -> None:
        """End it: the process that answers is asked first; then all that was started is made to, and is gone."""
        try:
            if (pid := listener(self.port, self.process.pid)) is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)  # its exit hooks run: uvicorn ends by a SIGTERM as such
                if not runs_still(pid, GRACE_SECONDS):
                    with suppress(subprocess.TimeoutExpired):  # the leash says what was left behind
                        self.process.wait(2 * GRACE_SECONDS)
        finally:  # also when Ctrl-C comes once more
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            left_running(self.process.pid, GRACE_SECONDS)

    def require_none_left(self) -> None:
        """Check, after it has ended, that the model has left no process behind."""
        require_none_left(self._said().splitlines(), "mlflow models serve")


class LateError(StepError):
    """An answer that did not come in its time."""


def _largest() -> int:
    """Return the most memory that a process which has ended has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


@contextmanager
def serving(
    model_uri: str,
    environment: Rebuilt,
    log: Path | None,
    variables: Mapping[str, str],
    *,
    used: Path | None = None,
    port: int = 0,
    limits: Limits = FREE,
    seconds: float = 600,
) -> Iterator[Server]:
    """Start `mlflow models serve` on a model and give it at once; wait for it with `Server.wait_until_up`.

    Parameters
    ----------
    model_uri : str
    environment : Rebuilt
        Whose mlflow it is.
    log : Path or None
        A file for its output; None means this process's stderr.
    variables : mapping of str to str
        Those of its caller.
    used : Path, optional
        Where it is noted what it uses.
    port : int
        0 means any that is free.
    limits : Limits
        What it does without.
    seconds : float
        How long one request may take.
    """
    with _reserved(port) as port_held:
        command = [environment.program("mlflow"), "models", "serve", "--env-manager", "local", "--model-uri", model_uri]
        command += ["--host", HOST, "--port", str(port_held), "--timeout", str(int(seconds + START_SECONDS))]
        with log.open("wb") if log else nullcontext(sys.stderr.buffer) as output:
            made = environment.variables(variables)
            noted = watched(made, used, Path(model_uri)) if used else made
            process = leashed(command, {**noted, **WHERE}, output, limits=limits)
        server = Server(port_held, process, log, model_uri)
        try:
            yield server
        finally:
            server.stop()
        server.require_none_left()


@contextmanager
def _reserved(port: int) -> Iterator[int]:
    """Hold a port without listening: nobody else is given it, and the server may still take it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, port))
        except OSError as error:
            advice = "Take another with --port, or let one be found."
            raise UsageError(f"port {port}", "cannot be used", got=error.strerror, advice=advice) from error
        held_port = holder.getsockname()[1]
        _require_loopback(held_port)
        yield held_port


def _require_loopback(port: int) -> None:
    """Check that the server could be asked: a network namespace may have no loopback that is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:  # sends nothing
        try:
            asker.connect((HOST, port))
        except OSError as error:
            advice = "Models are asked over it: `ip link set lo up` brings it up in this network namespace."
            raise UsageError(HOST, "no loopback network", got=error.strerror, advice=advice) from error
