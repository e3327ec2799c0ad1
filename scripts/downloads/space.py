"""Keep transfers from filling the disk: space is set apart before the first byte."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from pipeline.errors import StepError

from .progress import amount


class Space:
    """The free space of a directory's file system, shared out among all transfers of a run.

    Parameters
    ----------
    directory : Path
    """

    def __init__(self, directory: Path) -> None:
        self._directory, self._lock = directory, threading.Lock()
        self._free = shutil.disk_usage(directory).free

    def take(self, name: str, count: int) -> None:
        """Set `count` bytes apart.

        Raises
        ------
        StepError
            If there are not so many.
        """
        with self._lock:
            if count > self._free:
                raise StepError(
                    name,
                    "not enough disk space",
                    expected=amount(count),
                    got=f"{amount(self._free)} free for it in {self._directory}",
                    advice="Free some, or make model_data a link to a larger disk.",
                )
            self._free -= count
