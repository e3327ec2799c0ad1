"""Start commands, and end them. The only module that starts processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .errors import StepError
from .step import Step
from .transaction import RUN_VARIABLE, kill_run

GRACE_SECONDS = 5.0
SCRIPTS = Path(__file__).resolve().parents[1]
_TOOL_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")


@dataclass
class Processes:
    """The commands now running, so that an interruption can end them all."""

    jobs: int = 1
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    def __post_init__(self) -> None:
        self._slots = threading.BoundedSemaphore(max(1, self.jobs))

    def run(self, step: Step, root: Path, run: str, log: Path | None) -> int:
        """Run a step's command to its end and return its exit code; nothing that it started outlives it."""
        with self._slots:
            process = self._start(step, root, run, log)
            try:
                return process.wait()
            except BaseException:
                self.stop()
                raise
            finally:
                with self._guard:
                    self._running.discard(process)
                kill_run(run)

    def _start(self, step: Step, root: Path, run: str, log: Path | None) -> subprocess.Popen[bytes]:
        with self._guard:
            if self.stopped:
                raise StepError(step.name, "interrupted before it started")
            output = log.open("wb") if log else None
            try:
                process = subprocess.Popen(
                    step.argv(),
                    cwd=root if root.is_dir() else root.parent,
                    env=clean_environment(os.environ, {**step.env, RUN_VARIABLE: run}),
                    stdin=subprocess.DEVNULL,
                    stdout=output or sys.stderr,
                    stderr=None if step.live or not output else subprocess.STDOUT,
                    start_new_session=True,
                )
            finally:
                if output:
                    output.close()
            self._running.add(process)
            return process

    def stop(self) -> None:
        """End every running command: asked first, then made to."""
        with self._guard:
            self.stopped = True
            running = tuple(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal(process, signal.SIGKILL)


def run_script(name: str, *arguments: str) -> int:
    """Run one of the tool's own command lines in the foreground and return its exit code."""
    return subprocess.run([sys.executable, str(SCRIPTS / f"{name}.py"), *arguments], check=False).returncode


def clean_environment(environment: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what ties a command to the tool's own interpreter, and with `extra`."""
    kept = {name: value for name, value in environment.items() if name not in _TOOL_VARIABLES}
    own = str(Path(sys.prefix, "bin"))
    kept["PATH"] = os.pathsep.join(part for part in environment.get("PATH", "").split(os.pathsep) if part != own)
    return {**kept, **extra}


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
