"""A file that is being fetched: which bytes of it are here, on disk and in a note beside it.

``X.part`` holds the bytes; ``X.part.json`` says what they are of and how far each piece has come. The note lags behind
the bytes by at most 16 MB a stream, and a byte counts only when it is in the note, so a killed run costs no more.

A run that ends by itself also notes how far it has hashed, with the file's times: the next one goes on from there if
nothing has touched the file since. Bytes that a kill left are read again. After a reboot, which may have lost bytes
that the note counts, and where something has touched them, they are taken only if a sha256 will be held against them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from pipeline.fingerprint import stamp
from pipeline.machine import boot_id

from .midstate import BLOCK, new_digest, taken_up
from .note import Note, read_note, write_note

_NOTE_EVERY = 16 << 20
# Threads that wait are woken once for so many bytes: a switch for each chunk would cost more than the chunk.
STRIDE = 1 << 20
# Below this size a fresh start costs less than keeping the note.
_WORTH_A_NOTE = 4 << 20


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
    pinned : bool
        Whether a sha256 will be held against the bytes.
    """

    def __init__(self, path: Path, key: str, *, pinned: bool) -> None:
        self._path, self._note_path = path, path.with_name(f"{path.name}.json")
        self._key = hashlib.sha256(os.fsencode(key)).hexdigest()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._unnoted = self._untold = 0
        self.moved = threading.Condition()
        self.validator = ""
        self.total: int | None = None
        self.pieces = [Piece(0, 0, None)]
        self.digest, self.hashed, self._buffer = new_digest(lasting=False), 0, bytearray(STRIDE)
        self.resumed = self._follow_note(pinned=pinned)
        if not self.resumed:
            self._truncate()

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._leave()
        os.close(self._fd)

    def _leave(self) -> None:
        """Leave what a later run can go on with, else nothing."""
        if self.have and self._worth_a_note():
            with suppress(OSError):
                write_note(self._note_path, self._last_note())
        if not (self.have and self._note_path.exists()):
            self._note_path.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)

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
            self.digest = new_digest(lasting=self._worth_a_note())
            if self._worth_a_note():
                self._write_note()
            # An empty file is whole at once.
            self.moved.notify_all()

    def restart(self) -> None:
        """Forget every byte."""
        with self.moved:
            self.pieces, self.total, self.validator = [Piece(0, 0, None)], None, ""
            self.digest, self.hashed = new_digest(lasting=False), 0
            self._note_path.unlink(missing_ok=True)
            self._truncate()

    def _truncate(self) -> None:
        if os.fstat(self._fd).st_size:  # ext4 writes a file that was cut to nothing to the disk when it is closed
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

    def hash_next(self) -> None:
        """Hash the next bytes that are here, at most STRIDE: read back, so that what is hashed is what is on disk."""
        most = min(self.front - self.hashed, STRIDE)
        if not self.is_whole:
            most -= most % BLOCK
        count = os.preadv(self._fd, [memoryview(self._buffer)[:most]], self.hashed)
        if not count:
            raise OSError(errno.EIO, "another program cut it short", str(self._path))
        self.digest.update(self._buffer, count)
        self.hashed += count

    def save(self) -> None:
        """Note what is here by now."""
        with self.moved:
            if self.have and self._worth_a_note():
                self._write_note()

    def forget_note(self) -> None:
        """Remove the note: the bytes are whole and proven."""
        self._note_path.unlink(missing_ok=True)

    def _worth_a_note(self) -> bool:
        return self.total is not None and self.total >= _WORTH_A_NOTE

    def _write_note(self) -> None:
        self._unnoted = 0
        write_note(self._note_path, self._note())

    def _note(self) -> Note:
        pieces = tuple((piece.start, piece.have, piece.end or 0) for piece in self.pieces)
        return Note(self._key, self.validator, self.total or 0, pieces, boot_id())

    def _last_note(self) -> Note:
        """Return the note of a run that writes no more."""
        return replace(self._note(), stamp=stamp(self._fd), hashed=self.hashed, midstate=self.digest.midstate())

    def _follow_note(self, *, pinned: bool) -> bool:
        """Go on with what the note says that is here; tell whether that can be."""
        note = read_note(self._note_path)
        if note is None or note.of != self._key or note.furthest > os.fstat(self._fd).st_size:
            return False
        is_same_boot = note.boot == boot_id() != ""
        is_untouched = is_same_boot and note.stamp is not None and note.stamp == stamp(self._fd)
        was_killed = is_same_boot and note.stamp is None
        if not (pinned or is_untouched or was_killed):
            return False
        self.total, self.validator = note.total, note.validator
        self.pieces = [Piece(start, have, end) for start, have, end in note.pieces]
        self.digest = new_digest(lasting=self._worth_a_note())
        if is_untouched and note.hashed <= self.front and (digest := taken_up(note.midstate, note.hashed)):
            self.digest, self.hashed = digest, note.hashed
        with suppress(OSError):  # then the old note stands, and its stamp no longer fits once a byte is written
            self._write_note()
        return True
