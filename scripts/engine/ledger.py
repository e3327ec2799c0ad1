"""The ledger: what the last success of each step saw; the stat cache beside it; the lock of a package.

Everything lives in ``.pipeline/`` of a package. Files are replaced whole. A file that cannot be understood counts as
absent, with one line that says so.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import PipelineError
from .fingerprint import StatCache, scan
from .staleness import MISSING, Reason, Seen, Why
from .step import STATE_DIRECTORY, Step

SCHEMA = 1
_ENTRY = [int, int, int, int, str]  # the types of one of the stat cache
_FIELDS = ("dependencies", "targets", "tools", "params", "versions")


@dataclass(eq=False, repr=False)
class Ledger:
    """The records of one pipeline, by step.

    Parameters
    ----------
    path : Path
        The ledger's file.
    records : dict of str to Seen
    runs : dict of str to str
        The run that wrote each record.
    found : dict of str to mapping
        What each step found when it succeeded last, for a program.
    seconds : dict of str to float
        How long that took.
    evidence : dict of str to mapping
        What each step left when it failed last: a fingerprint for each path.
    trouble : str
        Why the file could not be understood; empty when it could, or when there is none.
    """

    path: Path
    records: dict[str, Seen] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    found: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    evidence: dict[str, Mapping[str, str]] = field(default_factory=dict)
    trouble: str = ""
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def record(self, name: str) -> Seen | Reason:
        """Return the step's record, or the reason why there is none."""
        if name in self.records:
            return self.records[name]
        return Reason(Why.UNREADABLE_RECORD, self.trouble) if self.trouble else Reason(Why.NO_RECORD)

    def write(self, name: str, seen: Seen, run: str, found: Mapping[str, Any], seconds: float) -> None:
        """Record a success of step `name`; on failure the old record stands, on disk and in memory."""
        with self._guard:  # steps that run at once record at once
            self._replace(
                records={**self.records, name: seen},
                runs={**self.runs, name: run},
                found={**self.found, name: found},
                seconds={**self.seconds, name: round(seconds, 3)},
            )

    def write_evidence(self, name: str, left: Mapping[str, str]) -> None:
        """Record what step `name` left when it failed; its record stands."""
        with self._guard:
            self._replace(evidence={**self.evidence, name: left})

    def _replace(self, **changed: Any) -> None:
        names = ("records", "runs", "found", "seconds", "evidence")
        new = {name: changed.get(name, getattr(self, name)) for name in names}
        steps = {
            step: {
                "run": new["runs"][step],
                "found": dict(new["found"].get(step, {})),
                "seconds": new["seconds"].get(step, 0.0),
                **plain(record),
            }
            for step, record in new["records"].items()
        }
        evidence = {step: dict(left) for step, left in new["evidence"].items()}
        replace_json(self.path, {"schema": SCHEMA, "steps": steps, "evidence": evidence})
        vars(self).update(new)


def load_ledger(root: Path) -> Ledger:
    """Read the ledger of the package at `root`; never an error.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    path = root / STATE_DIRECTORY / "ledger.json"
    ledger = Ledger(path)
    document, ledger.trouble = load_json(path)
    if not ledger.trouble and document is not None:
        try:
            ledger.records = {name: read_seen(record) for name, record in document["steps"].items()}
            ledger.runs = {name: str(record["run"]) for name, record in document["steps"].items()}
            ledger.found = {name: dict(record.get("found", {})) for name, record in document["steps"].items()}
            ledger.seconds = {name: float(record.get("seconds", 0.0)) for name, record in document["steps"].items()}
            ledger.evidence = {name: dict(left) for name, left in document.get("evidence", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            ledger.records, ledger.runs, ledger.found, ledger.seconds, ledger.evidence = {}, {}, {}, {}, {}
            ledger.trouble = f"{path.name} is damaged"
    return ledger


def load_stat_cache(root: Path) -> StatCache:
    """Read the stat cache of the package at `root`; one that cannot be understood is empty.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    document, trouble = load_json(root / STATE_DIRECTORY / "stat.json")
    entries = document.get("files") if document and not trouble else None
    if not isinstance(entries, dict) or not all(
        type(e) is list and [*map(type, e)] == _ENTRY for e in entries.values()
    ):
        return StatCache()
    return StatCache({name: tuple(entry) for name, entry in entries.items()})


def save_stat_cache(root: Path, cache: StatCache) -> None:
    """Keep the stat cache; one that cannot be written is no fault, it only costs hashing.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    cache : StatCache
        What to keep.
    """
    if cache.changed and (root / STATE_DIRECTORY).is_dir():
        known = cache.kept().items()
        files = {n: entry for n, entry in known if n in cache.entries or ": " in n or (root / n).exists()}
        try:
            replace_json(root / STATE_DIRECTORY / "stat.json", {"schema": SCHEMA, "files": files})
        except OSError:
            return


def replace_json(path: Path, document: Mapping[str, Any], *, durable: bool = False) -> None:
    """Write a JSON file whole: beside it first, then one rename.

    Parameters
    ----------
    path : Path
        Replaced whole, by one rename.
    document : mapping of str to Any
    durable : bool
        Whether it must be on the disk before anything else happens, so that a loss of power cannot take it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        aside.write_text(json.dumps(document, separators=(",", ":")), encoding="ascii")
        if durable:
            sync(aside)
        aside.replace(path)
        for directory in (path.parent, path.parent.parent) if durable else ():
            sync(directory)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's names, are on the disk.

    Parameters
    ----------
    path : Path
        Of a file or a directory that is there.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot do it for directories
            raise
    finally:
        os.close(descriptor)


def sync_file_system(directory: Path) -> None:
    """Wait until all that was written to a directory's file system is on the disk.

    An environment has some ten thousand files: one call for all takes a fraction of the time of one for each.

    Parameters
    ----------
    directory : Path
        One that is there.
    """
    import ctypes  # not on the way to a no-op

    descriptor = os.open(directory, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(directory))
    finally:
        os.close(descriptor)


def load_json(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return the document of this schema, or None and why it cannot be used; no reason where there is no file.

    Parameters
    ----------
    path : Path
        Of a JSON file.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, RecursionError) as error:
        return None, f"{path.name} cannot be read ({type(error).__name__})"
    if not isinstance(document, dict):
        return None, f"{path.name} is damaged"
    if document.get("schema", SCHEMA) != SCHEMA:
        return None, f"{path.name} has schema {document.get('schema')!r}, this tool writes {SCHEMA}"
    return document, ""


def read_seen(record: Mapping[str, Any]) -> Seen:
    """Return what `plain` made a record of; KeyError, TypeError or ValueError where it cannot be understood."""
    for name in _FIELDS:
        if not isinstance(record[name], dict):
            raise TypeError(name)
    fields = {name: record[name] for name in _FIELDS}
    return Seen(**fields, command=str(record["command"]), inputs=dict(record.get("inputs", {})))


def plain(seen: Seen) -> dict[str, Any]:
    """Return a record as JSON has it."""
    return {**{name: dict(getattr(seen, name)) for name in (*_FIELDS, "inputs")}, "command": seen.command}


def evidence_of(root: Path, step: Step) -> dict[str, str]:
    """Return the fingerprints of a step's evidence, as far as it is there and can be read.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    step : Step
    """
    found: dict[str, str] = {}
    for path in step.evidence:
        with suppress(PipelineError):
            found.update(scan(str(root / path), path, StatCache()))
    return {path: fingerprint for path, fingerprint in found.items() if fingerprint != MISSING}


def note_evidence(ledger: Ledger, root: Path, step: Step, before: Mapping[str, str]) -> None:
    """Record what a failed step left: what differs from `before` it ran, and what was its own then.

    Parameters
    ----------
    ledger : Ledger
    root : Path
        The pipeline's directory.
    step : Step
    before : mapping of str to str
        What of it was there before the step ran.
    """
    own = ledger.evidence.get(step.name, {})
    now = evidence_of(root, step)
    left = {path: what for path, what in now.items() if before.get(path) != what or own.get(path) == what}
    if left != own:
        with suppress(OSError):  # it is kept then, when `clean` comes
            ledger.write_evidence(step.name, left)
