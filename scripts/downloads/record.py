"""What each source has brought, as model_data/.downloads/record.json says, and what to do about each source now.

The same content gives the same bytes. What to do is decided from values alone: no disk, no network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from model_side.base.errors import ReportedError
from model_side.base.files import FileEntry, publish

from .content import Files, digest
from .declaration import DESKS, FORMER_RECORD, Source

RECORD = f"{DESKS}/record.json"
SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """What one source has brought.

    Parameters
    ----------
    paths : tuple of str
        What it declared, relative to model_data/.
    origin : str
        Digest of where it came from.
    shown : str
        Where it came from, for people, without credentials.
    sha256 : str
        The digest that was checked: of the file, the directory, or the archive that was unpacked.
    files : mapping of str to FileEntry
        By name relative to model_data/.
    adopted : bool
        Whether the source has brought nothing: it was there, an author's, and is what the source declares.
    untried : bool
        Whether its command has never made it: only the declared sha256 says that it would.
    """

    paths: tuple[str, ...]
    origin: str
    shown: str
    sha256: str
    files: Files
    adopted: bool = False
    untried: bool = False


def entry_of(source: Source, files: Files, sha256: str = "", *, ran: bool = False) -> Entry:
    """Return the entry of what a source has just brought; `ran` says that its command did."""
    value, untried = sha256 or digest(files, source.paths), bool(source.command) and not ran
    return Entry(source.paths, source.origin, source.shown, value, files, untried=untried)


def read_record(data: Path) -> dict[tuple[str, ...], Entry]:
    """Return the entries by their paths; none where the record is missing or cannot be understood.

    Parameters
    ----------
    data : Path
        model_data/.

    Returns
    -------
    dict of tuple of str to Entry
    """
    path = data / RECORD
    try:
        document = json.loads((path if path.exists() else data / FORMER_RECORD).read_bytes())
        if document["schema"] != SCHEMA:
            return {}
        entries = [_entry(item) for item in document["sources"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {entry.paths: entry for entry in entries}


def write_record(data: Path, entries: Iterable[Entry]) -> None:
    """Replace the record whole, if it differs.

    Parameters
    ----------
    data : Path
        model_data/.
    entries : iterable of Entry
    """
    ordered = sorted(entries, key=lambda entry: entry.paths)
    text = json.dumps({"schema": SCHEMA, "sources": list(map(asdict, ordered))}, indent=1, sort_keys=True) + "\n"
    path = data / RECORD
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    publish(text, path)
    (data / FORMER_RECORD).unlink(missing_ok=True)


def _entry(item: Mapping[str, Any]) -> Entry:
    files = {name: FileEntry(**fact) for name, fact in item["files"].items()}
    return Entry(**{**item, "paths": tuple(item["paths"]), "files": files})


class Why(StrEnum):
    """Why a source is or is not fetched: the closed list that reports and tests share."""

    PRESENT = "present"
    ADOPTED = "present already, with the declared sha256"
    MISSING = "missing"
    ALTERED = "altered since it was fetched"
    REDECLARED = "declared differently since it was fetched"
    REFRESHED = "fetched again on demand"
    UNRECORDED = "not known to come from this source"
    FOREIGN = "another file is in its place"


@dataclass(frozen=True)
class Verdict:
    """What to do about one source.

    Parameters
    ----------
    source : Source
    found : mapping of str to FileEntry
        What is in its place now; empty if nothing is.
    entry : Entry or None
        What the record says that was last brought there.
    why : Why
    """

    source: Source
    found: Files
    entry: Entry | None
    why: Why

    @property
    def fetches(self) -> bool:
        """Tell whether something must be fetched."""
        return self.why not in (Why.PRESENT, Why.ADOPTED, Why.FOREIGN)

    @property
    def altered(self) -> bool:
        """Tell whether what is in its place was changed by hand and should be kept aside."""
        return self.entry is not None and is_edited(self.found, self.entry)


@dataclass(frozen=True)
class Outcome:
    """What became of one source.

    Parameters
    ----------
    verdict : Verdict
    action : str
        "present", "fetched", "from cache", "ran" or "failed".
    files : mapping of str to FileEntry
        What it has in model_data/, by name relative to that.
    sha256 : str
        Digest of what the source names; empty if it failed.
    error : ReportedError or None
    """

    verdict: Verdict
    action: str
    files: Files = field(default_factory=dict)
    sha256: str = ""
    error: ReportedError | None = None

    @property
    def source(self) -> Source:
        """Return what it is about."""
        return self.verdict.source

    @property
    def size(self) -> int:
        """Return how many bytes it has in model_data/."""
        return sum(fact.size for fact in self.files.values())


def decide(source: Source, found: Files, entry: Entry | None, *, refresh: bool = False) -> Why:
    """Return whether a source is fetched, and why; the parameters are those of a Verdict.

    With `refresh`, a mutable source is fetched again.
    """
    if not found:
        return Why.MISSING
    if entry is None:
        return _without_entry(source, found)
    if refresh and source.mutable:
        return Why.REFRESHED
    if source.sha256 and source.sha256 != entry.sha256:
        is_declared = not source.unpack and digest(found, source.paths) == source.sha256
        return Why.ADOPTED if is_declared else Why.REDECLARED
    if is_edited(found, entry) or not entry.files.keys() <= found.keys():
        return Why.ALTERED
    # The same bytes from elsewhere are the same bytes; without a declared sha256 nothing says that they are. What a
    # changed command would make, nobody knows.
    if entry.origin != source.origin:
        return Why.ADOPTED if source.sha256 and not (source.unpack or source.command) else Why.REDECLARED
    return Why.REDECLARED if entry.untried and not source.sha256 else Why.PRESENT


def is_edited(found: Files, entry: Entry) -> bool:
    """Tell whether a file that is there is not what was brought; one that is missing is no loss."""
    return any(found.get(name, fact) != fact for name, fact in entry.files.items())


def _without_entry(source: Source, found: Files) -> Why:
    if source.unpack or not source.sha256:
        return Why.UNRECORDED
    if digest(found, source.paths) == source.sha256:
        return Why.ADOPTED
    # A killed command leaves half-done outputs in their place; everything else arrives whole, by a rename.
    return Why.UNRECORDED if source.command else Why.FOREIGN
