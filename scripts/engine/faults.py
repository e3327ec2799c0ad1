"""What can go wrong with the run of a step, as errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .errors import PipelineError, StepError, UsageError
from .fingerprint import Stamp
from .logs import Said, tail
from .staleness import MISSING, Seen
from .step import Says, Step


def failure(step: Step, code: int, log: Path, said: Said, *, stays: bool = True) -> PipelineError:
    """Return the error of a command that failed, with the end of its log.

    Parameters
    ----------
    step : Step
    code : int
        Its exit code, or the number of a signal below 0.
    log : Path
    said : Said
    stays : bool
        Whether the log outlives this run.
    """
    kind = UsageError if code == 2 else StepError
    fault = f"ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    output = tail(log)
    was_shown = step.runs.says is Says.LIVE and not output
    where = "What it said is above." if was_shown else f"Its output is in {log}."
    error = kind(step.name, fault, advice=where if stays else "")
    error.found, error.said = said.found, output
    return error


def unwritable(fault: OSError, root: Path) -> StepError:
    """Return the error of a file that cannot be written.

    Parameters
    ----------
    fault : OSError
    root : Path
        The pipeline's directory, which is named where the fault names no file.
    """
    place = str(fault.filename or root)
    return StepError(place, "cannot be written", got=fault.strerror, advice="Fix it and build again.")


def refuse_unfinished(step: Step, before: Seen, after: Seen) -> None:
    """Refuse to record a step that did not write a target, or whose inputs moved while it ran."""
    missing = [target for target in step.targets if after.targets.get(target) == MISSING]
    if missing:
        raise StepError(step.name, "it did not write a target", expected=missing[0], advice="Fix its command.")
    for then, now in ((before.dependencies, after.dependencies), (before.tools, after.tools)):
        _refuse_moved(step, [name for name in then.keys() | now.keys() if then.get(name) != now.get(name)])


def refuse_touched(step: Step, before: Mapping[str, Stamp], after: Mapping[str, Stamp], started: int) -> None:
    """Refuse to record a step that may have read what is no longer there: an edit that was taken back while it ran.

    Parameters
    ----------
    step : Step
    before, after : mapping of str to Stamp
        The files and directories that it reads, as they were looked at.
    started : int
        When the command started, in nanoseconds since 1970: of a file that nobody looked at before, it tells.
    """
    known = [name for name in before.keys() & after.keys() if _is_touched(name, before[name], after[name])]
    files = [name for name in after.keys() - before.keys() if not name.endswith("/")]
    _refuse_moved(step, [*known, *(name for name in files if after[name][0].st_ctime_ns >= started)])


def _is_touched(name: str, before: Stamp, after: Stamp) -> bool:
    """Tell whether a file may have had another content meanwhile; a new hard link alone changes its change time.

    Of a directory, that is what came and went again: what came and stayed counts, or does not, as bytecode.
    """
    (then, names_then), (now, names_now) = before, after
    if name.endswith("/"):
        return then.st_ctime_ns != now.st_ctime_ns and names_then == names_now
    if (then.st_size, then.st_mtime_ns, then.st_ino) != (now.st_size, now.st_mtime_ns, now.st_ino):
        return True
    return then.st_ctime_ns != now.st_ctime_ns and then.st_nlink == now.st_nlink


def _refuse_moved(step: Step, names: list[str]) -> None:
    if names:
        raise StepError(step.name, f"{min(names)} changed while it ran", advice="Nothing is recorded: build again.")
