"""The note beside a file that is being fetched: what it is of, how far each piece has come, how far it is hashed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

_SCHEMA = 2
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class Note:
    """What is known of the bytes that are here.

    Parameters
    ----------
    of : str
        Digest of what they come from.
    validator : str
        What changes when the content there does.
    total : int
        Size of the whole file in bytes.
    pieces : tuple of (int, int, int)
        Start, first missing byte and end of each.
    boot : str
        The boot of the machine that it was written in; empty where that is not known.
    stamp : tuple of int or None
        Size, times and inode of the file when the last byte was written; None while bytes are still coming.
    hashed : int
        So many bytes, from the first on, are hashed.
    midstate : str
        The sha256 after them, to go on from; empty where that cannot be had.
    """

    of: str
    validator: str
    total: int
    pieces: tuple[tuple[int, int, int], ...]
    boot: str
    stamp: Stamp | None = None
    hashed: int = 0
    midstate: str = ""

    @property
    def furthest(self) -> int:
        """Return the offset after the last byte that is here."""
        return max((have for start, have, _ in self.pieces if have > start), default=0)


def write_note(path: Path, note: Note) -> None:
    """Replace the note whole."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(json.dumps({"schema": _SCHEMA, **asdict(note)}), encoding="ascii")
    aside.replace(path)


def read_note(path: Path) -> Note | None:
    """Return the note; None where there is none, or it cannot be understood, or contradicts itself."""
    try:
        found = json.loads(path.read_bytes())
        if found["schema"] != _SCHEMA:
            return None
        pieces = tuple((int(start), int(have), int(end)) for start, have, end in found["pieces"])
        known = Note(str(found["of"]), str(found["validator"]), int(found["total"]), pieces, str(found["boot"]))
        stamp = None if found["stamp"] is None else _stamp(found["stamp"])
        note = replace(known, stamp=stamp, hashed=int(found["hashed"]), midstate=bytes.fromhex(found["midstate"]).hex())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if _is_whole(note) else None


def _stamp(found: list[object]) -> Stamp:
    size, modified, changed, inode = (int(str(value)) for value in found)
    return size, modified, changed, inode


def _is_whole(note: Note) -> bool:
    """Tell whether the pieces follow each other from the first byte to the last, and no count is nonsense."""
    ends = [0, *(end for _, _, end in note.pieces)]
    in_order = all(start == end and start <= have <= after
                   for (start, have, after), end in zip(note.pieces, ends, strict=False))  # fmt: skip
    return in_order and ends[-1] == note.total and note.hashed >= 0
