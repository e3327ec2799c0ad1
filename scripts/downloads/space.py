"""Keep transfers from filling the disk: space is set apart before the first byte."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import TracebackType

from model_side.base.errors import StepError

from .progress import amount


class Space:
    """The free space of a directory's file system, shared out among all transfers of a run.

    Parameters
    ----------
    directory : Path
    """

    def __init__(self, directory: Path) -> None:
        self._directory, self._lock = directory, threading.Lock()
        self._apart = 0

    def reserve(self, name: str) -> Reservation:
        """Return what sets space apart for `name`, and gives back at its end what was not written."""
        return Reservation(self, name)

    def change(self, name: str, count: int) -> None:
        """Set `count` bytes apart that are not written yet, or give back where it is negative.

        Raises
        ------
        StepError
            If there are not so many.
        """
        with self._lock:
            if count > 0:
                self._check(name, count)
            self._apart += count

    def _check(self, name: str, count: int) -> None:
        free = max(shutil.disk_usage(self._directory).free - self._apart, 0)
        if count > free:
            raise StepError(
                name,
                "not enough disk space",
                expected=amount(count),
                got=f"{amount(free)} free for it in {self._directory}",
                advice="Free some, or make model_data a link to a larger disk.",
            )


class Reservation:
    """The space that is set apart for one source."""

    def __init__(self, space: Space, name: str) -> None:
        self._space, self._name, self._lock, self._apart = space, name, threading.Lock(), 0

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take(-self._apart)

    def take(self, count: int) -> None:
        """Set so many bytes apart; a negative count gives back.

        Raises
        ------
        StepError
            If there are not so many.
        """
        with self._lock:
            self._space.change(self._name, count)
            self._apart += count

    def wrote(self, count: int) -> None:
        """Take note of bytes that are on the disk now."""
        with self._lock:
            count = min(count, self._apart)
            self._space.change(self._name, -count)
            self._apart -= count
