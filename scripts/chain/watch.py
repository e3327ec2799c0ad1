"""Follow an author's edits: call the code at once, then bring the package and its prediction up to date."""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn, Self

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from engine.errors import PipelineError
from engine.ledger import load_ledger
from engine.processes import terminable
from engine.runner import Builder
from engine.walk import Action, Outcome, Pipeline
from model_side.base.variables import clean_environment

from . import report
from .packages import Package
from .steps import CALLED, PAYLOAD, trial

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
    environment = clean_environment(os.environ, {})
    builder = Builder(jobs, task="invoke watch", tell=_tell, say=say, keep_hosts=True, environment=environment)
    try:
        _build(builder, declare)
        with terminable(builder.processes), Changes(package.root, _authored(declare())) as changes:
            _build(builder, declare)  # an edit meanwhile
            while True:
                changes.follow(_read_beside(package.root))
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


def _read_beside(root: Path) -> frozenset[str]:
    """Return what of a package's directory its steps said that they read beside their dependencies."""
    named = (path for found in load_ledger(root).found.values() for path in found.get("inputs", ()))
    return frozenset(path.partition("/")[0] for path in named)


def _try(package: Package, builder: Builder, changed: Collection[str]) -> bool:
    """Call the author's code where no more than that has changed; tell whether to go on with the chain."""
    called = all(path.partition("/")[0] in (*CALLED, PAYLOAD) for path in changed)
    if not called or not package.file(PAYLOAD).is_file():
        return True
    try:
        told = builder.run_command(package.root, trial(package), os.urandom(8).hex()).told
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
    if outcome.action is not Action.UP_TO_DATE:
        print(report.line(outcome), flush=True)
    if outcome.error:
        print(f"error: {outcome.error}", file=sys.stderr, flush=True)


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


_SETTLED_SECONDS = 0.02  # an editor that saves a file makes several changes
_READING = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE)


class Changes(FileSystemEventHandler):
    """Changes of some files and directories of a package, those that are not there yet included.

    Parameters
    ----------
    root : Path
    names : collection of str
        Of entries of `root`; directories are watched with all that is in them.
    """

    def __init__(self, root: Path, names: Collection[str]) -> None:
        self._root, self._names = root, frozenset(names)
        self._queue: queue.Queue[str] = queue.Queue()
        self._observer = Observer()
        self._inside: dict[str, ObservedWatch] = {}

    def __enter__(self) -> Self:
        self._observer.schedule(self, str(self._root))
        self._look_inside(self._names)
        self._observer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._observer.stop()
        self._observer.join()

    def follow(self, names: Collection[str]) -> None:
        """Tell of changes of these entries of the root, too."""
        new = frozenset(names) - self._names
        self._names |= new
        self._look_inside(new)

    def wait(self) -> frozenset[str]:
        """Wait for a change, and for the end of those that come with it; return the paths, relative to the root."""
        changed = {self._queue.get()}
        while True:
            try:
                changed.add(self._queue.get(timeout=_SETTLED_SECONDS))
            except queue.Empty:
                break
        self._look_inside(changed & self._names)  # a directory that was replaced is another one
        return frozenset(changed)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take note of a change; called by the observer."""
        if event.event_type in _READING or (event.is_directory and event.event_type == EVENT_TYPE_MODIFIED):
            return
        for path in filter(None, (event.src_path, event.dest_path)):
            parts = Path(str(path)).relative_to(self._root).parts
            if parts and parts[0] in self._names and "__pycache__" not in parts:
                self._queue.put("/".join(parts))

    def _look_inside(self, names: Collection[str]) -> None:
        for name in names:
            if name in self._inside:
                self._observer.unschedule(self._inside.pop(name))
            if (self._root / name).is_dir():
                self._inside[name] = self._observer.schedule(self, str(self._root / name), recursive=True)
