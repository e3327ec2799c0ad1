"""A file that is being fetched: which bytes of it are here, on disk and in a note beside it.

``X.part`` holds the bytes; ``X.part.json`` says what they are of and how far each piece has come. The note lags behind
the bytes by at most 16 MB a stream, and a byte counts only when it is in the note, so a killed run costs no more.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_NOTE_EVERY = 16 << 20
# Threads that wait are woken once for so many bytes: a switch for each chunk would cost more than the chunk.
STRIDE = 1 << 20
# Below this size a fresh start costs less than keeping the note.
_WORTH_A_NOTE = 4 << 20
_SCHEMA = 1


@dataclass
class Piece:
    """A run of bytes that one stream fetches.

    Parameters
    ----------
    start, have : int
        Offsets of its first byte and of the first byte that is not here yet.
    end : int or None
        Offset after its last byte; None while the size of the file is unknown.
    busy : bool
        Whether a stream is at it.
    """

    start: int
    have: int
    end: int | None
    busy: bool = False

    @property
    def left(self) -> int:
        """Return how many bytes are missing; 0 where that is not known."""
        return 0 if self.end is None else self.end - self.have

    @property
    def is_whole(self) -> bool:
        """Tell whether all of it is here."""
        return self.end is not None and self.have >= self.end


class Part:
    """The bytes of one file that are here so far.

    Parameters
    ----------
    path : Path
        ``X.part``.
    key : str
        What the bytes come from; a note about something else is not followed.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._note_path = path.with_name(f"{path.name}.json")
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._unnoted = self._untold = 0
        self.moved = threading.Condition()
        self.validator = ""
        self.total: int | None = None
        self.pieces = [Piece(0, 0, None)]
        self.resumed = self._read_note()
        if not self.resumed:
            os.ftruncate(self._fd, 0)

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.moved:
            if kind is not None and self._worth_a_note():
                with suppress(OSError):
                    self._write_note()
        os.close(self._fd)

    @property
    def is_whole(self) -> bool:
        """Tell whether every byte is here."""
        return all(piece.is_whole for piece in self.pieces)

    @property
    def have(self) -> int:
        """Return how many bytes are here."""
        return sum(piece.have - piece.start for piece in self.pieces)

    @property
    def front(self) -> int:
        """Return how many bytes are here without a gap, from the first on."""
        front = 0
        for piece in self.pieces:
            if piece.start > front:
                break
            front = piece.have
        return front

    def describe(self, total: int | None, validator: str) -> None:
        """Say what is being fetched, before the first byte is written."""
        with self.moved:
            self.total, self.validator = total, validator
            self.pieces[-1].end = total
            if self._worth_a_note():
                self._write_note()
            # An empty file is whole at once.
            self.moved.notify_all()

    def restart(self) -> None:
        """Forget every byte."""
        with self.moved:
            self.pieces, self.total, self.validator = [Piece(0, 0, None)], None, ""
            self._note_path.unlink(missing_ok=True)
            os.ftruncate(self._fd, 0)

    def write(self, piece: Piece, chunk: bytes) -> int:
        """Write the next bytes of a piece, no further than its end; return how many were taken."""
        view = memoryview(chunk)[: piece.left if piece.end is not None else None]
        offset = piece.have
        while view:
            written = os.pwrite(self._fd, view, offset)
            offset, view = offset + written, view[written:]
        with self.moved:
            # Another stream may have taken over the end meanwhile; it writes the same bytes there.
            offset = offset if piece.end is None else min(offset, piece.end)
            taken, piece.have = offset - piece.have, offset
            self._unnoted, self._untold = self._unnoted + taken, self._untold + taken
            if self._unnoted >= _NOTE_EVERY and self._worth_a_note():
                self._write_note()
            if self._untold >= STRIDE or piece.is_whole:
                self._untold = 0
                self.moved.notify_all()
        return taken

    def finish(self, piece: Piece) -> None:
        """Take the end of the stream as the end of the file, where its size was not known."""
        with self.moved:
            if piece.end is None:
                piece.end = self.total = piece.have
            self.moved.notify_all()

    def claim(self) -> Piece | None:
        """Return a piece that nobody is at, now taken."""
        with self.moved:
            piece = next((piece for piece in self.pieces if not piece.busy and not piece.is_whole), None)
            if piece is not None:
                piece.busy = True
            return piece

    def split(self, smallest: int) -> Piece | None:
        """Give away the second half of what is missing most, if each half has at least `smallest` bytes."""
        with self.moved:
            widest = max(self.pieces, key=lambda piece: piece.left)
            if widest.end is None or widest.left < 2 * smallest:
                return None
            middle = widest.have + widest.left // 2
            half = Piece(middle, middle, widest.end, busy=True)
            widest.end = middle
            self.pieces.insert(self.pieces.index(widest) + 1, half)
            return half

    def read(self, offset: int, buffer: memoryview) -> int:
        """Read bytes that are here back into `buffer`; return how many."""
        return os.preadv(self._fd, [buffer], offset)

    def forget_note(self) -> None:
        """Remove the note: the bytes are whole and proven."""
        self._note_path.unlink(missing_ok=True)

    def _worth_a_note(self) -> bool:
        return self.total is not None and self.total >= _WORTH_A_NOTE

    def _write_note(self) -> None:
        self._unnoted = 0
        pieces = [[piece.start, piece.have, piece.end] for piece in self.pieces]
        note = {"schema": _SCHEMA, "of": self._key, "validator": self.validator, "total": self.total, "pieces": pieces}
        aside = self._note_path.with_name(f"{self._note_path.name}.part")
        aside.write_text(json.dumps(note), encoding="ascii")
        aside.replace(self._note_path)

    def _read_note(self) -> bool:
        try:
            note = json.loads(self._note_path.read_bytes())
            pieces = [Piece(int(start), int(have), int(end)) for start, have, end in note["pieces"]]
            if not self._fits(note, pieces):
                return False
            self.total, self.validator, self.pieces = int(note["total"]), str(note["validator"]), pieces
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def _fits(self, note: Any, pieces: list[Piece]) -> bool:
        """Tell whether the note is about this file, and its pieces follow each other and are on disk."""
        ends = [0, *(piece.end for piece in pieces)]
        in_order = all(
            piece.start == end and piece.end is not None and piece.start <= piece.have <= piece.end
            for piece, end in zip(pieces, ends, strict=False)
        )
        furthest = max((piece.have for piece in pieces if piece.have > piece.start), default=0)
        same = (note["schema"], note["of"]) == (_SCHEMA, self._key)
        return same and in_order and ends[-1] == note["total"] and furthest <= os.fstat(self._fd).st_size
