"""Interpreters that are kept warm: a host imports what its steps need once, and runs each command in a fork of itself.

A host is started like a command; it gets the number of a socket as its last argument. What it is asked and what it
answers is told in model_side/run/worker.py.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_LONGEST = 1000  # bytes of what is told of a command


class Host:
    """A running host; it ends with `close`, or when this process is gone, and all that runs in it then.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(self, words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [*words, str(theirs.fileno())],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(self, request: Mapping[str, Any], output: int, errors: int) -> Job:
        """Ask for a command, and return at once; `output` and `errors` are its descriptors."""
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        body = json.dumps(request).encode()
        with theirs, suppress(BrokenPipeError, ConnectionResetError):  # the job then never starts
            socket.send_fds(self._requests, [len(body).to_bytes(4)], [output, errors, theirs.fileno()])
            self._requests.sendall(body)
        return Job(self, ours)

    def close(self) -> None:
        """End the host. What still runs in it is ended by whoever ends its run."""
        self._requests.close()
        self.process.kill()
        self.process.wait()


class Job:
    """A command in a host, with what subprocess.Popen has for it.

    Attributes
    ----------
    started : bool
        Whether the host took the command on. Where it did not, the exit code says nothing.
    alone : str
        Why no host of this kind could, if that is so: the command then runs in an interpreter of its own.
    """

    def __init__(self, host: Host, told: socket.socket) -> None:
        self._host, self._told, self._guard = host, told, threading.Lock()
        self.started, self.pid, self.alone = False, host.process.pid, ""
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative for a signal."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._told], [], [], left)[0]:
                raise subprocess.TimeoutExpired("a command in a host", timeout or 0)
            with self._guard:
                if self.returncode is None:
                    self._listen()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the command and what it has started, also from a signal handler: without waiting.

        Parameters
        ----------
        number : int
            Of the signal. Where the host has not yet told of the command, it gets it, and ends what it starts.
        """
        if self._guard.acquire(blocking=False):
            try:
                if not self.started and select.select([self._told], [], [], 0)[0]:
                    self._listen()
            finally:
                self._guard.release()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Let go of what tells of the command, once it has ended."""
        self._told.close()

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            what, _, text = self._told.recv(_LONGEST, socket.MSG_DONTWAIT).decode().partition(" ")
            if what == "pid":
                self.started, self.pid = True, int(text)
            elif what == "alone":
                self.alone = text
            else:
                self.returncode = int(text) if what else self._abandoned()

    def _abandoned(self) -> int:
        """End what a host that is gone may have started; a host that refuses has started nothing."""
        if self.started:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL
