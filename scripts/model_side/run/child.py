"""Run a part of the work in a forked child: it starts with its parent's imports, and nothing of it stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
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
    scratch: bool = False,
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
    scratch : bool
        Whether its temporary files, results that are files too, go where they are removed with it.

    Raises
    ------
    ReportedError
        Whatever `work` raised of that kind.
    StepError
        If it raised anything else (with the author's traceback), ended the process, or took too long.
    """
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() if scratch else nullcontext() as temporary:
        ours, theirs = context.Pipe(duplex=False)
        child = (theirs, work, arguments, subject, directory, code, temporary)
        process = context.Process(target=_child, args=child, daemon=False)
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


def _child(
    answer: Connection,
    work: Callable[..., Any],
    arguments: Sequence[Any],
    subject: str,
    directory: Path,
    code: Sequence[Path],
    temporary: str | None,
) -> None:
    """Do the work in the child, and send what it gave, or the error."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as where a model is served: its own processes inherit it
    print(end="", flush=True)
    os.dup2(2, 1)
    os.chdir(directory)
    if temporary:
        os.environ["TMPDIR"] = tempfile.tempdir = temporary
    try:
        answer.send((work(*arguments), None))
    except ReportedError as error:
        answer.send((None, error))
    except BaseException as error:  # the author's code may raise anything, SystemExit included
        advice = "The traceback above starts in your code." if is_authors(error, code) else ""
        shown = author_traceback(error, code)
        answer.send((None, StepError(subject, f"it raised {said(error)}", advice=advice, author_traceback=shown)))
