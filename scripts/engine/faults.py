"""What can go wrong with the run of a step, as errors."""

from __future__ import annotations

from pathlib import Path

from .errors import PipelineError, StepError, UsageError
from .staleness import MISSING, Seen
from .step import Step


def failure(step: Step, code: int, where: str) -> PipelineError:
    """Return the error of a command that failed; `where` says where its output is."""
    kind = UsageError if code == 2 else StepError
    fault = f"ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return kind(step.name, fault, advice=f"Its output is {where}.")


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
        moved = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
        if moved:
            raise StepError(step.name, f"{moved[0]} changed while it ran", advice="Nothing is recorded: build again.")
