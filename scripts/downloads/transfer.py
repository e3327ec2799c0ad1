"""Fetch one file: resume, retry, use several connections, and hash what is on disk meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from model_side.base.files import FileEntry

from .blocks import Part, Run
from .faults import ChangedError, CutError
from .origins import Opened, Origin
from .progress import Bar


@dataclass(frozen=True)
class Tuning:
    """How persistent and how parallel a transfer is.

    Parameters
    ----------
    attempts : int
        How often in a row it may fail without progress.
    first_wait, longest_wait : float
        Seconds between attempts; doubled each time, at random below that.
    connections : int
        Most connections for one file.
    block : int
        Bytes that are noted together; a killed run loses no more for each connection.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    connections: int = 4
    block: int = 8 << 20


def fetch(origin: Origin, part: Path, tuning: Tuning, bar: Bar, *, pinned: bool) -> tuple[FileEntry, bool]:
    """Bring all bytes of `origin` to `part`; return what is there, and whether some are from an earlier run.

    Parameters
    ----------
    origin : Origin
    part : Path
        Its directory must exist. A note is kept beside it; the caller removes it when the file is in its place.
    tuning : Tuning
    bar : Bar
        What shows the progress.
    pinned : bool
        Whether the caller checks a sha256 in the end.

    Returns
    -------
    FileEntry
    bool

    Raises
    ------
    CutError
        If the network failed too often in a row; whole blocks are kept.
    StepError
        If the file cannot be had.
    """
    with Part(part, origin.uri, tuning.block, pinned=pinned) as here:
        resumed = bool(here.whole)
        for connections in (tuning.connections, *[1] * (tuning.attempts - 1)):
            try:
                return _Transfer(origin, here, tuning, bar, connections).run(), resumed
            except ChangedError:
                here.begin(None, "")
                resumed = False
        raise ChangedError(origin.shown)


def retrying(tuning: Tuning, sleep: Callable[[float], None]) -> Retrying:
    """Return what calls a function again, later and later, while it raises CutError.

    Parameters
    ----------
    tuning : Tuning
    sleep : callable of float
        Waits for so many seconds.

    Returns
    -------
    Retrying
    """
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
    """One attempt at one content of a file: connections that write runs of blocks, and a hash behind them."""

    def __init__(self, origin: Origin, part: Part, tuning: Tuning, bar: Bar, connections: int) -> None:
        self._origin, self._part, self._tuning, self._bar = origin, part, tuning, bar
        self._connections = connections
        self._is_described, self._is_shown = part.total is not None, False
        self._runs = deque(part.runs(connections))
        self._work: list[Future[None]] = []
        self._over, self._failed = threading.Event(), False
        self._fault: CutError | None = None

    def run(self) -> FileEntry:
        if not self._runs:
            self._go_on()
        with ThreadPoolExecutor(self._connections) as self._pool:
            try:
                self._connect(min(self._connections, len(self._runs)))
                sha256 = self._hash()
            finally:
                self._over.set()
        for future in self._work:
            future.result()
        if self._fault and self._runs:
            raise self._fault
        return FileEntry(self._part.total or 0, sha256)

    def _connect(self, count: int) -> None:
        started = [self._pool.submit(self._stream) for _ in range(count)]
        self._work += started
        for future in started:
            future.add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        with self._part.changed:
            self._failed = self._failed or future.exception() is not None
            if self._failed or all(other.done() for other in self._work):
                self._over.set()
            self._part.changed.notify_all()

    def _hash(self) -> str:
        """Hash block after block behind the connections, until all are hashed or a connection has failed."""
        digest = hashlib.sha256()
        for number in itertools.count():
            with self._part.changed:
                self._part.changed.wait_for(lambda: self._can_go_on(number))  # noqa: B023
            is_given_up = self._failed or (self._over.is_set() and self._runs)
            if is_given_up or number not in self._part.whole:
                break
            for chunk in self._part.read(number):
                digest.update(chunk)
        return digest.hexdigest()

    def _can_go_on(self, number: int) -> bool:
        return number in self._part.whole or number == self._part.count or self._over.is_set()

    def _stream(self) -> None:
        """Fetch one run after the other, until none is left."""
        while self._runs and not self._over.is_set():
            try:
                run = self._runs.popleft()
            except IndexError:  # another connection was quicker
                return
            try:
                while not (run.is_whole or self._over.is_set()):
                    retrying(self._tuning, self._pause)(self._continue, run)
            except CutError as error:  # its server may allow fewer connections: the others bring the rest
                self._fault = error
                self._runs.appendleft(run)
                return

    def _continue(self, run: Run) -> None:
        """Go on with a run. A cut after progress is no failure: the caller asks again at once."""
        reached = run.have
        try:
            with closing(self._ask(run)) as opened:
                self._take(run, opened)
        except CutError:
            if run.have == reached and not self._over.is_set():
                raise

    def _ask(self, run: Run) -> Opened:
        end = None if run.end == self._part.total else run.end
        opened = self._origin.open(run.have, end, self._part.validator)
        try:
            if not self._is_described:
                self._describe(run, opened)
            elif (opened.start, opened.total, opened.validator) != (run.have, self._part.total, self._part.validator):
                raise ChangedError(self._origin.shown)
            else:
                self._go_on()
        except BaseException:
            opened.close()
            raise
        return opened

    def _go_on(self) -> None:
        """Show, once, that this goes on with an earlier run's blocks: not before the server has agreed."""
        with self._part.changed:
            if not self._is_shown:
                self._bar.expect(self._part.total, self._part.have)
            self._is_shown = True

    def _describe(self, run: Run, opened: Opened) -> None:
        """Learn from the first answer what the file is, and share the rest of it out to further connections."""
        self._bar.expect(opened.total, 0)
        self._is_shown = True
        self._part.begin(opened.total, opened.validator)
        self._is_described = True
        if opened.total is not None:
            is_guarded = opened.in_ranges and opened.validator  # else nothing tells that the parts are of one content
            runs = self._part.runs(self._connections if is_guarded else 1)
            run.end = runs.pop(0).end if runs else opened.total
            self._runs.extend(runs)
            self._connect(min(self._connections - 1, len(runs)))

    def _take(self, run: Run, opened: Opened) -> None:
        for chunk in opened.chunks:
            self._bar.advance(self._part.write(run, chunk))
            if run.is_whole or self._over.is_set():
                return
        if run.end is None:
            self._part.end(run)
        elif not run.is_whole:
            raise CutError(self._origin.shown, "the connection ended before the file did")

    def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        self._over.wait(seconds)
