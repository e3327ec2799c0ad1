"""Copy files of this machine, at file:// addresses."""

# Strings and bare descriptors: ten thousand small files are mostly the cost of Python objects.
# ruff: noqa: PTH103, PTH118

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from model_side.base.errors import StepError
from model_side.base.files import FileEntry

from .content import files_under
from .origins import Copy, is_pattern, matching, top_of
from .progress import Bar

CHUNK = 1 << 20
# The name of a file in the directory that is copied, empty for the file itself; and the file.
_Files = Sequence[tuple[str, "os.DirEntry[str] | Path"]]


def locate_local(uri: str) -> Copy:
    """Return what a ``file://`` address stands for: a file, a directory or the files of a pattern.

    Raises
    ------
    StepError
        If it stands for nothing, or something there cannot be read.
    UsageError
        If it is not a pattern though it looks like one.
    """
    path = _path(uri)
    try:
        if path.is_dir():
            return partial(_copy, list(files_under(str(path))))
        if path.is_file():
            return partial(_copy, [("", path)])
        if not path.exists() and is_pattern(uri):
            # What is percent-encoded stands for itself.
            top = top_of(uri)
            pattern = os.fsdecode(unquote_to_bytes(uri[len(top) + 1 :]))
            is_wanted, deepest = matching(pattern, uri), None if "**" in pattern else pattern.count("/")
            found = [(name, file) for name, file in files_under(str(_path(top)), deepest) if is_wanted(name)]
            if files := [(name, file) for name, file in found if file.is_file()]:
                return partial(_copy, files)
    except OSError as error:
        raise StepError(str(error.filename or path), "it cannot be read", got=error.strerror) from error
    raise StepError(uri, "no such file or directory", advice="Check the uri.")


def _path(uri: str) -> Path:
    """Return the path that an address stands for; a name that is not UTF-8 can be given percent-encoded."""
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))


def _copy(files: _Files, target: Path, bar: Bar) -> dict[str, FileEntry]:
    """Copy all files to `target` and return what they are, by name."""
    facts: dict[str, FileEntry] = {}
    buffer, made = memoryview(bytearray(CHUNK)), set[str]()
    try:
        bar.expect(sum(file.stat().st_size for _, file in files))
        for name, file in files:
            if not file.is_file():  # to read a pipe would wait forever
                raise StepError(os.fspath(file), "neither a file nor a directory", advice="Remove it there.")
            place = os.path.join(target, name) if name else str(target)
            directory = os.path.dirname(place)  # noqa: PTH120
            if directory not in made:
                os.makedirs(directory, exist_ok=True)
                made.add(directory)
            facts[name] = _copy_hashed(os.fspath(file), place, buffer, bar.advance)
    except OSError as error:
        raise StepError(str(error.filename or target), "it cannot be copied", got=error.strerror) from error
    return facts


def _copy_hashed(source: str, target: str, buffer: memoryview, wrote: Callable[[int], None]) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        state = _state(read)
        write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            while count := os.readv(read, [buffer]):
                digest.update(buffer[:count])
                view = buffer[:count]
                while view:
                    view = view[os.write(write, view) :]
                size += count
                wrote(count)
        finally:
            os.close(write)
        if _state(read) != state:
            raise StepError(source, "it changes while it is read", advice="Try again when it does not.")
    finally:
        os.close(read)
    return FileEntry(size, digest.hexdigest())


def _state(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns
