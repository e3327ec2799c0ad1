"""The directory that a batch writes to: whose it is, what is in it, and how an output gets there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from stat import S_ISDIR
from typing import Any, NamedTuple

from model_side.base.errors import StepError, UsageError
from model_side.base.files import publish, publish_directory, remove
from model_side.payload.fingerprints import content_of

from .manifest import manifest_of

SCHEMA = 2
HIDDEN = ".batch"


class Place(NamedTuple):
    """Where outputs, the journal and the logs of a batch are.

    Parameters
    ----------
    root : Path
        The directory of the manifest, and of the outputs unless they go to a URI.
    uri : str
        Where the outputs go, if not to a local directory.
    """

    root: Path
    uri: str = ""

    @property
    def hidden(self) -> Path:
        """The tool's own directory."""
        return self.root / HIDDEN

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.hidden / "journal.jsonl"

    @property
    def parts(self) -> Path:
        """Where outputs are written before they have their name."""
        return self.hidden / "parts"

    @property
    def header(self) -> Path:
        """What the directory is of."""
        return self.hidden / "batch.json"

    def read_header(self) -> dict[str, Any]:
        """Return what the directory is of, nothing where no batch has written to it.

        Raises
        ------
        UsageError
            If a newer version wrote it, or it cannot be read.
        """
        try:
            header: dict[str, Any] = {"model": {}} | json.loads(self.header.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            fault, advice = "cannot be read as what a batch wrote", "Take another --out."
            raise UsageError(str(self.header), fault, got=str(error), advice=advice) from error
        if header.get("schema", 0) > SCHEMA:
            fault, got = "a newer version of this tool wrote it", f"schema {header['schema']}"
            raise UsageError(str(self.root), fault, expected=f"schema {SCHEMA}", got=got, advice="Take another --out.")
        return header

    def require_own(self, model: dict[str, Any]) -> None:
        """Check that the directory is of no other model, and that a manifest in it is this tool's.

        Raises
        ------
        UsageError
            If it is not.
        """
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--out {self.root}", "not a directory", advice="Take another --out.")
        header = self.read_header()
        if header and header["model"] != model:
            was, now = (each.get("name") or "a model that is in no package" for each in (header["model"], model))
            expected, got = (was, now) if was != now else ("the signature of the outputs in it", "another signature")
            advice = "Take another --out. Nothing in it was touched."
            raise UsageError(
                str(self.root), "it holds outputs of another model", expected=expected, got=got, advice=advice
            )
        if not header and (stray := manifest_of(self.root)):
            raise UsageError(str(stray), "this tool did not write it", advice="Move it, or take another --out.")

    def write_header(self, model: dict[str, Any], digest: str, stamp: str) -> None:
        """Say what the directory is of."""
        text = json.dumps({"schema": SCHEMA, "model": model, "digest": digest, "stamp": stamp}, indent=1)
        publish(f"{text}\n", self.header)

    def outputs(self) -> set[str]:
        """Return the names of the files that are in it.

        Raises
        ------
        UsageError
            If the URI cannot be listed.
        """
        if not self.uri:
            return set(os.listdir(self.root)) if self.root.is_dir() else set()  # noqa: PTH208  a million Paths are slow
        fs, path = file_system(self.uri)
        try:
            fs.invalidate_cache()
            return {each.rpartition("/")[2] for each in fs.ls(path, detail=False)}
        except FileNotFoundError:
            return set()
        except (OSError, ValueError) as error:
            raise UsageError(f"--out {self.uri}", "cannot be listed", got=str(error)) from error

    def recorded(self) -> list[tuple[str, int, int]]:
        """Return what tells whether a batch has recorded something since: names, times and sizes."""
        files = [path for path in (self.header, self.journal, manifest_of(self.root)) if path and path.exists()]
        return [(path.name, status.st_mtime_ns, status.st_size) for path in files if (status := path.stat())]

    def publish(self, part: Path, name: str) -> str:
        """Give an output its name, and return its stamp.

        Raises
        ------
        StepError
            If the disk or the store does not take it.
        """
        try:
            if self.uri:
                self._send(part, name)
                return ""
            if part.is_dir():
                publish_directory(part, self.root / name)
            else:
                part.replace(self.root / name)
            return self.stamp(name)
        except OSError as error:
            raise disk_fault(self, error) from error

    def _send(self, part: Path, name: str) -> None:
        fs, path = file_system(self.uri)
        if part.is_dir():
            if fs.exists(f"{path}/{name}"):
                fs.rm(f"{path}/{name}", recursive=True)
            for each in part.rglob("*"):
                if each.is_file():
                    fs.put_file(str(each), f"{path}/{name}/{each.relative_to(part)}")
        else:
            fs.put_file(str(part), f"{path}/{name}")
        remove(part)

    def stamp(self, name: str) -> str:
        """Return size and time of an output, or of each file in it; nothing where it has been removed."""
        path = f"{self.root}/{name}"
        try:
            status = os.stat(path)  # noqa: PTH116  of a million
            if not S_ISDIR(status.st_mode):
                return f"{status.st_size}:{status.st_mtime_ns}"
            members = [each.stat() for each in sorted(Path(path).rglob("*"))]
            return " ".join(f"{each.st_size}:{each.st_mtime_ns}" for each in members)
        except OSError:
            return ""

    def is_altered(self, row: dict[str, Any]) -> bool:
        """Tell whether somebody has changed an output that this tool wrote."""
        if self.uri or self.stamp(row["output"]) == str(row["output_stamp"]):
            return False
        return content_of(self.root / row["output"])[0] != str(row["sha256"])


def disk_fault(place: Place, error: OSError) -> StepError:
    """Return the error of a disk that takes no output."""
    advice = "What is done stays: free some space, or make it writable, and run the same command again."
    return StepError(place.uri or str(place.root), "cannot be written", got=str(error), advice=advice)


def file_system(uri: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URI, and the path in it.

    Raises
    ------
    UsageError
        If a library for it is missing, or it is none.
    """
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        extra = {"s3": "s3", "gs": "gcs", "gcs": "gcs"}.get(uri.partition("://")[0], "")
        advice = f"`make setup EXTRA={extra}` brings it." if extra else ""
        raise UsageError(f"--out {uri}", "a library for it is not installed", got=str(error), advice=advice) from error
    except ValueError as error:
        raise UsageError(f"--out {uri}", "no URI that fsspec knows", got=str(error)) from error
    return fs, str(path).rstrip("/")


@contextmanager
def opened(place: Place, recorded: object) -> Iterator[None]:
    """Make a directory this process's own for the block.

    Parameters
    ----------
    place : Place
    recorded : object
        What `Place.recorded` returned before it was decided what runs.

    Raises
    ------
    StepError
        If another batch writes to it, or has done so since, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    root, lock = str(place.root), FileLock(place.hidden / "lock")
    try:
        place.parts.mkdir(parents=True, exist_ok=True)
        held = lock.acquire(timeout=0)
    except Timeout:
        advice = "Wait for it, or take another --out."
        raise StepError(root, "another batch is writing to it", advice=advice) from None
    except OSError as error:
        raise disk_fault(place, error) from error
    with held:
        if place.recorded() != recorded:
            raise StepError(root, "another batch has just written to it", advice="Run the same command again.")
        for leftover in place.parts.iterdir():
            remove(leftover)
        yield


def require_ours(place: Place, foreign: Iterable[str]) -> None:
    """Refuse to write where files are that this tool did not write, or that somebody has changed.

    Raises
    ------
    UsageError
        With some of them.
    """
    if shown := ", ".join(islice(foreign, 3)):
        advice = "Move them, or take another --out: nothing is overwritten."
        raise UsageError(
            place.uri or str(place.root), "it has files that this tool did not write", got=shown, advice=advice
        )
