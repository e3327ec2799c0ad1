"""Run a part of the work in a forked child: it starts with its parent's imports, and nothing of it stays."""

from __future__ import annotations

import faulthandler
import multiprocessing.process
import os
import signal
import sys
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

import numpy as np

from ..base.errors import ReportedError, StepError
from ..base.found import count
from ..base.processes import (
    adopt_orphans,
    advice_on_end,
    ask_where,
    children,
    end_family,
    ended_with,
    held,
    left_running,
    out_of_memory,
    peak_memory,
    runs_still,
)
from ..base.read_only import advice_on, hold, unchanged
from ..base.tracebacks import author_stack, author_traceback, is_authors, said
from ..model.settings import TIME_LIMIT
from . import tally
from .worker import end_process

Answer = TypeVar("Answer")
_GRACE = 5.0  # seconds for a process to end after its answer
_LOOK = 0.5  # seconds; what a process has started may hold the other end of the pipe when it has ended
_TELL = 60.0  # seconds after which it is said how long it takes


def run_in_child(
    work: Callable[..., Answer],
    *arguments: Any,
    subject: str,
    directory: Path,
    code: Sequence[Path] = (),
    kept: Sequence[Path] = (),
    seconds: float | None = None,
    must_end: bool = False,
    scratch: bool = False,
) -> Answer:
    """Return ``work(*arguments)``, called in a process of its own.

    What the child prints goes to stderr. Processes that it leaves behind are ended, also those in a session of their
    own. How often it loads a model and predicts is added to what the step found.

    Parameters
    ----------
    work : callable
        What it returns or raises must be picklable.
    subject : str
        What is being done, for messages.
    directory : Path
        The child's working directory.
    code : sequence of Path
        Where the author's code lies, for tracebacks.
    kept : sequence of Path
        Files and directories that it can only read; where the system cannot do that, they are compared afterwards.
    seconds : float, optional
        How long each load, each prediction, and what is done before, between and after them may take.
    must_end : bool
        Whether the process must end by itself soon after its answer, and leave no process behind.
    scratch : bool
        Whether its temporary files, results that are files too, go where they are removed with it.

    Raises
    ------
    ReportedError
        Whatever `work` raised of that kind.
    StepError
        If it raised anything else (with the author's traceback), ended the process, or took too long (with where it
        was in the author's code).
    """
    with tempfile.TemporaryDirectory() if scratch else nullcontext() as temporary, tempfile.TemporaryFile() as stack:
        counted, known = tally.Tally.shared(seconds or TIME_LIMIT), children()
        ours, theirs = multiprocessing.Pipe(duplex=False)
        adopt_orphans()
        print(end="", flush=True)
        pid = os.fork()  # not a Process of multiprocessing: those end by another order of exit hooks
        if not pid:
            faulthandler.enable(stack)
            tally.become(counted)
            _child(theirs, work, arguments, subject, directory, code, kept, temporary)
        theirs.close()
        run = _Run(pid, subject, ours, counted, stack, code, known)
        try:
            answer: Answer = run.answer()
            if must_end:
                run.require_end()
            return answer
        finally:
            run.end()
            count(loads=counted.loads, predictions=counted.predictions)


@dataclass
class _Run:
    """A child at work."""

    pid: int
    subject: str
    answers: Connection
    counted: tally.Tally
    stack: IO[bytes]
    code: Sequence[Path]
    known: set[int]
    _status: tuple[int, int] | None = field(default=None, init=False)  # its exit code, and its peak in bytes

    def answer(self) -> Any:
        """Wait for what the child gives: not for the end of a pipe that others may hold."""
        told = 0.0
        while not self.answers.poll(max(0.0, min(_LOOK, self.counted.left()))):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) and not self.answers.poll():
                raise self._ended()
            if self.counted.left() <= 0:
                raise self._took_too_long()
            taken = self.counted.limit - self.counted.left()
            told = min(told, taken)
            if taken - told >= _TELL:
                told = taken
                print(f"{self.subject}: {taken:.0f} s of at most {self.counted.limit:g} s", file=sys.stderr, flush=True)
        try:
            answer, error = self.answers.recv()
        except EOFError:
            raise self._ended() from None
        if error is not None:
            raise error
        return answer

    def _took_too_long(self) -> StepError:
        ask_where([self.pid], _GRACE)
        advice = f"{self.counted.about()} Make it faster, or raise TIME_LIMIT in model_spec.py or --time-limit."
        fault, shown = f"it took longer than {self.counted.limit:g} s", self._where()
        return StepError(self.subject, fault, advice=advice.strip(), author_traceback=shown)

    def _ended(self) -> StepError:
        """Return the error for a process that ended without an answer."""
        code, peak = self._wait()
        why = advice_on_end(code)
        advice = f"{why} {held(peak)} {self.counted.about()}".strip() if why else "Nothing in it may end the process."
        fault = f"the process ended in the middle with {ended_with(code)}"
        return StepError(self.subject, fault, advice=advice, author_traceback=self._where())

    def _where(self) -> str:
        self.stack.seek(0)
        return author_stack(self.stack.read().decode(errors="replace"), self.code)

    def require_end(self) -> None:
        """Check that the child ends, and leaves no process."""
        if runs_still(self.pid, _GRACE):
            advice = "Make its threads daemons, or end them; a process that runs it would hang."
            raise StepError(self.subject, f"the process does not end {_GRACE:g} s after its answer", advice=advice)
        if left := left_running(self.pid, _GRACE, self.known):
            advice = "End each child process that the model starts."
            raise StepError(self.subject, f"it left processes behind: {', '.join(left)}", advice=advice)

    def end(self) -> None:
        """End the child with all that it has started."""
        end_family(self.pid, self.known)
        self._wait()

    def _wait(self) -> tuple[int, int]:
        if self._status is None:
            _, status, used = os.wait4(self.pid, 0)
            self._status = os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024
        return self._status


def _child(
    answer: Connection,
    work: Callable[..., Any],
    arguments: Sequence[Any],
    subject: str,
    directory: Path,
    code: Sequence[Path],
    kept: Sequence[Path],
    temporary: str | None,
) -> NoReturn:
    """Do the work in the child, send what it gave, or the error, and end as an interpreter does."""
    try:
        os.setsid()
        _leave_to_the_parent()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as where a model is served: its own processes inherit it
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        compared = () if not kept or hold(kept) else kept
        os.chdir(directory)
        np.random.seed()  # as a new process: without a seed, it draws its own numbers
        if temporary:
            os.environ["TMPDIR"] = tempfile.tempdir = temporary
        _send(answer, work, arguments, subject, code, compared)
    finally:
        end_process(0)


def _leave_to_the_parent() -> None:
    """Forget what only the parent may remove and end when it ends: its temporary directories, its other children."""
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    multiprocessing.process._children.clear()  # type: ignore[attr-defined]


def _send(
    answer: Connection,
    work: Callable[..., Any],
    arguments: Sequence[Any],
    subject: str,
    code: Sequence[Path],
    compared: Sequence[Path],
) -> None:
    try:
        with unchanged(subject, compared):
            result = work(*arguments)
        answer.send((result, None))
    except ReportedError as error:
        answer.send((None, error))
    except BaseException as error:  # the author's code may raise anything, SystemExit included
        where = "The traceback above starts in your code. " if is_authors(error, code) else ""
        short = out_of_memory(peak_memory()) if isinstance(error, MemoryError) else ""
        advice = f"{where}{advice_on(error)}{short}".strip()
        shown = author_traceback(error, code)
        answer.send((None, StepError(subject, f"it raised {said(error)}", advice=advice, author_traceback=shown)))
