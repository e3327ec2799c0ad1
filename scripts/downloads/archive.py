"""Unpack archives that may be hostile: only files and directories come out, and only inside the target."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engine.fingerprint import StatCache
from engine.transaction import remove
from model_side.base.errors import StepError

from .content import Files, look
from .faults import not_installed

# Weights hardly shrink: ten times is much. What unpacks to far more, and to much in all, is made to fill disks.
MOST_TIMES, ALWAYS_BYTES, MOST_MEMBERS = 200, 1 << 30, 200_000
_LONGEST_READ = 16 << 20
_REGULAR = 8
# RuntimeError and NotImplementedError are zipfile's: encrypted, or compressed in a way that it does not know.
_BROKEN: tuple[type[Exception], ...] = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error)
_BROKEN += (lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
# KeyError is tarfile's: a hard link to what is not there.
_REFUSED = (tarfile.FilterError, KeyError, FileExistsError, NotADirectoryError, IsADirectoryError)
_OPENERS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"
# The name of a member, its size in bytes, and what writes it into a directory.
_Member = tuple[str, int, Callable[[Path], object]]


class RefusedError(Exception):
    """The archive is made to harm, or holds something other than files and directories."""


class _Wary:
    """A stream that no header can make to be read into memory at once."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > _LONGEST_READ:
            raise RefusedError("it is a bomb: a header of many megabytes")
        content: bytes = self._stream.read(size)
        return content


def unpack(archive: Path, target: Path, name: str) -> Files:
    """Unpack an archive, by what it is and not by what it is called, and return its files by their names in it.

    Parameters
    ----------
    archive : Path
    target : Path
        The directory for its files, which is made anew.
    name : str
        What messages call the archive.

    Returns
    -------
    mapping of str to FileEntry

    Raises
    ------
    StepError
        If it is not an archive, is damaged, or is made to harm; then there is no `target`.
    UsageError
        If a library for its compression is not installed.
    """
    remove(target)
    target.mkdir(parents=True)
    try:
        with archive.open("rb") as stream:
            _write_all(_members(stream, name), target, max(ALWAYS_BYTES, MOST_TIMES * archive.stat().st_size))
        files = look(target, [""], StatCache())
        if not files:
            raise RefusedError("it holds no file")
        return files
    except (RefusedError, *_REFUSED) as error:
        remove(target)
        advice = "Unpack it yourself if you trust it, and declare what is in it."
        raise StepError(name, "the archive is refused", got=_words(error), advice=advice) from error
    except _BROKEN as error:
        remove(target)
        raise StepError(name, "the archive is damaged", got=str(error) or type(error).__name__) from error
    except BaseException:
        remove(target)
        raise


def _words(error: Exception) -> str:
    return f"{Path(error.filename).name}: it is a file and a directory" if isinstance(error, OSError) else str(error)


def _write_all(members: Iterator[_Member], target: Path, most: int) -> None:
    names: set[str] = set()
    for name, size, write in members:
        if name in names:
            raise RefusedError(f"{name}: it is there twice")
        names.add(name)
        most -= size
        if len(names) > MOST_MEMBERS:
            raise RefusedError(f"it is a bomb: more than {MOST_MEMBERS} members")
        if most < 0:
            raise RefusedError(f"it is a bomb: it unpacks to more than {MOST_TIMES} times its size")
        write(target)
    for path in [path for path in target.rglob("*") if path.is_symlink()]:
        _resolve(path, target)


def _resolve(link: Path, target: Path) -> None:
    """Write the file of the archive that a link leads to in place of the link."""
    file = link.resolve()
    if not (file.is_file() and file.is_relative_to(target.resolve())):
        raise RefusedError(
            f"{link.relative_to(target)}: a link to {link.readlink()}, which is not a file of the archive"
        )
    link.unlink()
    shutil.copyfile(file, link)


def _members(stream: IO[bytes], name: str) -> Iterator[_Member]:
    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith(b"PK"):
        return _of_zip(zipfile.ZipFile(stream))
    opener = next((opener for start, opener in _OPENERS.items() if magic.startswith(start)), None)
    if magic.startswith(_ZSTD):
        opener = partial(_zstandard(name).ZstdDecompressor().stream_reader, read_across_frames=True)
    try:
        return _of_tar(tarfile.TarFile(fileobj=_Wary(opener(stream) if opener else stream), errorlevel=2))  # type: ignore[arg-type]
    except tarfile.ReadError as error:
        known = "tar, tar.gz, tar.bz2, tar.xz, tar.zst or zip"
        raise StepError(name, "unpack = true, but it is not an archive", expected=known) from error


def _zstandard(name: str) -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise not_installed(name, "a tar.zst", "zstandard") from error


def _of_tar(ball: tarfile.TarFile) -> Iterator[_Member]:
    for entry in ball:
        name = _checked(entry.name)
        if not entry.isdir():
            yield name, entry.size, partial(ball.extract, entry, filter="data")


def _of_zip(bundle: zipfile.ZipFile) -> Iterator[_Member]:
    for entry in bundle.infolist():
        name = _checked(entry.filename)
        # Archives made elsewhere than on Unix say nothing of the kind.
        if entry.external_attr >> 28 not in (0, _REGULAR) and not entry.is_dir():
            raise RefusedError(f"{name}: a link or a device in a zip")
        if not entry.is_dir():
            yield name, entry.file_size, partial(bundle.extract, entry)


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or name[1:2] == ":":
        raise RefusedError(f"{name!r}: a member outside the archive's own directory")
    return str(path)
