"""Hash large files in a process of its own while this one still prepares to copy them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from ..base.files import FileEntry, file_entry
from .travel import tree

LARGE = 16 << 20  # bytes; what is smaller is read again where it is needed


class Identity(NamedTuple):
    """A file as it is now: a write to it changes one of these.

    Parameters
    ----------
    device, inode, size, modified : int
        The size in bytes, the time in nanoseconds. Not the time of the last change: a hard link changes that.
    """

    device: int
    inode: int
    size: int
    modified: int


def identity(path: Path) -> Identity:
    """Return what a path names now.

    Parameters
    ----------
    path : Path
        A link is followed.
    """
    status = path.stat()
    return Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Hashing:
    """The large files under some paths, being hashed.

    Parameters
    ----------
    tops : sequence of Path
        Files and directories; those that are not there are passed over.
    """

    def __init__(self, tops: Sequence[Path]) -> None:
        context = multiprocessing.get_context("fork")
        self._results, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_hash, args=(tuple(tops), theirs), daemon=True)
        self._process.start()
        theirs.close()

    def entries(self, files: Mapping[str, Identity]) -> dict[str, FileEntry]:
        """Return what is known of the files by the time that all the large ones of them have been hashed."""
        large = {each for each in files.values() if each.size >= LARGE}
        known: dict[Identity, FileEntry] = {}
        with suppress(EOFError):
            while large - known.keys():
                each, entry = self._results.recv()
                known[each] = entry
        return {name: known[each] for name, each in files.items() if each in known}

    def end(self) -> None:
        """End the process, whatever it is at."""
        self._process.kill()
        self._process.join()


def _hash(tops: Iterable[Path], results: Connection) -> None:
    with suppress(BrokenPipeError):
        for path in dict.fromkeys(file for top in tops if top.exists() for file in tree(top)):
            with suppress(OSError):  # copying it says why it cannot be read
                before = identity(path)
                if before.size >= LARGE and path.is_file():
                    entry = file_entry(path)
                    if identity(path) == before:
                        results.send((before, entry))
