"""Run a part of the work in a forked child: it starts with its parent's imports, and nothing of it stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from ..base.errors import ReportedError, StepError
from ..base.processes import left_running
from ..base.tracebacks import author_traceback, is_authors, said

Answer = TypeVar("Answer")
_GRACE = 5.0  # seconds for a process to end after its answer


def run_in_child(
    work: Callable[..., Answer],
    *arguments: Any,
    subject: str,
    directory: Path,
    code: Sequence[Path] = (),
    seconds: float | None = None,
    must_end: bool = False,
) -> Answer:
    """Return ``work(*arguments)``, called in a process of its own.

    What the child prints goes to stderr; processes that it leaves behind are ended.

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
    seconds : float, optional
        Time limit.
    must_end : bool
        Whether the process must end by itself soon after its answer, and leave no process behind.

    Raises
    ------
    ReportedError
        Whatever `work` raised of that kind.
    StepError
        If it raised anything else (with the author's traceback), ended the process, or took too long.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    target = _Child(work, arguments, theirs, subject, directory, tuple(code))
    process = context.Process(target=target, daemon=False)
    process.start()
    theirs.close()
    try:
        answer: Answer = _answer(ours, process, subject, seconds)
        if must_end:
            _require_end(process, subject)
        return answer
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()


def _answer(ours: Connection, process: Any, subject: str, seconds: float | None) -> Any:
    if not ours.poll(seconds):
        raise StepError(subject, f"it took longer than {seconds:g} s", advice="Make it faster, or raise --time-limit.")
    try:
        answer, error = ours.recv()
    except EOFError:
        process.join()
        code = process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        advice = "It may have run out of memory." if code == -signal.SIGKILL else "Nothing in it may end the process."
        raise StepError(subject, f"the process ended in the middle with {how}", advice=advice) from None
    if error is not None:
        raise error
    return answer


def _require_end(process: Any, subject: str) -> None:
    process.join(_GRACE)
    if process.exitcode is None:
        advice = "Make its threads daemons, or end them; a process that runs it would hang."
        raise StepError(subject, f"the process does not end {_GRACE:g} s after its answer", advice=advice)
    if left := left_running(process.pid, _GRACE):
        advice = "End each child process that the model starts."
        raise StepError(subject, f"it left processes behind: {', '.join(left)}", advice=advice)


class _Child:
    """What the child does; a class because a fork needs no pickle of it."""

    def __init__(
        self,
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        answer: Connection,
        subject: str,
        directory: Path,
        code: tuple[Path, ...],
    ) -> None:
        self._work, self._arguments, self._answer = work, arguments, answer
        self._subject, self._directory, self._code = subject, directory, code

    def __call__(self) -> None:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as where a model is served: its own processes inherit it
        print(end="", flush=True)
        os.dup2(2, 1)
        os.chdir(self._directory)
        try:
            self._answer.send((self._work(*self._arguments), None))
        except ReportedError as error:
            self._answer.send((None, error))
        except BaseException as error:  # the author's code may raise anything, SystemExit included
            self._answer.send((None, self._failure(error)))

    def _failure(self, error: BaseException) -> StepError:
        advice = "The traceback above starts in your code." if is_authors(error, self._code) else ""
        shown = author_traceback(error, self._code)
        return StepError(self._subject, f"it raised {said(error)}", advice=advice, author_traceback=shown)
