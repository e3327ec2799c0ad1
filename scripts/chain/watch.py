"""Follow an author's edits: call the code at once, then bring the package and its prediction up to date."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from engine.ledger import load_ledger, save_stat_cache
from engine.processes import terminable
from engine.runner import Builder
from engine.walk import STOPPED, Action, Outcome, Pipeline, Walk
from model_side.base.variables import clean_environment

from . import report
from .packages import Package
from .steps import CALLED, DOWNLOADS, PAYLOAD, trial

GOAL = "predict"


def watch(
    package: Package,
    declare: Callable[[], Pipeline],
    jobs: int,
    say: Callable[[str], None],
    limit: Sequence[str] = (),
) -> NoReturn:
    """Build up to the in-process prediction, and again after each edit, with the imports kept; never return.

    An edit of what a build has read ends that build, and the next one begins at once.

    Parameters
    ----------
    package : Package
    declare : callable
        Returns the package's chain as its files declare it now.
    jobs : int
    say : callable
        Told what a person should know beside the outcomes.
    limit : sequence of str
        Arguments for the direct call.
    """
    environment = clean_environment(os.environ, {})
    builder = Builder(jobs, task="invoke watch", keep_hosts=True, environment=environment)
    following = _Following(package, declare, builder, say, limit)
    builder.tell, builder.say = following.tell, following.say
    try:
        if not package.root.is_dir():  # there is nothing to watch yet
            (made,) = builder.build_all([declare()], "scaffold")
            for error in filter(None, (outcome.error for outcome in made.outcomes)):
                raise error
        with terminable(builder.processes), Changes(package.root, _authored(declare())) as changes:
            following.follow(changes)
    finally:
        builder.processes.close()


@dataclass(eq=False)
class _Following:
    """What follows the edits of one package; its parts are the arguments of `watch`."""

    package: Package
    declare: Callable[[], Pipeline]
    builder: Builder
    told: Callable[[str], None]
    limit: Sequence[str]

    def follow(self, changes: Changes) -> NoReturn:
        """Build, and again after each change."""
        changed = self._build(changes)
        while True:
            changes.follow(_read_beside(self.package.root))
            if not changed:
                payload = _payload(self.package)
                print(f"watching {self.package.name}; Ctrl-C ends", flush=True)
                while (changed := changes.wait()) == {PAYLOAD} and _payload(self.package) == payload:
                    pass  # the chain itself wrote it
            print(f"\n{_few(sorted(changed))} changed", flush=True)
            goes_on, more = self._try(changes, changed)
            changed = changed | more if more else self._build(changes) if goes_on else frozenset()

    def _build(self, changes: Changes) -> frozenset[str]:
        """Build, and return what was edited meanwhile and calls for another build."""

        def build() -> bool:
            (result,) = self.builder.build_all([self.declare()], GOAL)
            if not result.up_to_date and not self.builder.processes.is_superseded():
                print(report.sentence(result), flush=True)
            return result.ok

        return self._until_edited(changes, build)

    def _try(self, changes: Changes, changed: Collection[str]) -> tuple[bool, frozenset[str]]:
        """Call the author's code where only that has changed; tell whether to go on, and what was edited since."""
        called = all(path.partition("/")[0] in (*CALLED, PAYLOAD) for path in changed)
        if not called or not self.package.file(PAYLOAD).is_file():
            return True, frozenset()
        step, root = trial(self.package, self.limit), self.package.root

        def call() -> bool:
            walk = Walk(Pipeline(root, (step,)), (step,))
            walk.look(step)
            save_stat_cache(root, walk.cache)
            self.builder.processes.is_outdated = walk.is_outdated
            print(self.builder.run_command(root, step, os.urandom(8).hex()).told, end="", flush=True)
            return True

        try:
            return True, self._until_edited(changes, call)
        except PipelineError as error:
            self._fault(error)
            print("the MLflow Model stays as it is", flush=True)
            return False, frozenset()

    def _until_edited(self, changes: Changes, work: Callable[[], bool]) -> frozenset[str]:
        """Work until that is done, or an edit of what it has read ends it; return the edits that it did not see."""
        processes, fault, done = self.builder.processes, None, True
        processes.resume()
        with changes.told(processes.supersede) as edited:
            try:
                done = work()
            except PipelineError as error:
                fault = error
            except KeyboardInterrupt:
                if processes.interrupted or not processes.superseded:
                    raise
        unseen = processes.is_outdated is None or processes.is_superseded()
        unseen = unseen or not (done or edited <= {PAYLOAD})  # it may have failed because a file was saved meanwhile
        if fault and not (unseen and edited):
            raise fault
        return frozenset(edited) if unseen else frozenset()

    def say(self, text: str) -> None:
        """Say what a person should know; how a run ends that an edit has superseded is not that."""
        if not self.builder.processes.is_superseded():
            self.told(text)

    def tell(self, pipeline: Pipeline, outcome: Outcome) -> None:
        """Print what became of a step."""
        if outcome.action in STOPPED and self.builder.processes.is_superseded():
            if outcome.error:
                print(f"{outcome.step:<13}  superseded", flush=True)
            return
        if outcome.action is not Action.UP_TO_DATE:
            print(report.line(outcome), flush=True)
        if outcome.error:
            self._fault(outcome.error)

    def _fault(self, error: PipelineError) -> None:
        self.told(f"{error.said}\nerror: {error}".lstrip())


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


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


_SETTLED_SECONDS = 0.02  # an editor that saves a file makes several changes
_END = ""  # in the queue: nobody listens any longer
_NEVER = {"__pycache__", Path(DOWNLOADS).name}  # directories whose changes are no edits
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

    @contextmanager
    def told(self, act: Callable[[], object]) -> Iterator[set[str]]:
        """Call `act` after each change for as long as a block runs; give a set that gathers the paths."""
        changed: set[str] = set()

        def listen() -> None:
            while _END not in (new := self.wait()):
                changed.update(new)
                act()
            changed.update(new - {_END})

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield changed
        finally:
            self._queue.put(_END)
            listener.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take note of a change; called by the observer."""
        if event.event_type in _READING or (event.is_directory and event.event_type == EVENT_TYPE_MODIFIED):
            return
        for path in filter(None, (event.src_path, event.dest_path)):
            parts = Path(str(path)).relative_to(self._root).parts
            if parts and parts[0] in self._names and not _NEVER & {*parts}:
                self._queue.put("/".join(parts))

    def _look_inside(self, names: Collection[str]) -> None:
        for name in names:
            if name in self._inside:
                self._observer.unschedule(self._inside.pop(name))
            if (self._root / name).is_dir():
                self._inside[name] = self._observer.schedule(self, str(self._root / name), recursive=True)
