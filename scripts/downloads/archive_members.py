"""Read the members of tar, tar.gz, tar.bz2, tar.xz, tar.zst and zip archives, one after the other."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from model_side.base.errors import StepError

from .faults import not_installed

# RuntimeError and NotImplementedError are zipfile's: encrypted, or compressed in a way that it does not know.
BROKEN: tuple[type[Exception], ...] = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error)
BROKEN += (lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
_KNOWN = "tar, tar.gz, tar.bz2, tar.xz, tar.zst or zip"
_LONGEST_READ = 16 << 20
_REGULAR = 8


class RefusedError(Exception):
    """The archive is made to harm, or holds what is no file."""


@dataclass(frozen=True)
class Member:
    """One regular file of an archive, by its name in it."""

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class Link:
    """A link, by its name and where it leads, relative to the archive's top; it may lead out."""

    name: str
    to: str


class _Wary:
    """A stream that no header can make to be read into memory at once."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > _LONGEST_READ:
            raise RefusedError("it is a bomb: a header of many megabytes")
        content: bytes = self._stream.read(size)
        return content


@contextmanager
def opened(archive: Path, name: str) -> Iterator[Iterator[Member | Link]]:
    """Open an archive by what it is, not by what it is called.

    Raises
    ------
    StepError
        If it is none.
    UsageError
        If a library for its compression is not installed.
    """
    with archive.open("rb") as stream:
        magic = stream.read(6)
        stream.seek(0)
        if magic.startswith(b"PK"):
            with zipfile.ZipFile(stream) as bundle:
                yield _of_zip(bundle)
            return
        with _plain(stream, magic, name) as plain, _ball(_Wary(plain), name) as ball:
            yield _of_tar(ball)


def _ball(stream: Any, name: str) -> tarfile.TarFile:
    try:
        return tarfile.TarFile(fileobj=stream)
    except tarfile.ReadError as error:
        raise StepError(name, "unpack = true, but it is no archive", expected=_KNOWN) from error


def _plain(stream: IO[bytes], magic: bytes, name: str) -> AbstractContextManager[Any]:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=stream)
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if magic.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(stream)
    if not magic.startswith(b"\x28\xb5\x2f\xfd"):
        return stream
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise not_installed(name, "a tar.zst", "zstandard") from error
    reader: AbstractContextManager[Any] = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return reader


def _of_tar(ball: tarfile.TarFile) -> Iterator[Member | Link]:
    for entry in ball:
        name = _checked(entry.name)
        if entry.issym():
            yield Link(name, str(PurePosixPath(name).parent / entry.linkname))
        elif entry.islnk():
            yield Link(name, _checked(entry.linkname))
        elif entry.isreg() and not entry.issparse():
            yield Member(name, partial(_read, ball, entry))
        elif not entry.isdir():
            raise RefusedError(f"{name}: neither a file nor a directory")


def _read(ball: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    stream = ball.extractfile(entry)
    if stream is None:
        raise RefusedError(f"{entry.name}: it has no content")
    return stream


def _of_zip(bundle: zipfile.ZipFile) -> Iterator[Member | Link]:
    for entry in bundle.infolist():
        name = _checked(entry.filename)
        # Archives made elsewhere than on Unix say nothing of the kind.
        if entry.external_attr >> 28 not in (0, _REGULAR) and not entry.is_dir():
            raise RefusedError(f"{name}: a link or a device in a zip")
        if not entry.is_dir():
            yield Member(name, partial(bundle.open, entry))


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or name[1:2] == ":":
        raise RefusedError(f"{name!r}: a member outside the archive's own directory")
    return str(path)
