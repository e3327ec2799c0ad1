"""Unpack archives that may be hostile: only files and directories come out, and only inside the target.

What is written is counted, since a size that an archive claims proves nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from model_side.base.errors import StepError
from model_side.base.files import FileEntry

from .archive_members import BROKEN, Link, Member, RefusedError, opened
from .content import Files
from .place import remove
from .space import Reservation, Space

_CHUNK = 1 << 20
# Weights hardly shrink: ten times is much. What unpacks to far more, and to much in all, is made to fill disks.
MOST_TIMES, ALWAYS_BYTES, MOST_MEMBERS = 200, 1 << 30, 200_000


def unpack(archive: Path, target: Path, name: str, space: Space) -> Files:
    """Unpack `archive` into the directory `target`, which is made anew, and return its files by their names in it.

    Raises
    ------
    StepError
        If it is no archive, is damaged, is made to harm, or does not fit on the disk; then there is no `target`.
    UsageError
        If a library for its compression is not installed.
    """
    remove(target)
    most = max(ALWAYS_BYTES, MOST_TIMES * archive.stat().st_size)
    try:
        with space.reserve(name) as reservation, opened(archive, name) as members:
            budget = _Budget(most, reservation)
            return _write_all(members, target, budget)
    except RefusedError as error:
        remove(target)
        advice = "Unpack it yourself if you trust it, and declare what is in it."
        raise StepError(name, "the archive is refused", got=str(error), advice=advice) from error
    except BROKEN as error:
        remove(target)
        raise StepError(name, "the archive is damaged", got=str(error) or type(error).__name__) from error
    except BaseException:
        remove(target)
        raise


class _Budget:
    """How much an archive may still unpack to."""

    def __init__(self, most: int, reservation: Reservation) -> None:
        self._left, self._reservation, self._members = most, reservation, 0

    def count_member(self) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise RefusedError(f"it is a bomb: more than {MOST_MEMBERS} members")

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise RefusedError(f"it is a bomb: it unpacks to more than {MOST_TIMES} times its size")
        self._reservation.take(count)

    def wrote(self, count: int) -> None:
        self._reservation.wrote(count)


def _write_all(members: Iterator[Member | Link], target: Path, budget: _Budget) -> Files:
    target.mkdir(parents=True)
    files: dict[str, FileEntry] = {}
    links: list[Link] = []
    for member in members:
        budget.count_member()
        if isinstance(member, Link):
            links.append(member)
            continue
        with member.open() as source, _new(target, member.name) as written:
            files[member.name] = _copy(source, written, budget)
    for link in links:
        files[link.name] = _follow(link, files, target, budget)
    if not files:
        raise RefusedError("it holds no file")
    return files


def _new(target: Path, name: str) -> IO[bytes]:
    place = target / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return place.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise RefusedError(f"{name}: it is there twice, or as a file and as a directory") from error


def _copy(source: IO[bytes], written: IO[bytes], budget: _Budget) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        budget.take(len(chunk))
        digest.update(chunk)
        written.write(chunk)
        budget.wrote(len(chunk))
        size += len(chunk)
    return FileEntry(size, digest.hexdigest())


def _follow(link: Link, files: Files, target: Path, budget: _Budget) -> FileEntry:
    """Write the file that a link inside the archive leads to: no link comes out."""
    parts: list[str] = []
    for part in PurePosixPath(link.to).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise RefusedError(f"{link.name}: a link out of the archive, to {link.to}")
    fact = files.get("/".join(parts))
    if link.to.startswith("/") or fact is None:
        raise RefusedError(f"{link.name}: a link to {link.to}, which is no file of the archive")
    budget.take(fact.size)
    with (target / "/".join(parts)).open("rb") as source, _new(target, link.name) as written:
        shutil.copyfileobj(source, written, _CHUNK)
    budget.wrote(fact.size)
    return fact
