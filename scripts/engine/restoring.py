"""Restore a stale step from a former result whose inputs are those of now, as a transaction, instead of running it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .errors import PipelineError
from .kept import Former, Made, Shelf, is_environment
from .ledger import evidence_of
from .staleness import MISSING, Reason, Seen, as_made, decide, edited, under
from .step import Step
from .transaction import Transaction, copy, remove
from .walk import Action, Outcome, Walk

_DAMAGED = "is damaged, and was dropped"


class Keeping:
    """What is kept around one run, or one restoring, of a step: its old result before, its new one after.

    Parameters
    ----------
    walk : Walk
    step : Step
    seen : Seen
        What was there before.
    """

    def __init__(self, walk: Walk, step: Step, seen: Seen) -> None:
        self._step, self._seen = step, seen
        self._shelf = Shelf(walk.pipeline.root, step.name)
        record = walk.record(step)
        self._record = record if isinstance(record, Seen) and is_restorable(step) else None
        self._held = self._shelf.hold(self._record, seen.targets) if self._record else []

    def let_go(self) -> None:
        """Forget what was only to be kept if it was replaced."""
        for place in self._held:
            place.unlink(missing_ok=True)

    def replaced(self, transaction: Transaction) -> None:
        """Keep the environments that a transaction is about to drop."""
        if self._record is None:
            return
        for target, place in transaction.moved():
            now, then = under([target], self._seen.targets), under([target], self._record.targets)
            if now == then and is_environment(target, then):
                self._shelf.move_in(self._record, target, place)

    def keep(self, record: Seen, found: Mapping[str, Any], seconds: float, reasons: Collection[Reason]) -> None:
        """Keep what was just made, recorded and whole."""
        if is_restorable(self._step):
            made = Made(time.time(), tuple(map(str, reasons)))
            self._shelf.keep(record, found, seconds, made)


def is_restorable(step: Step) -> bool:
    """Tell whether a step does nothing but make its targets."""
    return step.restorable and bool(step.targets)


def formers(walk: Walk, step: Step) -> Iterator[Former]:
    """Yield the former results of a step that were made from what there is now; nothing is written.

    Parameters
    ----------
    walk : Walk
    step : Step
    """
    for former in Shelf(walk.pipeline.root, step.name).formers() if is_restorable(step) else ():
        with suppress(PipelineError):  # what it read beside its dependencies cannot be read now
            now = walk.look(step, found=former.found)
            if not decide(step, now._replace(targets=former.record.targets), former.record).reasons:
                yield former


def restore(walk: Walk, step: Step, seen: Seen, say: Callable[[str], None]) -> Outcome | None:
    """Bring back a former result that fits; None where there is none, and then nothing has changed.

    What is in a target's place must be as recorded, or an edit, which is kept: anything else may be an author's.

    Parameters
    ----------
    walk : Walk
    step : Step
    seen : Seen
        What is there now.
    say : callable
        Told of a former result that is damaged.
    """
    shelf, record = Shelf(walk.pipeline.root, step.name), walk.record(step)
    for path in shelf.damaged():
        say(f"{walk.pipeline.name}: {step.name}: the record of a former result is damaged, and was dropped")
        shelf.drop(path)
    edits = edited(step, seen, record)
    names = [target for target in step.targets if target not in edits]
    now = {path: value for path, value in under(names, seen.targets).items() if value != MISSING}
    if not now.items() <= (set() if isinstance(record, Reason) else record.targets.items()):
        return None
    for former in formers(walk, step):
        keeping = Keeping(walk, step, seen)
        fault = "incomplete" if not shelf.has(former, names) else _take(walk, step, former, edits, keeping)
        if not fault:
            return Outcome(step.name, Action.RESTORED, found=former.found, made=former.made)
        keeping.let_go()
        if fault == _DAMAGED:
            shelf.drop(former.path)
        if fault != "incomplete":
            say(f"{walk.pipeline.name}: {step.name}: its former result {fault}; it runs")
    return None


def _take(walk: Walk, step: Step, former: Former, edits: Collection[str], keeping: Keeping) -> str:
    """Put a former result in place and record it, or nothing of it; return what is wrong with it then."""
    root, shelf = walk.pipeline.root, Shelf(walk.pipeline.root, step.name)
    names = [target for target in step.targets if target not in edits]
    transaction = Transaction(root, replace(step, atomic=False, proofs=()), edits)
    fault = ""
    try:
        transaction.begin()
        links = shelf.take(former, names)
        _carry_over(step, transaction)
        after = walk.look(step, fresh=True, found=former.found)
        if under(names, after.targets) != under(names, former.record.targets):
            fault = _DAMAGED
        else:
            transaction.release()
            record = as_made(tuple(edits), former.record, walk.record(step))
            walk.ledger.write(step.name, record, transaction.run, former.found, former.seconds)
    except OSError as error:
        fault = f"cannot be restored: {error.strerror}"
    except BaseException:
        transaction.roll_back()
        walk.look(step, fresh=True)
        raise
    if fault:
        transaction.roll_back()
        walk.look(step, fresh=True)
        return fault
    keeping.replaced(transaction)
    transaction.commit()
    for link in links:
        link.unlink(missing_ok=True)
    _remove_evidence(walk, step)
    return ""


def _carry_over(step: Step, transaction: Transaction) -> None:
    """Copy what does not count in a directory, such as an author's notes on it, from the old one into the new one."""
    for target, place in transaction.moved():
        for path in step.ignored:
            if path.startswith(f"{target}/") and os.path.lexists(old := place / path.removeprefix(f"{target}/")):
                copy(old, transaction.root / path)


def _remove_evidence(walk: Walk, step: Step) -> None:
    """Remove what a failure left, as far as nobody has changed it: a success would have."""
    left = walk.ledger.evidence.get(step.name, {})
    if left and evidence_of(walk.pipeline.root, step) == left:
        for path in step.evidence:
            remove(walk.pipeline.root / path)
