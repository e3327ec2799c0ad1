"""Fetch one file: resume, retry, fetch ranges side by side where that is faster, and hash what is on disk meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from model_side.base.files import FileEntry

from .midstate import BLOCK
from .origins import ChangedError, CutError, Opened, Origin
from .part import STRIDE, Part, Piece

# So many bytes are hashed in one or two seconds, and a person who interrupts waits no longer.
_CATCH_UP = 2 << 30


@dataclass(frozen=True)
class Tuning:
    """How persistent and how parallel a transfer is.

    Parameters
    ----------
    attempts : int
        How often in a row it may fail without progress.
    first_wait, longest_wait : float
        Seconds between attempts; doubled each time, at random below that.
    streams : int
        Most connections for one file.
    fast_enough : float
        Bytes per second above which no connection is added.
    gain : float
        Factor by which a further connection must have raised the rate before one more is tried.
    piece : int
        Fewest bytes worth a connection.
    look_every : float
        Seconds between two looks at the rate.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    streams: int = 6
    fast_enough: float = 100e6
    gain: float = 1.15
    piece: int = 16 << 20
    look_every: float = 1.0


@dataclass(frozen=True)
class Watch:
    """What a transfer tells others.

    Parameters
    ----------
    expect : callable of int or None, int
        Called with the size of the whole file and the bytes that are here already; it raises to stop the transfer.
        Negative ones take back.
    arrived : callable of int
        Called with the number of bytes that arrived; a negative one takes back.
    is_stopped : callable
        Tells whether to give up; what has arrived is kept.
    """

    expect: Callable[[int | None, int], None] = lambda total, have: None
    arrived: Callable[[int], None] = lambda count: None
    is_stopped: Callable[[], bool] = lambda: False


def fetch(origin: Origin, part: Path, tuning: Tuning, watch: Watch, *, pinned: bool) -> tuple[FileEntry, bool]:
    """Bring all bytes of `origin` to `part`; return what is there, and whether it was resumed from an earlier run.

    Parameters
    ----------
    origin : Origin
    part : Path
    tuning : Tuning
    watch : Watch
    pinned : bool
        Whether a sha256 will be held against the bytes.

    Raises
    ------
    CutError
        If the network failed too often in a row; what has arrived is kept.
    StepError
        If the file cannot be had.
    """
    with Part(part, origin.key, pinned=pinned) as here:
        resumed = here.resumed
        for attempt in range(tuning.attempts):
            try:
                fact = _Transfer(origin, here, tuning, watch, may_split=attempt == 0).run()
            except ChangedError:
                if here.total is None:
                    watch.arrived(-here.have)
                else:
                    watch.expect(-here.total, -here.have)
                here.restart()
                resumed = False
            else:
                here.forget_note()
                return fact, resumed
    raise ChangedError(origin.shown)


def retrying(tuning: Tuning, sleep: Callable[[float], None]) -> Retrying:
    """Return what calls a function again, later and later, while it raises CutError."""
    backoff = wait_random_exponential(tuning.first_wait, tuning.longest_wait)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(backoff(state), error.wait if isinstance(error, CutError) else 0.0)

    return Retrying(
        stop=stop_after_attempt(tuning.attempts),
        wait=wait,
        retry=retry_if_exception_type(CutError),
        sleep=sleep,
        reraise=True,
    )


class _Transfer:
    """One attempt at one content of a file: streams that write pieces, and a thread that hashes behind them."""

    def __init__(self, origin: Origin, part: Part, tuning: Tuning, watch: Watch, *, may_split: bool) -> None:
        self._origin, self._part, self._tuning, self._watch = origin, part, tuning, watch
        self._described = part.resumed and part.total is not None
        self._in_ranges, self._may_split = self._described, may_split
        self._is_over = threading.Event()
        self._open: dict[int, Opened] = {}
        self._work: list[Future[None]] = []

    def run(self) -> FileEntry:
        if self._described:
            self._watch.expect(self._part.total, self._part.have)
        with ThreadPoolExecutor(self._tuning.streams + 1) as pool:
            try:
                self._start(pool, self._hash)
                if piece := self._part.claim():
                    self._start(pool, self._stream, piece)
                self._oversee(pool)
            finally:
                self._stop()
        for future in self._work:
            future.result()
        if not self._part.is_whole:
            raise CutError(self._origin.shown, "interrupted")
        return FileEntry(self._part.total or 0, self._part.digest.hexdigest())

    def _start(self, pool: ThreadPoolExecutor, work: Callable[..., None], *arguments: object) -> None:
        future = pool.submit(work, *arguments)
        self._work.append(future)
        future.add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        if future.exception() is not None or all(other.done() for other in self._work):
            self._stop()

    def _stop(self) -> None:
        """End every stream, also one whose server has fallen silent."""
        self._is_over.set()
        for opened in list(self._open.values()):
            opened.interrupt()
        with self._part.moved:
            self._part.moved.notify_all()

    def _oversee(self, pool: ThreadPoolExecutor) -> None:
        """Wait for the end, and add a connection while the rate is low and the last one helped."""
        rate, before, started = 0.0, self._part.have, time.monotonic()
        growing = self._may_split
        while not self._is_over.wait(self._tuning.look_every):
            if self._watch.is_stopped():
                self._part.save()  # now: a stream that waits for a silent server may never end
                return
            have, now = self._part.have, time.monotonic()
            if have == before:
                continue  # Not answered yet, or stalled: the rate is not known.
            last, rate = rate, (have - before) / (now - started)
            before, started = have, now
            growing = growing and rate > last * self._tuning.gain
            if growing and self._in_ranges and rate < self._tuning.fast_enough:
                self._add_stream(pool)

    def _add_stream(self, pool: ThreadPoolExecutor) -> None:
        busy = sum(not future.done() for future in self._work) - 1
        if busy < self._tuning.streams and (piece := self._part.claim() or self._part.split(self._tuning.piece)):
            self._start(pool, self._stream, piece)

    def _stream(self, first: Piece) -> None:
        """Fetch one piece after the other, until none is left."""
        piece: Piece | None = first
        while piece is not None:
            while not piece.is_whole:
                if self._is_over.is_set():
                    return
                retrying(self._tuning, self._pause)(self._continue, piece)
            piece = self._part.claim()

    def _continue(self, piece: Piece) -> None:
        """Go on with a piece. A cut after progress is no failure: the caller asks again at once."""
        if self._is_over.is_set():
            return
        reached = piece.have
        try:
            with closing(self._ask(piece)) as opened:
                self._open[id(opened)] = opened
                try:
                    if not self._is_over.is_set():
                        self._take(piece, opened)
                finally:
                    del self._open[id(opened)]
        except CutError:
            if piece.have == reached:
                raise

    def _ask(self, piece: Piece) -> Opened:
        only = len(self._part.pieces) == 1
        opened = self._origin.open(piece.have, None if only else piece.end, self._part.validator)
        try:
            if not self._described:
                self._describe(opened)
            elif not self._continues(opened, piece.have):
                raise ChangedError(self._origin.shown)
        except BaseException:
            opened.close()
            raise
        return opened

    def _describe(self, opened: Opened) -> None:
        self._watch.expect(opened.total, 0)
        self._part.describe(opened.total, opened.validator)
        self._described, self._in_ranges = True, opened.in_ranges

    def _continues(self, opened: Opened, have: int) -> bool:
        part = self._part
        return opened.start == have and (opened.total, opened.validator) == (part.total, part.validator)

    def _take(self, piece: Piece, opened: Opened) -> None:
        for chunk in opened.chunks:
            self._watch.arrived(self._part.write(piece, chunk))
            if piece.is_whole or self._is_over.is_set():
                return
        if self._is_over.is_set():
            return  # Interrupted: this is not the end of the file.
        if piece.end is None:
            self._part.finish(piece)
        elif not piece.is_whole:
            raise CutError(self._origin.shown, "the connection ended before the file did")

    def _hash(self) -> None:
        """Hash behind the streams, from the page cache; at an early end, what a later run would else read again."""
        while True:
            with self._part.moved:
                self._part.moved.wait_for(self._can_hash)
                ready = self._part.front - self._part.hashed
            is_early = self._is_over.is_set() and not self._part.is_whole
            if not ready or (is_early and not BLOCK <= ready <= _CATCH_UP):
                return
            self._part.hash_next()

    def _can_hash(self) -> bool:
        return self._is_over.is_set() or self._part.is_whole or self._part.front - self._part.hashed >= STRIDE

    def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        self._is_over.wait(seconds)
