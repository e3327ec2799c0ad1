"""Tell of changes to an author's files as they happen."""

from __future__ import annotations

import queue
from collections.abc import Collection
from pathlib import Path
from typing import Self

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

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
