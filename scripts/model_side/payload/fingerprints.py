"""What tells whether the input of a prediction has changed: the content of the files that it names, and its values."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..base.files import file_entry
from ..model.manifest import read_files
from .inputs import existing_inputs

_TICK = 2 * 10**9  # nanoseconds: a file system's clock may step as coarsely


class Fingerprint(NamedTuple):
    """What an input holds.

    Parameters
    ----------
    value : str
        ``sha256:<hex>``: of a file's content where the input is that file alone.
    stamp : str
        What the file system says of the files, by which reading them again can be spared; empty where it cannot.
    size : int
        Bytes of the files that it names and of its own values.
    """

    value: str
    stamp: str
    size: int


def data_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload without its params."""
    return {name: value for name, value in payload.items() if name != "params"}


def fingerprint_of(payload: Mapping[str, Any], *, alone: bool = False) -> Fingerprint:
    """Read the files that a payload names.

    Parameters
    ----------
    payload : mapping
        Its params do not count.
    alone : bool
        Whether the input is one file or URI, whose path does not count.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    data = data_of(payload)
    paths = existing_inputs(data)
    stamp = stamp_of(data)
    contents = [content_of(path) for path in paths]
    size = sum(length for _, length in contents)
    if alone and len(contents) == 1:
        return Fingerprint(f"sha256:{contents[0][0]}", stamp, size)
    text = json.dumps(data, sort_keys=True)
    whole = "\n".join([text, *(digest for digest, _ in contents)])
    return Fingerprint(f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}", stamp, size + len(text))


def stamp_of(data: Mapping[str, Any]) -> str:
    """Return the sizes, times and inodes of the files that a payload names; nothing where one is too new to tell."""
    latest, facts = 0, []
    for path in existing_inputs(data):
        for each in _members(path):
            status = each.stat()
            latest = max(latest, status.st_mtime_ns, status.st_ctime_ns)
            facts.append(f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}")
    if len(facts) > 1:
        facts = [hashlib.sha256(" ".join(facts).encode()).hexdigest()]
    return " ".join(facts) if latest < time.time_ns() - _TICK else ""


def _members(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        for place, directories, names in os.walk(path):
            directories.sort()
            yield from (Path(place, name) for name in sorted([*directories, *names]) if Path(place, name).exists())


def content_of(path: Path) -> tuple[str, int]:
    """Return the sha256 of a file, or of the list of a directory's files, and how many bytes they hold."""
    if not path.is_dir():
        entry = file_entry(path)
        return entry.sha256, entry.size
    files = read_files(path)
    lines = "".join(f"{entry.sha256}  {name}\n" for name, entry in files.items())
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest(), sum(e.size for e in files.values())
