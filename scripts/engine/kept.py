"""Former results of steps, kept by all that they were made from, so that going back to them needs no run.

They lie in ``.pipeline/kept``, or where RUN_CACHE says, for several clones. What is small is copied when it is made,
its blocks shared where the file system can. What is large is kept when it is replaced: by a link, which is the only one
as soon as the target's own name goes, so that an edit in place cannot reach it. An environment is moved; it
names its own place, so it never goes to another clone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from .ledger import load_json, plain, read_seen, replace_json
from .staleness import Seen
from .step import KEPT, STATE_DIRECTORY
from .transaction import remove

SHARED = "RUN_CACHE"
COPIED_BYTES = 4 << 20  # of one result
MOST = 12  # results of one step
MOST_BYTES = 4 << 30  # of files, of one pipeline
_CHUNK, _SHA256, _EXECUTABLE = 1 << 30, "sha256:", " executable"


class Made(NamedTuple):
    """When a result was made, in seconds since 1970, and why."""

    at: float
    reasons: tuple[str, ...]


class Former(NamedTuple):
    """One former result: its entry on the shelf, its record, what it found, and how many seconds it took."""

    path: Path
    record: Seen
    found: Mapping[str, Any]
    seconds: float
    made: Made


class Shelf:
    """The former results of one step of one pipeline.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    step : str
        The step's name.
    """

    def __init__(self, root: Path, step: str) -> None:
        self._root, self.path = root, store_of(root) / step

    def formers(self) -> Iterator[Former]:
        """Yield what can be read, the last used first."""
        for path in sorted(self.path.glob("*.json"), key=_used, reverse=True):
            if former := _former(path):
                yield former

    def damaged(self) -> list[Path]:
        """Return the entries that cannot be understood."""
        return [path for path in self.path.glob("*.json") if _former(path) is None]

    def keep(self, record: Seen, found: Mapping[str, Any], seconds: float, made: Made) -> None:
        """Keep a result that was just recorded; where that cannot be written, it is not kept."""
        paths = {self._root / name: value for name, value in record.targets.items()}
        if any(path.is_symlink() for path in paths):
            return
        document = {**plain(record), "found": dict(found), "seconds": seconds, "at": made.at, "reasons": made.reasons}
        with suppress(OSError):
            replace_json(self.path / f"{_key(record)}.json", document)
            files = [(path, self._object(value)) for path, value in paths.items() if value.startswith(_SHA256)]
            new = [(path, place) for path, place in files if path.is_file() and not place.exists()]
            if sum(path.stat().st_size for path, _ in new) <= COPIED_BYTES:
                for path, place in new:
                    part = place.with_name(f"{place.name}.{os.getpid()}.part")
                    place.parent.mkdir(exist_ok=True)
                    _copy(path, part)
                    part.replace(place)
            self._make_room()

    def hold(self, record: Seen, now: Mapping[str, str]) -> list[Path]:
        """Keep what is large of a result that is about to be replaced, as far as it is as recorded.

        Returns
        -------
        list of Path
            Second links to the targets, to be removed where they are not replaced.
        """
        held: list[Path] = []
        if not (self.path / f"{_key(record)}.json").exists():
            return held
        for name, value in record.targets.items():
            place = self._object(value)
            if value.startswith(_SHA256) and now.get(name) == value and not place.exists():
                with suppress(OSError):  # another file system, or one without links
                    place.parent.mkdir(parents=True, exist_ok=True)
                    os.link(self._root / name, place, follow_symlinks=False)
                    held.append(place)
        return held

    def move_in(self, record: Seen, target: str, place: Path) -> None:
        """Keep an environment that was replaced."""
        if os.environ.get(SHARED):
            return
        with suppress(OSError):
            self._moved(record, target).parent.mkdir(parents=True, exist_ok=True)
            place.rename(self._moved(record, target))

    def has(self, former: Former, names: Collection[str]) -> bool:
        """Tell whether these targets of a former result are all there; what they hold is seen when they are taken."""
        files = _of(former, names).values()
        moved = [name for name in names if is_environment(name, former.record.targets)]
        return all(self._object(value).is_file() for value in files if value.startswith(_SHA256)) and all(
            self._moved(former.record, name).is_dir() for name in moved
        )

    def take(self, former: Former, names: Collection[str]) -> list[Path]:
        """Put these targets of a former result in their places, which are empty.

        Returns
        -------
        list of Path
            Second links to what is large, to be removed when the result is recorded.
        """
        files = {name: self._object(value) for name, value in _of(former, names).items() if value.startswith(_SHA256)}
        is_large = sum(place.stat().st_size for place in files.values()) > COPIED_BYTES
        for name in names:
            if is_environment(name, former.record.targets):
                self._moved(former.record, name).rename(self._root / name)
        for name, value in _of(former, names).items():
            path = self._root / name
            if name not in files:
                path.mkdir(parents=True, exist_ok=True)
                continue
            (os.link if is_large else _copy)(files[name], path)
            path.chmod(path.stat().st_mode & ~0o111 | (0o111 if value.endswith(_EXECUTABLE) else 0))
        with suppress(OSError):
            os.utime(former.path)
        return list(files.values()) if is_large else []

    def drop(self, path: Path) -> None:
        """Forget a former result."""
        path.unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove what belongs to no result, or was left unfinished."""
        formers = list(self.formers())
        named = {self._object(value) for former in formers for value in former.record.targets.values()}
        for place in self.path.glob("objects/*"):
            if place not in named:
                place.unlink(missing_ok=True)
        for place in self.path.glob("moved/*"):
            if place.name not in {former.path.stem for former in formers}:
                remove(place)

    def prune(self, older_than_seconds: float) -> int:
        """Forget the results that were not used for this long, and return how many they were."""
        old = [path for path in self.path.glob("*.json") if time.time() - _used(path) >= older_than_seconds]
        for path in old:
            path.unlink(missing_ok=True)
        self.sweep()
        return len(old)

    def size(self) -> tuple[int, int]:
        """Return how many results there are, and how many bytes of files; environments do not count."""
        files = [place.stat().st_size for place in self.path.glob("objects/*")]
        return len([*self.path.glob("*.json")]), sum(files)

    def _make_room(self) -> None:
        for path in sorted(self.path.glob("*.json"), key=_used, reverse=True)[MOST:]:
            path.unlink(missing_ok=True)
        self.sweep()
        if self.size()[1] <= MOST_BYTES >> 12:  # too little to look at every shelf for
            return
        beside = shelves(self._root)
        entries = [(_used(path), path, shelf) for shelf in beside for path in shelf.path.glob("*.json")]
        for _, path, shelf in sorted(entries, key=lambda entry: entry[0]):
            if sum(each.size()[1] for each in beside) <= MOST_BYTES:
                return
            shelf.drop(path)

    def _object(self, value: str) -> Path:
        return self.path / "objects" / value.removeprefix(_SHA256).removesuffix(_EXECUTABLE)

    def _moved(self, record: Seen, target: str) -> Path:
        return self.path / "moved" / _key(record) / target.replace("/", "_")


def store_of(root: Path) -> Path:
    """Return where the former results of the pipeline at `root` are kept.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    shared = os.environ.get(SHARED)
    return Path(shared).expanduser().absolute() / root.name if shared else root / STATE_DIRECTORY / KEPT


def shelves(root: Path) -> list[Shelf]:
    """Return the shelves of the steps of the pipeline at `root` that have any.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    return [Shelf(root, path.name) for path in sorted(store_of(root).glob("*")) if path.is_dir()]


def is_environment(target: str, files: Mapping[str, str]) -> bool:
    """Tell whether a target stands in a record as an environment: neither a file nor the members of a directory."""
    return target not in files and f"{target}/" not in files


def _of(former: Former, names: Collection[str]) -> dict[str, str]:
    """Return the files and directories of some targets, with their fingerprints."""
    targets = former.record.targets
    tops = tuple(f"{name}/" for name in names if not is_environment(name, targets))
    return {path: value for path, value in targets.items() if path in names or path.startswith(tops)}


def _former(path: Path) -> Former | None:
    document, _ = load_json(path)
    try:
        if document is None:
            return None
        made = Made(float(document["at"]), tuple(map(str, document["reasons"])))
        return Former(path, read_seen(document), dict(document["found"]), float(document["seconds"]), made)
    except (KeyError, TypeError, ValueError):
        return None


def _key(record: Seen) -> str:
    inputs = json.dumps(plain(record._replace(targets={})), sort_keys=True)
    return hashlib.sha256(inputs.encode()).hexdigest()[:32]


def _used(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return time.time()


def _copy(source: Path, target: Path) -> None:
    """Copy what a file holds, its blocks shared where the file system can."""
    try:
        with source.open("rb") as one, target.open("wb") as other:
            while os.copy_file_range(one.fileno(), other.fileno(), _CHUNK):
                pass
    except OSError:  # not every file system knows it
        shutil.copyfile(source, target)
