"""Units on workers of this machine: one that dies or hangs is replaced, and its unit is tried once more alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from model_side.base.errors import StepError

from .worker import Crew, Unit, Worker

AHEAD = 3  # units that a worker has at a time: it never waits for the next
_TICK = 1.0  # seconds, after which progress is shown


class Done(NamedTuple):
    """What became of a unit.

    Parameters
    ----------
    number : int
        Of the unit.
    answer : mapping
        What the worker says; of one that died ``kind``, ``error`` and ``traceback``.
    worker : str
    """

    number: int
    answer: dict[str, Any]
    worker: str


def run_pool(crew: Crew, units: Iterator[Unit], count: int) -> Iterator[Done | None]:
    """Predict units on so many workers; yield what becomes of each, and None now and then.

    Parameters
    ----------
    crew : Crew
    units : iterator of Unit
    count : int
        Of workers.

    Raises
    ------
    StepError
        If the model cannot be loaded.
    """
    suspects: list[Unit] = []
    yield from _Shift(crew, units, count, AHEAD, suspects).run()
    if suspects:  # alone: no other copy of the model is loaded
        yield from _Shift(crew, iter(suspects), 1, 1, None).run()


class _Shift:
    """Some workers and their units; `suspects` learns those that ended a worker, unless that is their last try."""

    def __init__(self, crew: Crew, units: Iterator[Unit], count: int, ahead: int, suspects: list[Unit] | None) -> None:
        self._crew, self._units, self._count, self._ahead, self._suspects = crew, units, count, ahead, suspects
        self._again = deque[Unit]()
        self._workers: dict[Any, Worker] = {}
        self._started = 0

    def run(self) -> Iterator[Done | None]:
        """Yield what becomes of each unit, and None where nothing did for a while."""
        try:
            while self._fill():
                timeout = min(worker.deadline for worker in self._workers.values()) - time.monotonic()
                ready = wait(list(self._workers), max(0.0, min(_TICK, timeout)))
                for channel in ready:
                    yield self._receive(self._workers[channel])
                if not ready:
                    yield None
                yield from self._overdue()
        finally:
            for worker in self._workers.values():
                worker.stop()

    def _next(self) -> Unit | None:
        return self._again.popleft() if self._again else next(self._units, None)

    def _fill(self) -> bool:
        """Give workers units, as evenly as they come; tell whether any is left or in flight."""
        for depth in range(1, self._ahead + 1):
            for worker in [*self._workers.values(), *[None] * (self._count - len(self._workers))]:
                if worker is not None and len(worker.queue) >= depth:
                    continue
                if (unit := self._next()) is None:
                    return any(each.queue for each in self._workers.values())
                (worker or self._start()).send(unit)
        return True

    def _start(self) -> Worker:
        self._started += 1
        worker = Worker(self._crew, str(self._started) if self._suspects is not None else f"alone-{self._started}")
        self._workers[worker.channel] = worker
        return worker

    def _receive(self, worker: Worker) -> Done | None:
        try:
            received = worker.receive()
        except EOFError:
            del self._workers[worker.channel]
            return self._lost(worker, "died", worker.ended())
        return Done(received[0].number, received[1], worker.name) if received else None

    def _overdue(self) -> Iterator[Done | None]:
        for worker in list(self._workers.values()):
            if worker.deadline < time.monotonic():
                del self._workers[worker.channel]
                worker.stop()
                yield self._lost(worker, "time limit", f"it took longer than {self._crew.seconds:g} s (--time-limit)")

    def _lost(self, worker: Worker, kind: str, error: str) -> Done | None:
        """Take back the units of a worker that has ended; return the end of the one that it was at, if it is one."""
        if not worker.is_ready:
            advice = "Where memory is short, take fewer --workers."
            raise StepError("the model", "loading it failed", got=error, advice=advice, author_traceback=worker.said())
        if not worker.queue:
            return None
        unit, *others = worker.queue
        self._again.extendleft(reversed(others))
        if self._suspects is not None:
            self._suspects.append(unit)
            return None
        return Done(unit.number, {"kind": kind, "error": error, "traceback": worker.said()}, worker.name)
