"""Run a part of the work in a forked child: it starts with its parent's imports, and nothing of it stays."""

from __future__ import annotations

import multiprocessing.process
import os
import signal
import tempfile
import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ..base.errors import ReportedError, StepError
from ..base.processes import advice_on_end, ended_with, left_running, runs_still
from ..base.read_only import advice_on, hold, unchanged
from ..base.tracebacks import author_traceback, is_authors, said
from .worker import end_process

Answer = TypeVar("Answer")
_GRACE = 5.0  # seconds for a process to end after its answer


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
    kept : sequence of Path
        Files and directories that it can only read; where the system cannot do that, they are compared afterwards.
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
    with tempfile.TemporaryDirectory() if scratch else nullcontext() as temporary:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        print(end="", flush=True)
        pid = os.fork()  # not a Process of multiprocessing: those end by another order of exit hooks
        if not pid:
            _child(theirs, work, arguments, subject, directory, code, kept, temporary)
        theirs.close()
        try:
            answer: Answer = _answer(ours, pid, subject, seconds)
            if must_end:
                _require_end(pid, subject)
            return answer
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answer(ours: Connection, pid: int, subject: str, seconds: float | None) -> Any:
    if not ours.poll(seconds):
        raise StepError(subject, f"it took longer than {seconds:g} s", advice="Make it faster, or raise --time-limit.")
    try:
        answer, error = ours.recv()
    except EOFError:
        raise StepError(subject, **_how_it_ended(pid)) from None
    if error is not None:
        raise error
    return answer


def _how_it_ended(pid: int) -> dict[str, str]:
    """Return the fault and the advice for a process that ended without an answer."""
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    code = (end.si_status if end.si_code == os.CLD_EXITED else -end.si_status) if end else 0
    advice = advice_on_end(code) or "Nothing in it may end the process."
    return {"fault": f"the process ended in the middle with {ended_with(code)}", "advice": advice}


def _require_end(pid: int, subject: str) -> None:
    if runs_still(pid, _GRACE):
        advice = "Make its threads daemons, or end them; a process that runs it would hang."
        raise StepError(subject, f"the process does not end {_GRACE:g} s after its answer", advice=advice)
    if left := left_running(pid, _GRACE):
        advice = "End each child process that the model starts."
        raise StepError(subject, f"it left processes behind: {', '.join(left)}", advice=advice)


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
        advice = f"{where}{advice_on(error)}".strip()
        shown = author_traceback(error, code)
        answer.send((None, StepError(subject, f"it raised {said(error)}", advice=advice, author_traceback=shown)))
