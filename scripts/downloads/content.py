r"""What is in model_data/: files by name, with size and sha256. This module only reads.

The digest of one file is its sha256. The digest of a directory is the sha256 of its list, a line ``<sha256>  <name>``
per file, sorted by name: what ``find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum``
prints inside it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from engine.fingerprint import StatCache
from model_side.base.files import FileEntry

from .declaration import DATA_DIRECTORY

Files = Mapping[str, FileEntry]
# What `sha256sum` does to a name that would not fit on a line; a mark before the line says so.
_MARK = "\\"
_MEANT = {r"\\": "\\", r"\n": "\n", r"\r": "\r"}
_ESCAPES = str.maketrans({meant: escaped for escaped, meant in _MEANT.items()})
_ESCAPED = re.compile(r"\\[\\nr]")


def look(data: Path, paths: Iterable[str], stats: StatCache) -> dict[str, FileEntry]:
    """Return every file at or under `paths`, by its name relative to `data`; nothing for a path that is missing.

    Parameters
    ----------
    data : Path
    paths : iterable of str
        Relative to `data`.
    stats : StatCache

    Returns
    -------
    dict of str to FileEntry

    Raises
    ------
    OSError
        If something there cannot be read.
    """
    found = {}
    for path in paths:
        for name, place in _files_at(data / path, path):
            status = place.stat()
            fingerprint = stats.fingerprint(os.fspath(place), f"{DATA_DIRECTORY}/{name}", status)
            found[name] = FileEntry(status.st_size, fingerprint.removeprefix("sha256:"))
    return found


def _files_at(place: Path, name: str) -> Iterator[tuple[str, Path | os.DirEntry[str]]]:
    if place.is_dir():
        yield from ((f"{name}/{member}" if name else member, entry) for member, entry in files_under(str(place)))
    elif place.exists():
        yield name, place


def remember(data: Path, files: Files, stats: StatCache) -> None:
    """Tell the stat cache about files whose sha256 is known from writing them.

    Parameters
    ----------
    data : Path
    files : mapping of str to FileEntry
        By name relative to `data`.
    stats : StatCache
    """
    for name, fact in files.items():
        status = (data / name).stat()
        if status.st_size == fact.size:
            key = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            stats.entries[f"{DATA_DIRECTORY}/{name}"] = (*key, f"sha256:{fact.sha256}")
            stats.changed = True


def digest(files: Files, paths: tuple[str, ...]) -> str:
    """Return the one sha256 that stands for all that a source brings.

    Parameters
    ----------
    files : mapping of str to FileEntry
        By name relative to model_data/.
    paths : tuple of str
        What the source declares. The list of one directory is relative to it, of several paths to model_data/.
    """
    if len(paths) == 1 and set(files) == set(paths):
        return files[paths[0]].sha256
    return hashlib.sha256(listing(files, paths).encode("utf-8", "surrogateescape")).hexdigest()


def listing(files: Files, paths: tuple[str, ...]) -> str:
    """Return the list of files, as `sha256sum` writes it; names are relative to one path, or to model_data/."""
    skip = len(paths[0]) + 1 if len(paths) == 1 else 0
    return "".join(_line(files[name].sha256, name[skip:]) for name in sorted(files, key=os.fsencode))


def listed(text: str) -> list[tuple[str, str]]:
    """Return the sha256 and the name of each file of a list that `listing` wrote."""
    return [_of_line(line) for line in text.split("\n")[:-1]]


def _line(sha256: str, name: str) -> str:
    escaped = name.translate(_ESCAPES)
    return f"{'' if escaped == name else _MARK}{sha256}  {escaped}\n"


def _of_line(line: str) -> tuple[str, str]:
    if not line.startswith(_MARK):
        return line[:64], line[66:]
    return line[1:65], _ESCAPED.sub(lambda found: _MEANT[found[0]], line[67:])


def files_under(top: str, deepest: int | None = None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield each file under a directory with its name in it; no recursion: a tree may be deep.

    Parameters
    ----------
    top : str
    deepest : int, optional
        How many directories down to look at most.
    """
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(Path(top, directory)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name = f"{directory}/{entry.name}" if directory else entry.name
            if not entry.is_dir():
                yield name, entry
            elif deepest is None or name.count("/") < deepest:
                waiting.append(name)
