"""A content-addressed cache in the user's cache directory, shared by all models and clones.

An object shares its bytes with model_data/ by reflink where the file system can, else it is a copy. Through a hard link
an edit in place would reach it, and some libraries refuse weights that have one, such as onnx. It is read and compared
with its name each time that it is used; one that differs is dropped, never handed out.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from environments.settings import user_cache
from model_side.base.files import FileEntry, clone, file_entry

from .content import Files, listed, listing
from .declaration import Source
from .progress import amount

VARIABLE = "MODEL_DATA_CACHE"
_READ_ONLY, _DAY = 0o444, 86400


@dataclass(frozen=True)
class Cached:
    """One object of the cache.

    Parameters
    ----------
    sha256 : str
    size : int
        Bytes.
    name : str
        The file that it was first fetched for.
    shown : str
        Where it came from, without credentials.
    used : float
        When it was last used, in seconds since the epoch.
    """

    sha256: str
    size: int
    name: str
    shown: str
    used: float


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return where the cache is: $MODEL_DATA_CACHE, else in the user's cache directory."""
    return user_cache(environment, VARIABLE, "model_data")


class Cache:
    """The objects under one directory, by sha256.

    Parameters
    ----------
    root : Path
        It need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._objects, self._lists = root / "objects", root / "lists"

    def has(self, sha256: str) -> bool:
        """Tell whether there is an object of this name; its bytes are compared when it is taken."""
        return bool(sha256) and self._place(sha256).is_file()

    def take(self, sha256: str, target: Path) -> FileEntry | None:
        """Put the object's bytes at `target`; return None where there is no sound object.

        Parameters
        ----------
        sha256 : str
        target : Path
            It must not exist; it appears only with the right bytes.

        Returns
        -------
        FileEntry or None

        Raises
        ------
        OSError
            If there is no space for a copy.
        """
        place = self._place(sha256)
        if not self.has(sha256):
            return None
        try:
            clone(place, target)
            fact = file_entry(target)
        except OSError as error:
            target.unlink(missing_ok=True)
            if error.errno == errno.ENOSPC:
                raise  # a download would not fit either
            return None
        if fact.sha256 != sha256:
            target.unlink()
            self._drop(sha256)
            return None
        with suppress(OSError):
            os.utime(self._note(sha256))
        return fact

    def put(self, source: Path, fact: FileEntry, name: str, shown: str) -> None:
        """Keep a file whose sha256 has just been seen; a cache that cannot be written costs only a later download.

        Parameters
        ----------
        source : Path
        fact : FileEntry
            What the file is.
        name, shown : str
            What it is called in model_data/, and where it came from, without credentials.
        """
        place = self._place(fact.sha256)
        if place.exists():
            return
        aside = place.with_name(f"{place.name}.{os.getpid()}.part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            note = json.dumps({"name": name, "from": shown})
            self._note(fact.sha256).write_text(note + "\n", encoding="utf-8")
            aside.unlink(missing_ok=True)
            clone(source, aside)
            aside.chmod(_READ_ONLY)
            aside.replace(place)
        except OSError:
            with suppress(OSError):
                aside.unlink(missing_ok=True)

    def take_list(self, sha256: str) -> str | None:
        """Return the list of the directory of this digest, as `content.listing` wrote it; None where there is none."""
        with suppress(OSError):
            text = (self._lists / sha256).read_bytes()
            if hashlib.sha256(text).hexdigest() == sha256:
                return text.decode("utf-8", "surrogateescape")
        return None

    def put_list(self, text: str) -> None:
        """Keep the list of a directory, as `content.listing` writes it."""
        content = text.encode("utf-8", "surrogateescape")
        place = self._lists / hashlib.sha256(content).hexdigest()
        aside = place.with_name(f"{place.name}.{os.getpid()}.part")
        with suppress(OSError):
            self._lists.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(content)
            aside.replace(place)

    def contents(self) -> list[Cached]:
        """Return every object, the longest unused first."""
        found = []
        for place in self._objects.glob("??/" + "?" * 62):
            with suppress(OSError, ValueError):
                status, sha256 = place.stat(), place.parent.name + place.name
                note, used = {}, status.st_mtime
                with suppress(FileNotFoundError):
                    note = json.loads(self._note(sha256).read_bytes())
                    used = self._note(sha256).stat().st_mtime
                found.append(Cached(sha256, status.st_size, note.get("name", ""), note.get("from", ""), used))
        return sorted(found, key=lambda cached: (cached.used, cached.sha256))

    def prune(self, older_than_seconds: float) -> list[Cached]:
        """Remove the objects that were not used for this long, and what cut-off runs left; return what was removed.

        Parameters
        ----------
        older_than_seconds : float

        Returns
        -------
        list of Cached
        """
        now = time.time()
        old = [cached for cached in self.contents() if now - cached.used >= older_than_seconds]
        for cached in old:
            self._drop(cached.sha256)
        for leftover in self._objects.glob("*/*.part"):
            leftover.unlink(missing_ok=True)
        return old

    def _drop(self, sha256: str) -> None:
        self._place(sha256).unlink(missing_ok=True)
        self._note(sha256).unlink(missing_ok=True)

    def _place(self, sha256: str) -> Path:
        return self._objects / sha256[:2] / sha256[2:]

    def _note(self, sha256: str) -> Path:
        return self._objects / sha256[:2] / f"{sha256[2:]}.json"


def kept(source: Source, cache: Cache) -> list[tuple[str, str]]:
    """Return sha256 and name, relative to model_data/, of each file of a source; none where the cache lacks one."""
    if len(source.paths) == 1 and cache.has(source.sha256):
        return [(source.sha256, source.paths[0])]
    text = None if source.unpack else cache.take_list(source.sha256)
    top = f"{source.paths[0]}/" if len(source.paths) == 1 else ""
    members = [(sha256, f"{top}{name}") for sha256, name in listed(text or "")]
    return members if all(cache.has(sha256) for sha256, _ in members) else []


def take(source: Source, cache: Cache, place: Callable[[str], Path]) -> Files | None:
    """Put each file of a source where `place` says; return what they are, None where the cache has not all, or unsound.

    Parameters
    ----------
    source : Source
    cache : Cache
    place : callable of str
        Says where a file goes, by its name relative to model_data/.

    Returns
    -------
    mapping of str to FileEntry, or None

    Raises
    ------
    OSError
        If there is no space for a copy.
    """
    files = {}
    for sha256, name in kept(source, cache):
        target = place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        fact = cache.take(sha256, target)
        if fact is None:
            return None
        files[name] = fact
    return files or None


def keep(source: Source, files: Files, places: Mapping[str, Path], cache: Cache) -> None:
    """Put proven bytes, from `places`, into the cache; what is on this machine anyway, or may change, is not kept.

    Parameters
    ----------
    source : Source
    files : mapping of str to FileEntry
        By name relative to model_data/.
    places : mapping of str to Path
        Where their bytes are now.
    cache : Cache
    """
    if source.mutable or source.is_local:
        return
    for name, place in places.items():
        cache.put(place, files[name], name, source.shown)
    if list(files) != list(source.paths):
        cache.put_list(listing(files, source.paths))


def cache_lines(contents: Sequence[Cached], now: float) -> list[str]:
    """Return a line for each object, the longest unused first, and a sum.

    Parameters
    ----------
    contents : sequence of Cached
    now : float
        Seconds since the epoch.
    """
    lines = []
    for cached in contents:
        facts = f"{cached.sha256[:12]}  {amount(cached.size):>9}  {_age(now - cached.used):>12}"
        lines.append(f"{facts}  {cached.name}  {cached.shown}")
    return [*lines, f"{len(contents)} files, {amount(sum(cached.size for cached in contents))}"]


def _age(seconds: float) -> str:
    days = int(max(seconds, 0) // _DAY)
    return "today" if days == 0 else f"{days} day{'s' * (days > 1)} ago"
