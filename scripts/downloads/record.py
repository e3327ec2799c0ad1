"""model_data/.sources.json: what each source has brought. The same content gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_side.base.files import FileEntry

from .content import Files, digest
from .declaration import Source

RECORD = ".sources.json"
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
        The digest that was held to: of the file, the directory, or the archive that was unpacked.
    files : mapping of str to FileEntry
        By name relative to model_data/.
    adopted : bool
        Whether the source has brought nothing: it was there, an author's, and is what the source declares.
    """

    paths: tuple[str, ...]
    origin: str
    shown: str
    sha256: str
    files: Files
    adopted: bool = False

    def is_of(self, source: Source) -> bool:
        """Tell whether it is about this source as it is declared now."""
        return self.origin == source.origin


def entry_of(source: Source, files: Files, sha256: str = "") -> Entry:
    """Return the entry of what a source has just brought."""
    return Entry(source.paths, source.origin, source.shown, sha256 or digest(files, source.paths), files)


def read_record(data: Path) -> dict[tuple[str, ...], Entry]:
    """Return the entries by their paths; none where the record is missing or cannot be understood."""
    try:
        document = json.loads((data / RECORD).read_bytes())
        if document["schema"] != SCHEMA:
            return {}
        entries = [_entry(item) for item in document["sources"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {entry.paths: entry for entry in entries}


def write_record(data: Path, entries: Iterable[Entry]) -> None:
    """Replace the record whole, if it differs."""
    ordered = sorted(entries, key=lambda entry: entry.paths)
    text = json.dumps({"schema": SCHEMA, "sources": list(map(_item, ordered))}, indent=1, sort_keys=True)
    path = data / RECORD
    if path.is_file() and path.read_text(encoding="utf-8") == text + "\n":
        return
    aside = data / f"{RECORD}.part"
    aside.write_text(text + "\n", encoding="utf-8")
    aside.replace(path)


def _item(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in asdict(entry).items() if name != "adopted" or value}


def _entry(item: Mapping[str, Any]) -> Entry:
    files = {str(name): FileEntry(int(fact["size"]), str(fact["sha256"])) for name, fact in item["files"].items()}
    known = (tuple(item["paths"]), str(item["origin"]), str(item["shown"]), str(item["sha256"]), files)
    return Entry(*known, adopted=bool(item.get("adopted")))
