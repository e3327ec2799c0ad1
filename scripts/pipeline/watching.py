"""Follow an author's edits: call the code at once, then bring the package and its prediction up to date."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from typing import NoReturn

from . import report
from .changes import Changes
from .errors import PipelineError
from .model_steps import CALLED, PAYLOAD, trial
from .packages import Package
from .processes import terminable
from .runner import Builder
from .walk import Outcome, Pipeline

GOAL = "predict"


def watch(package: Package, declare: Callable[[], Pipeline], jobs: int, say: Callable[[str], None]) -> NoReturn:
    """Build up to the in-process prediction, and again after each edit, with the imports kept; never return.

    Parameters
    ----------
    package : Package
    declare : callable
        Returns the package's chain as its files declare it now.
    jobs : int
    say : callable
        Told what a person should know beside the outcomes.
    """
    builder = Builder(jobs, task="invoke watch", tell=_tell, say=say, keep_hosts=True)
    try:
        _build(builder, declare)
        with terminable(builder.processes), Changes(package.root, _authored(declare())) as changes:
            _build(builder, declare)  # an edit meanwhile
            while True:
                payload = _payload(package)
                print(f"watching {package.name}; Ctrl-C ends", flush=True)
                while (changed := changes.wait()) == {PAYLOAD} and _payload(package) == payload:
                    pass  # the chain itself wrote it
                print(f"\n{_few(sorted(changed))} changed", flush=True)
                if _try(package, builder, changed):
                    _build(builder, declare)
    finally:
        builder.processes.close()


def _payload(package: Package) -> bytes:
    return package.file(PAYLOAD).read_bytes() if package.file(PAYLOAD).is_file() else b""


def _authored(pipeline: Pipeline) -> frozenset[str]:
    """Return what in a package's directory its author edits: what steps read, and no step writes."""
    steps = pipeline.steps
    written = {target for step in steps for target in step.targets if target not in step.editable}
    read = {path for step in steps for path in step.dependencies} - written
    return frozenset(path.partition("/")[0] for path in (*read, PAYLOAD))


def _try(package: Package, builder: Builder, changed: Collection[str]) -> bool:
    """Call the author's code where no more than that has changed; tell whether to go on with the chain."""
    called = all(path.partition("/")[0] in (*CALLED, PAYLOAD) for path in changed)
    if not called or not package.file(PAYLOAD).is_file():
        return True
    try:
        told = builder.run_command(package.root, trial(package), os.urandom(8).hex())
    except PipelineError as error:
        builder.say(f"error: {error}")
        print("the MLflow Model stays as it is", flush=True)
        return False
    print(told, end="", flush=True)
    return True


def _build(builder: Builder, declare: Callable[[], Pipeline]) -> None:
    result = builder.build_all([declare()], GOAL)[0]
    if not result.up_to_date:
        print(report.sentence(result), flush=True)


def _tell(pipeline: Pipeline, outcome: Outcome) -> None:
    if outcome.action != "up-to-date":
        print(report.line(outcome), flush=True)
    if outcome.error:
        print(f"error: {outcome.error}", file=sys.stderr, flush=True)


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
