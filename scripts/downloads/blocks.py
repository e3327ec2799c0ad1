"""A file that is being fetched: which of its blocks are here, on disk and in a note beside it.

``part`` holds the bytes. ``part.note`` says what they come from, in a line of JSON, and then has a line for each block
that is whole: a killed run loses no more than the blocks that were coming. What a power cut may lose is found by the
declared sha256; where there is none, a block is on the disk before the note says so.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_SCHEMA = 3
_READ_BYTES = 1 << 20
# So many blocks in a row are worth a request; with more, the hash would lag too far behind the last byte.
_LONGEST_RUN = 8


def kept_bytes(path: Path) -> int:
    """Return how many bytes of the file at `path` are in blocks that its note counts as whole; 0 without one."""
    try:
        head, *lines = path.with_name(f"{path.name}.note").read_bytes().split(b"\n")
        note = json.loads(head)
        return min(len(set(lines[:-1])) * int(note["block"]), int(note["total"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 0


@dataclass
class Run:
    """Blocks in a row that one connection fetches.

    Parameters
    ----------
    have : int
        Offset of the first byte that is not here yet; at first that of a block.
    end : int or None
        Offset after the last byte; None while the size of the file is unknown.
    """

    have: int
    end: int | None

    @property
    def is_whole(self) -> bool:
        """Tell whether all of it is here."""
        return self.have == self.end


class Part:
    """The blocks of one file that are here so far.

    Parameters
    ----------
    path : Path
        Where the bytes are.
    key : str
        What they come from; a note about something else is not followed.
    block : int
        Bytes of a block.
    pinned : bool
        Whether a sha256 will be checked in the end.
    """

    def __init__(self, path: Path, key: str, block: int, *, pinned: bool) -> None:
        self._path, self._note = path, path.with_name(f"{path.name}.note")
        self._key = hashlib.sha256(os.fsencode(key)).hexdigest()
        self._block, self._pinned = block, pinned
        self.total: int | None = None
        self.validator = ""
        self.whole: set[int] = set()
        self.changed = threading.Condition()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._follow_note()

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        if kind is not None and not (self.whole and self._note.exists()):
            self._note.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)

    @property
    def have(self) -> int:
        """Return how many bytes are in whole blocks."""
        return sum(self._end(number) - number * self._block for number in self.whole)

    @property
    def count(self) -> int | None:
        """Return how many blocks the file has; None while its size is unknown."""
        return None if self.total is None else -(-self.total // self._block)

    def begin(self, total: int | None, validator: str) -> None:
        """Forget every byte, and say what is fetched from now on."""
        with self.changed:
            self.total, self.validator, self.whole = total, validator, set()
            self._note.unlink(missing_ok=True)
            if os.fstat(self._file).st_size:
                os.ftruncate(self._file, 0)
            if total is not None and total > self._block:
                self._write_note()

    def runs(self, connections: int) -> list[Run]:
        """Return what is missing, for so many connections."""
        if self.total is None:
            return [Run(0, None)]
        missing = [number for number in range(self.count or 0) if number not in self.whole]
        is_split = connections > 1 and len(missing) >= connections
        longest = min(max(len(missing) // (2 * connections), 1), _LONGEST_RUN) if is_split else len(missing)
        runs: list[Run] = []
        for number in missing:
            start, last = number * self._block, runs[-1] if runs else None
            if last and last.end == start and start - last.have < longest * self._block:
                last.end = self._end(number)
            else:
                runs.append(Run(start, self._end(number)))
        return runs

    def write(self, run: Run, chunk: bytes) -> int:
        """Write the next bytes of a run, no further than its end; return how many were taken.

        Parameters
        ----------
        run : Run
        chunk : bytes

        Returns
        -------
        int
        """
        view = memoryview(chunk)[: None if run.end is None else run.end - run.have]
        first, count = run.have // self._block, len(view)
        while view:
            written = os.pwrite(self._file, view, run.have)
            run.have, view = run.have + written, view[written:]
        for number in range(first, -(-run.have // self._block)):
            if run.have >= self._end(number):
                self._finish(number)
        return count

    def end(self, run: Run) -> None:
        """Take the end of the stream as the end of the file, whose size was not known."""
        run.end = self.total = run.have
        if run.have % self._block:
            self._finish(run.have // self._block)

    def read(self, number: int) -> Iterator[memoryview]:
        """Yield the bytes of a whole block.

        Raises
        ------
        OSError
            If they have been removed.
        """
        buffer = memoryview(bytearray(_READ_BYTES))
        offset, end = number * self._block, self._end(number)
        while offset < end:
            count = os.preadv(self._file, [buffer[: end - offset]], offset)
            if not count:
                raise OSError(errno.EIO, "another program has cut it short", str(self._path))
            yield buffer[:count]
            offset += count

    def _end(self, number: int) -> int:
        """Return the offset after the last byte of a block."""
        end = (number + 1) * self._block
        return end if self.total is None else min(end, self.total)

    def _finish(self, number: int) -> None:
        """Count a block as whole."""
        if not self._pinned and self._note.exists():
            os.fdatasync(self._file)
        with self.changed:
            self.whole.add(number)
            if self._note.exists():
                with self._note.open("ab", buffering=0) as note:
                    note.write(b"%d\n" % number)
            self.changed.notify_all()

    def _write_note(self) -> None:
        facts = {"of": self._key, "block": self._block, "total": self.total, "validator": self.validator}
        lines = [json.dumps({"schema": _SCHEMA, **facts}), *map(str, sorted(self.whole)), ""]
        aside = self._note.with_name(f"{self._note.name}.new")
        aside.write_text("\n".join(lines), encoding="ascii")
        aside.replace(self._note)

    def _follow_note(self) -> None:
        """Go on with the blocks of an earlier run, where the note can be understood."""
        try:
            head, *lines = self._note.read_bytes().split(b"\n")
            note = json.loads(head)
            total, validator = int(note["total"]), str(note["validator"])
            numbers = {int(line) for line in lines[:-1]}  # what is after the last newline was cut off by a kill
        except (OSError, ValueError, KeyError, TypeError):
            return
        if [note.get(name) for name in ("schema", "of", "block")] != [_SCHEMA, self._key, self._block]:
            return
        if not (self._pinned or validator):  # nothing would tell that the file has changed since
            return
        size, self.total, self.validator = os.fstat(self._file).st_size, total, validator
        self.whole = {number for number in numbers if 0 <= number < (self.count or 0) and self._end(number) <= size}
        self._write_note()
