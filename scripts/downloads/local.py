"""Read files of this machine, at file:// addresses."""

# Strings and bare descriptors: ten thousand small files are mostly the cost of Python objects.
# ruff: noqa: PTH103, PTH118

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from urllib.parse import unquote_to_bytes

from model_side.file_entry import FileEntry
from pipeline.errors import StepError

from .faults import ChangedError
from .origins import Found, Member, Opened, Tree, is_pattern, matching, top_of
from .progress import Bar

CHUNK = 1 << 20


@dataclass(frozen=True)
class LocalFile:
    """One file of this machine.

    Parameters
    ----------
    path : Path
    """

    path: Path

    @property
    def shown(self) -> str:
        """Return its path."""
        return str(self.path)

    @property
    def key(self) -> str:
        """Return its path."""
        return str(self.path)

    def open(self, start: int, end: int | None, validator: str) -> Opened:
        """Read from `start` on, or from the beginning where the file is not the one that `validator` stands for."""
        try:
            stream = self.path.open("rb", buffering=0)
        except OSError as error:
            raise StepError(self.shown, "it cannot be read", got=error.strerror) from error
        status = os.fstat(stream.fileno())
        found = f"{status.st_mtime_ns} {status.st_ino}"
        first = start if validator in ("", found) else 0
        stream.seek(first)
        return Opened(first, status.st_size, found, True, self._chunks(stream, _state(status)), stream.close)

    def _chunks(self, stream: FileIO, state: tuple[int, int]) -> Iterator[bytes]:
        while chunk := stream.read(CHUNK):
            if _state(os.fstat(stream.fileno())) != state:
                raise ChangedError(self.shown)
            yield chunk


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def locate_local(uri: str) -> Found:
    """Return what a ``file://`` address stands for.

    Raises
    ------
    StepError
        If it stands for nothing, or something there cannot be read.
    UsageError
        If it is not a pattern though it looks like one.
    """
    path = _path(uri)
    if path.is_dir():
        return Tree(partial(_copy_tree, path))
    if not path.exists() and is_pattern(uri):
        # What is percent-encoded stands for itself.
        top = top_of(uri)
        members = tuple(_members(_path(top), uri[len(top) + 1 :], uri))
        if members:
            return members
    if not path.is_file():
        raise StepError(uri, "no such file or directory", advice="Check the uri.")
    return LocalFile(path)


def _path(uri: str) -> Path:
    """Return the path that an address stands for; a name that is not UTF-8 can be given percent-encoded."""
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))


def _members(top: Path, pattern: str, shown: str) -> Iterator[Member]:
    """Yield the files under `top` that the pattern of the address `shown` means."""
    is_wanted = matching(os.fsdecode(unquote_to_bytes(pattern)), shown)
    deepest = None if "**" in pattern else pattern.count("/")
    try:
        for directory, name in _directories(str(top), deepest):
            for entry in directory:
                member = _within(name, entry.name)
                if is_wanted(member) and entry.is_file():
                    yield Member(member, LocalFile(Path(entry.path)), entry.stat().st_size)
    except OSError as error:
        raise StepError(str(error.filename or top), "it cannot be read", got=error.strerror) from error


def _within(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _directories(top: str, deepest: int | None = None) -> Iterator[tuple[list[os.DirEntry[str]], str]]:
    """Yield each directory's files with its name, down to `deepest` below the top; no recursion: a tree may be deep."""
    waiting = [""]
    while waiting:
        name = waiting.pop()
        with os.scandir(os.path.join(top, name)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        yield [entry for entry in found if not entry.is_dir()], name
        if deepest is not None and (name.count("/") + 1 if name else 0) >= deepest:
            continue
        waiting += [_within(name, entry.name) for entry in found if entry.is_dir()]


def _copy_tree(source: Path, target: Path, bar: Bar) -> dict[str, FileEntry]:
    """Copy all files to `target` and return what they are, by name."""
    facts: dict[str, FileEntry] = {}
    buffer = memoryview(bytearray(CHUNK))
    try:
        bar.expect(sum(entry.stat().st_size for files, _ in _directories(str(source)) for entry in files))
        for files, name in _directories(str(source)):
            os.makedirs(os.path.join(target, name), exist_ok=True)
            for entry in files:
                if not entry.is_file():  # to read a pipe would wait forever
                    raise StepError(entry.path, "neither a file nor a directory", advice="Remove it there.")
                member = _within(name, entry.name)
                facts[member] = _copy_hashed(entry.path, os.path.join(target, member), buffer, bar.advance)
    except OSError as error:
        raise StepError(str(error.filename or source), "it cannot be copied", got=error.strerror) from error
    return facts


def _copy_hashed(source: str, target: str, buffer: memoryview, wrote: Callable[[int], None]) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        state = _state(os.fstat(read))
        write = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            while count := os.readv(read, [buffer]):
                digest.update(buffer[:count])
                _write(write, buffer[:count])
                size += count
                wrote(count)
        finally:
            os.close(write)
        if _state(os.fstat(read)) != state:
            raise StepError(source, "it changes while it is read", advice="Try again when it does not.")
    finally:
        os.close(read)
    return FileEntry(size, digest.hexdigest())


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]
