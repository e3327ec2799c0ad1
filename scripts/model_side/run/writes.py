"""Note where a model writes beside its temporary directory, by Python's audit events."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# By the event: which of its arguments are paths of what it changes.
CHANGED: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("open", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"), (0,)),
    **{"os.rename": (0, 1), "os.link": (1,), "os.symlink": (1,)},
}
_SYSTEM = ("/dev", "/proc", "/sys")
_SHOWN = 5


@contextmanager
def told_writes(apart: Path) -> Iterator[None]:
    """Say on stderr what is written in the block elsewhere than in temporary directories, or was to be.

    Parameters
    ----------
    apart : Path
        A directory of which others tell.

    Notes
    -----
    What is opened for writing, made, moved, or removed counts, also by code that a pickle calls; bytecode, and the
    working directory, do not. What C code does by itself is not seen.
    """
    writes = _Writes(str(apart))
    sys.addaudithook(writes.note)  # it cannot be taken away; this process ends soon
    try:
        yield
    finally:
        writes.ended = True
        if names := writes.names():
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            told = f"note: the model writes elsewhere than in temporary directories: {', '.join(names[:_SHOWN])}{more}"
            print(f"{told}. Where it is served, that may be read-only, or another's, too", file=sys.stderr)


class _Writes:
    """What this process writes."""

    def __init__(self, apart: str) -> None:
        self._paths: set[str] = set()
        self._own = (*_SYSTEM, os.path.realpath(tempfile.gettempdir()), tempfile.gettempdir(), str(Path.cwd()), apart)
        self.ended = False

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take an audit event."""
        if self.ended or event not in CHANGED or (event == "open" and not _is_writing(arguments[2])):
            return
        for number in CHANGED[event]:
            name = arguments[number]
            # What is relative may be so to a descriptor, and lies in the working directory else.
            if isinstance(name, str | bytes | os.PathLike) and os.path.isabs(os.fsdecode(name)):  # noqa: PTH117  in a hook
                self._paths.add(os.path.normpath(os.fsdecode(name)))

    def names(self) -> list[str]:
        """Return what was written, those of the user from ~ on."""
        paths = (Path(each) for each in self._paths)
        foreign = [each for each in paths if not any(each.is_relative_to(own) for own in self._own)]
        kept = (each for each in foreign if "__pycache__" not in each.parts)
        return sorted(map(_shown, kept))


def _is_writing(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & WRITING)


def _shown(path: Path) -> str:
    home = Path.home()
    return str(Path("~", path.relative_to(home)) if path.is_relative_to(home) else path)
