"""Start commands, and end them. Beside hosts.py, which it alone calls, the only module that starts processes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StepError
from .logs import BARS_VARIABLE, FOUND_VARIABLE, bars_of, found_of, told_of
from .step import Preparation, Says, Step, overlaps
from .transaction import NAME_LENGTH, RUN_VARIABLE, kill_run

if TYPE_CHECKING:
    from .hosts import Host, Job

GRACE_SECONDS = 5.0
_TERMINAL = 2  # the descriptor of this process's stderr


@dataclass(eq=False, repr=False)
class Processes:
    """The commands now running, so that an interruption, or an edit of what they read, can end them all."""

    jobs: int = 1
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    say: Callable[[str], None] = lambda text: None
    begun: Callable[[Path, Step, Path], None] = lambda root, step, log: None  # told that a command now runs
    shows: bool = True  # whether a command that speaks while it runs does so on this process's stderr
    patience: float = 60.0  # seconds without work after which that is said
    _said: set[str] = field(default_factory=set)
    _running: set[subprocess.Popen[bytes] | Job] = field(default_factory=set)
    _hosts: dict[tuple[Path, tuple[str, ...]], Host] = field(default_factory=dict)
    _dropped: list[Host] = field(default_factory=list)
    _ahead: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False
    interrupted: bool = False  # by a signal
    superseded: bool = False  # by an edit
    is_outdated: Callable[[], bool] | None = None  # whether an edit concerns what runs, where that is known

    def __post_init__(self) -> None:
        self._slots = threading.BoundedSemaphore(max(1, self.jobs))

    def run(self, step: Step, root: Path, run: str, log: Path) -> int:
        """Run a step's command to its end and return its exit code; nothing that it started outlives it.

        A step with a host runs in that; where the host does not take it on, in a new one, and then without one.

        Parameters
        ----------
        step : Step
        root : Path
            The pipeline's directory.
        run : str
            The run's own name, by which its processes are known.
        log : Path
            The step's log.
        """
        from .watchdog import watched  # not on the way to a no-op

        place = f" What it said so far is in {os.path.relpath(log, root.parent)}."

        def is_quiet(seconds: float) -> None:
            self.say(f"{root.name}: {step.name} has not worked for {seconds:g} s; Ctrl-C ends it.{place}")

        with self._slots, watched(run, lambda: self._host_of(step, root), is_quiet, self.patience):
            try:
                self.begun(root, step, log)
                return self._run(step, root, run, log)
            finally:
                kill_run(run)
                self.drop(root, step.targets)

    def _run(self, step: Step, root: Path, run: str, log: Path) -> int:
        for _ in range(2 if step.runs.host else 0):
            if job := self._ask_host(step, root, run, log):
                with closing(job):
                    code = self._finish(job)
                if job.started:
                    return code
                if job.alone:
                    self._say_once(f"{root.name}: each step runs in a new interpreter, which takes longer: {job.alone}")
                    break
            self.drop(root, step.runs.host[:1])
        return self._finish(self._start(step, root, run, log))

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def _host_of(self, step: Step, root: Path) -> list[int]:
        host = self._hosts.get((root, step.runs.host))
        return [host.process.pid] if host else []

    def warm(self, steps: Sequence[Step], root: Path) -> None:
        """Start the hosts of steps that are about to run, but for those whose program one of them makes.

        Parameters
        ----------
        steps : sequence of Step
            Those that are about to run.
        root : Path
            The pipeline's directory.
        """
        targets = [target for step in steps for target in step.targets]
        for step in steps:
            if step.runs.host and not any(overlaps(target, step.runs.host[0]) for target in targets):
                self._warm(step, root)

    def _warm(self, step: Step, root: Path) -> None:
        with self._guard:
            if step.runs.light or self.stopped or (root, step.runs.host) in self._hosts:
                return
            from .hosts import Host  # not on the way to a no-op

            with suppress(OSError):  # the step says so
                environment = {**self.environment, **step.runs.environment()}
                words = step.runs.placed(step.runs.host)
                self._hosts[root, step.runs.host] = Host(words, root, environment)

    def prepare(self, step: Step, preparation: Preparation, root: Path, log: Path) -> None:
        """Start what prepares something for `step`, beside the commands; with one job there is no beside.

        Parameters
        ----------
        step : Step
        preparation : Preparation
        root : Path
            The pipeline's directory.
        log : Path
            The step's log.
        """
        if self.jobs > 1:
            run = os.urandom(8).hex()
            with suppress(StepError):  # the step itself does it then
                self._ahead[run] = self._start(replace(step, command=preparation.command), root, run, log)

    def close(self) -> None:
        """End the hosts, and what still prepares something."""
        with self._guard:
            hosts = [*self._hosts.values(), *self._dropped]
            self._hosts.clear()
            self._dropped.clear()
        for host in hosts:
            host.close()
        for run, process in self._ahead.items():
            kill_run(run)
            self._finish(process)
        self._ahead.clear()

    def drop(self, root: Path, paths: Sequence[str]) -> None:
        """Give no more commands to the hosts whose program lies at or in one of `paths`."""
        with self._guard:
            keys = [key for key in self._hosts if key[0] == root and any(overlaps(key[1][0], path) for path in paths)]
            self._dropped.extend(map(self._hosts.pop, keys))

    def _ask_host(self, step: Step, root: Path, run: str, log: Path) -> Job | None:
        self._warm(step, root)
        with self._guard, _outputs(step, log, shows=self.shows) as (output, errors):
            host = self._hosts.get((root, step.runs.host))
            if self.stopped or host is None:
                return None
            environment = self._environment(step, run, log)
            request = {
                "argv": step.runs.argv()[1:],
                "env": environment,
                "directory": str(root),
                "name": run[:NAME_LENGTH],
            }
            job = host.start(request, output, errors)
            self._running.add(job)
            return job

    def _finish(self, process: subprocess.Popen[bytes] | Job) -> int:
        try:
            return process.wait()
        except BaseException:
            self.stop()
            raise
        finally:
            with self._guard:
                self._running.discard(process)

    def _start(self, step: Step, root: Path, run: str, log: Path) -> subprocess.Popen[bytes]:
        with self._guard:
            if self.stopped:
                raise StepError(step.name, "interrupted before it started")
            with _outputs(step, log, shows=self.shows) as (output, errors):
                environment = self._environment(step, run, log)
                process = _popen(step, root, environment, output, errors)
            self._running.add(process)
            return process

    def _environment(self, step: Step, run: str, log: Path) -> dict[str, str]:
        beside = {FOUND_VARIABLE: str(found_of(log)), **({} if self.shows else {BARS_VARIABLE: str(bars_of(log))})}
        return {**self.environment, **step.runs.environment(), **beside, RUN_VARIABLE: run}

    def interrupt(self) -> None:
        """Ask every running command to end, from a signal handler: without a lock and without waiting."""
        self.stopped = self.interrupted = True
        for process in tuple(self._running):
            _signal(process, signal.SIGTERM)

    def supersede(self) -> None:
        """End every running command as `stop` does, where an edit concerns them."""
        if self.is_superseded():
            self.superseded = True
            self.stop()

    def is_superseded(self) -> bool:
        """Tell whether an edit concerns what runs, or what has just ended."""
        return self.superseded or bool(self.is_outdated and self.is_outdated())

    def resume(self) -> None:
        """Let commands run again after an edit has ended some."""
        self.stopped, self.superseded, self.is_outdated = self.interrupted, False, None

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


@contextmanager
def terminable(processes: Processes) -> Iterator[None]:
    """Let a request to end, or a closed terminal, interrupt as Ctrl-C does; the commands end in any case.

    Python drops an exception that a signal raises in a finalizer; the walk then sees that the commands were stopped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        processes.interrupt()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _outputs(step: Step, log: Path, *, shows: bool) -> Iterator[tuple[int, int]]:
    """Give the descriptors of a command's stdout and stderr."""
    with ExitStack() as files:
        said = files.enter_context(log.open("wb")).fileno()
        told = files.enter_context(told_of(log).open("wb")).fileno() if step.runs.says is Says.AFTERWARDS else said
        yield told, _TERMINAL if shows and step.runs.says is Says.LIVE else said


def _popen(step: Step, root: Path, environment: Mapping[str, str], output: int, errors: int) -> subprocess.Popen[bytes]:
    words = step.runs.argv()
    try:
        return subprocess.Popen(
            words,
            cwd=root if root.is_dir() else root.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    except OSError as error:
        raise StepError(
            step.name, "it cannot be started", expected=f"a program {words[0]}", got=error.strerror
        ) from error


def _signal(process: subprocess.Popen[bytes] | Job, number: signal.Signals) -> None:
    if not isinstance(process, subprocess.Popen):
        process.send_signal(number)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
