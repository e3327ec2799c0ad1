"""Which files of some directories are opened meanwhile: the kernel tells, also of code that is not Python."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN, _ONLY_DIRECTORIES, _IS_DIRECTORY = 0x20, 0x01000000, 0x40000000  # linux/inotify.h
_HEAD = struct.Struct("iIII")


@contextmanager
def opened_in(directories: Iterable[Path]) -> Iterator[Callable[[], set[Path]]]:
    """Watch directories, not those in them, while files are opened.

    Parameters
    ----------
    directories : iterable of Path

    Yields
    ------
    callable
        It returns the files that were opened; none where this system cannot tell.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if queue < 0:
        yield set
        return
    flags = _OPEN | _ONLY_DIRECTORIES
    watched = {libc.inotify_add_watch(queue, os.fsencode(each), flags): each for each in directories}
    try:
        yield lambda: {watched[number] / name for number, name in _events(queue) if number in watched}
    finally:
        os.close(queue)


def _events(queue: int) -> Iterator[tuple[int, str]]:
    """Yield what a queue holds: the number of the watch, and the name of the file."""
    while True:
        try:
            data = os.read(queue, 2**16)
        except BlockingIOError:
            return
        while data:
            number, mask, _, length = _HEAD.unpack_from(data)
            name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0")
            if name and not mask & _IS_DIRECTORY:
                yield number, os.fsdecode(name)
            data = data[_HEAD.size + length :]
