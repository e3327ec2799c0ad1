"""Show an author the part of a traceback that is about the author's code."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import ReportedError, StepError
from .processes import out_of_memory, peak_memory
from .read_only import advice_on

_BASE_CLASSES = "model_code/__init__.py"
_THREAD = "most recent call first"
_FRAME = re.compile(r'  File "(.+)", line (\d+) in (.+)')


@contextmanager
def authors_code(doing: str, directory: Path) -> Iterator[None]:
    """Turn whatever the author's code raises, SystemExit included, into an error with the author's traceback.

    Parameters
    ----------
    doing : str
        The error's subject.
    directory : Path
        Where the author's code lies.
    """
    try:
        yield
    except (KeyboardInterrupt, ReportedError):
        raise
    except BaseException as error:
        raise _failure(doing, error, directory) from error


def _failure(doing: str, error: BaseException, directory: Path) -> StepError:
    from mlflow.exceptions import MlflowException

    cause = error
    while isinstance(cause, MlflowException) and (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    fault = f"it raised {type(cause).__name__}: {cause}"
    shown = "" if isinstance(cause, MlflowException) else author_traceback(cause, [directory])
    short = out_of_memory(peak_memory()) if isinstance(cause, MemoryError) else ""
    name = cause.name if isinstance(cause, ModuleNotFoundError) else None
    advice = f"{'See the traceback above. ' if shown else ''}{advice_on(cause)}{short}{advice_on_missing(name)}".strip()
    return StepError(doing, fault, advice=advice, author_traceback=shown)


def advice_on_missing(module: str | None) -> str:
    """Return what to do about a module that is not there, unless it is to be in model_code/; nothing for None."""
    own = module is None or module.partition(".")[0] == "model_code"
    return "" if own else f"If {module} is a package, add it to requirements.in."


def author_traceback(error: BaseException, roots: Sequence[Path]) -> str:
    """Return the traceback of `error` from the first frame in the author's code on.

    Parameters
    ----------
    error : BaseException
    roots : sequence of Path
        Files and directories of the author's code; the base classes that the tool puts there are passed over. Where no
        frame lies there, it starts behind the last frame of this tool; only an error of the tool itself is shown from
        its start.
    """
    entries: list[traceback.FrameSummary] = list(traceback.extract_tb(error.__traceback__))
    if isinstance(error, SyntaxError) and error.filename and _is_inside(error.filename, roots):
        entries = []  # it names the author's line itself
    inside = [n for n, entry in enumerate(entries) if _is_inside(entry.filename, roots)]
    own = (n for n in inside if not entries[n].filename.endswith(_BASE_CLASSES))
    first = next(own, inside[0] if inside else None)
    lines = traceback.format_list(_behind_ours(entries) if first is None else entries[first:])
    return "".join(["Traceback (most recent call last):\n", *lines, *traceback.format_exception_only(error)])


def author_stack(dump: str, roots: Sequence[Path]) -> str:
    """Return where a process was, from the first frame in the author's code on; nothing where no thread was in that.

    Parameters
    ----------
    dump : str
        What Python's faulthandler has written of its threads.
    roots : sequence of Path
        Files and directories of the author's code.
    """
    stacks = [_stack(text) for text in dump.split(_THREAD)[1:]]
    found = [(stack, [n for n, each in enumerate(stack) if _is_inside(each.filename, roots)]) for stack in stacks]
    shown = ["".join(traceback.format_list(stack[inside[0] :])) for stack, inside in found if inside]
    return "".join(f"Where it was (most recent call last):\n{each}" for each in dict.fromkeys(shown))


def _stack(text: str) -> list[traceback.FrameSummary]:
    """Return the frames of a thread, the latest last."""
    frames = []
    for line in text.splitlines()[1:]:
        if not (frame := _FRAME.fullmatch(line)):
            break
        frames.append(traceback.FrameSummary(frame[1], int(frame[2]), frame[3]))
    return frames[::-1]


def is_authors(error: BaseException, roots: Sequence[Path]) -> bool:
    """Tell whether a frame of an error's traceback lies in the author's code.

    Parameters
    ----------
    error : BaseException
    roots : sequence of Path
        Files and directories of the author's code.
    """
    return any(_is_inside(entry.filename, roots) for entry in traceback.extract_tb(error.__traceback__))


def said(error: BaseException) -> str:
    """Return the kind of an exception and what it says, if anything."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _behind_ours(entries: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    ours = [Path(__file__).parents[1]]
    last = max((n for n, entry in enumerate(entries) if _is_inside(entry.filename, ours)), default=-1)
    return entries[last + 1 :] or entries


def _is_inside(filename: str, roots: Sequence[Path]) -> bool:
    return any(Path(filename).resolve().is_relative_to(root.resolve()) for root in roots)
