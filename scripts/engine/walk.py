"""Walk a pipeline in order: read and decide, and hand each stale step to an acting function, that of a build or not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from .errors import PipelineError, UsageError
from .fingerprint import Memo, Stamp, StatCache, see
from .graph import Ready, check
from .ledger import Ledger, load_ledger, load_stat_cache
from .lock import holder
from .logs import inputs_of
from .staleness import MISSING, Reason, Seen, Why, decide
from .step import Step, overlaps
from .transaction import interrupted

_LOOK_SECONDS = 1.0  # how often a walk that waits for commands asks whether it was interrupted


class Action(StrEnum):
    """What was done about a step: the closed list."""

    RAN = "ran"
    RESTORED = "restored"
    UP_TO_DATE = "up-to-date"
    WOULD_RUN = "would-run"
    FAILED = "failed"
    SKIPPED = "skipped"


class Outcome(NamedTuple):
    """What became of one step.

    ``told`` is for a person, ``found`` for a program; ``made`` says when what was restored was made (s), and why.
    """

    step: str
    action: Action
    reasons: tuple[Reason, ...] = ()
    seconds: float = 0.0
    error: PipelineError | None = None
    note: str = ""
    told: str = ""
    found: Mapping[str, Any] = MappingProxyType({})
    made: tuple[float, tuple[str, ...]] | None = None

    @property
    def state(self) -> str:
        """Return what a status calls it: up to date, stale, pending (an earlier step comes first), or broken."""
        if self.error is not None:
            return "broken"
        if not self.reasons:
            return "up to date" if self.action is Action.UP_TO_DATE else "pending"
        return "pending" if all(reason.code is Why.UPSTREAM for reason in self.reasons) else "stale"


STOPPED = (Action.FAILED, Action.SKIPPED)


class Result(NamedTuple):
    """What became of a pipeline, in the order of its steps, and how many seconds that took from start to end."""

    name: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Tell whether nothing failed."""
        return not any(outcome.action in STOPPED for outcome in self.outcomes)

    @property
    def up_to_date(self) -> bool:
        """Tell whether nothing had to run, or would have to."""
        return all(outcome.action is Action.UP_TO_DATE for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """Return 0, or the code of the first failure: 1 for failed work, 2 for an invalid request."""
        return next((outcome.error.exit_code for outcome in self.outcomes if outcome.error), 0 if self.ok else 1)


@dataclass(frozen=True)
class Pipeline:
    """Steps with the directory that their paths are relative to.

    The first step may make that directory: where there is none yet, that step runs before anything is kept in it.
    ``fault`` says why the steps of a pipeline could not even be told; ``before`` names the steps directly before each.
    """

    root: Path
    steps: tuple[Step, ...]
    name: str = ""
    fault: PipelineError | None = None
    before: Mapping[str, frozenset[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "before", check(self.steps))


Act = Callable[[Step, Seen, tuple[Reason, ...]], Outcome]


@dataclass(eq=False, repr=False)
class Walk:
    """One walk over a pipeline's steps, with what it knows of them.

    Parameters
    ----------
    pipeline : Pipeline
    steps : sequence of Step
        Those to walk, in order.
    force : collection of str
        Steps that are stale whatever is seen.
    tell : callable
        Told each outcome as it comes.
    stop : callable
        Ends what the acting function started; called when the walk is interrupted.
    is_stopped : callable
        Tells whether that was so.
    warm : callable
        Called when a command is about to run.
    interrupted : collection of str
        Steps whose last run was cut off and undone; by default those that the package's journals name.
    memo : Memo
        What was looked at already, by this walk or others at the same moment.
    """

    pipeline: Pipeline
    steps: Sequence[Step]
    force: Collection[str] = ()
    tell: Callable[[Outcome], None] = lambda outcome: None
    stop: Callable[[], None] = lambda: None
    is_stopped: Callable[[], bool] = lambda: False
    warm: Callable[[], None] = lambda: None
    interrupted: Collection[str] = ()
    memo: Memo = field(default_factory=dict)
    ledger: Ledger = field(init=False)
    cache: StatCache = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = load_ledger(self.pipeline.root)
        self.cache = load_stat_cache(self.pipeline.root)
        self.interrupted = self.interrupted or interrupted(self.pipeline.root)
        self._before = self.pipeline.before
        self._by_name = {step.name: step for step in self.steps}
        self._looked: dict[str, tuple[Step, Collection[str], Seen]] = {}
        self._guard = threading.Lock()

    def look(self, step: Step, *, fresh: bool = False, found: Mapping[str, Any] | None = None) -> Seen:
        """Read what `step` depends on and has made, again where `fresh`; `found` tells what else it read.

        By default that is what its last success told.
        """
        with self._guard:
            told = self.ledger.found.get(step.name, {}) if found is None else found
            inputs = inputs_of(told, step) if "inputs" in told else ()
            if fresh:
                self.memo.clear()
                self.cache.adopt(load_stat_cache(self.pipeline.root))
            seen = see(step, str(self.pipeline.root), self.cache, self.memo, inputs)
            self._looked.setdefault(step.name, (step, inputs, seen))
            return seen

    def is_outdated(self) -> bool:
        """Tell whether a step that was looked at would read something else by now."""
        with self._guard:
            root, memo = str(self.pipeline.root), Memo()
            try:
                looked = ((see(step, root, self.cache, memo, more), old) for step, more, old in self._looked.values())
                return any((now.dependencies, now.inputs) != (old.dependencies, old.inputs) for now, old in looked)
            except UsageError:  # it can no longer be read
                return True

    def stamps(self, seen: Seen) -> dict[str, Stamp]:
        """Return what each file and directory that a step reads was like when it was looked at last."""
        with self._guard:
            names = (*seen.dependencies, *seen.tools, *seen.inputs)
            return {name: self.cache.stamps[name] for name in names if name in self.cache.stamps}

    def record(self, step: Step) -> Seen | Reason:
        """Return the step's record, or why there is none."""
        return self.ledger.record(step.name)

    def judge(self, step: Step, earlier: Mapping[str, Outcome]) -> tuple[Seen, tuple[Reason, ...]]:
        """Read and decide; no reasons means up to date."""
        seen, record = self.look(step), self.record(step)
        coming = [name for name in sorted(self._before[step.name]) if earlier[name].action is Action.WOULD_RUN]
        _refuse_unusable(step, seen, record, self.pipeline.root, self._made_by(coming))
        known = self._cut_off() if step.name in self.interrupted else decide(step, seen, record).reasons
        forced = (Reason(Why.FORCED),) if step.name in self.force else ()
        ahead = (Reason(Why.UPSTREAM, name) for name in coming)
        reasons = (*forced, *known, *ahead)
        if reasons and step.refusal and (why_not := step.refusal()):
            raise UsageError(f"{self.pipeline.root.name}", why_not)
        return seen, reasons

    def _cut_off(self) -> tuple[Reason]:
        at_work = holder(self.pipeline.root)
        return (Reason(Why.RUNNING, at_work) if at_work else Reason(Why.INTERRUPTED),)

    def _made_by(self, names: Collection[str]) -> tuple[str, ...]:
        """Return what these steps will write; where there is no directory yet, the first step may write anything."""
        if not self.pipeline.root.is_dir():
            return ("",)
        return tuple(target for name in names for target in self._by_name[name].targets)

    def go(self, act: Act, jobs: int = 1) -> tuple[Outcome, ...]:
        """Walk: each step as soon as those before it are done; what follows a failure is skipped."""
        done: dict[str, Outcome] = {}
        ready = Ready(self.steps, self._before)
        running: dict[Future[Outcome], Step] = {}

        def finish(outcome: Outcome) -> None:
            done[outcome.step] = outcome
            ready.done(outcome.step)
            self.tell(outcome)

        with _threads(jobs) as pool:
            try:
                while ready or running:
                    postponed: list[Step] = []
                    while ready:
                        step = ready.pop()
                        if step.apart and any(other.apart for other in running.values()) and step.apart():
                            postponed.append(step)
                            continue
                        outcome = self._settle(step, done)
                        if isinstance(outcome, Outcome):
                            finish(outcome)
                        elif pool:
                            running[pool.submit(act, step, *outcome)] = step
                        else:
                            finish(act(step, *outcome))
                    ready.postpone(postponed)
                    if running:
                        for future in wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
                            del running[future]
                            finish(future.result())
                    if self.is_stopped():
                        raise KeyboardInterrupt
            except BaseException:
                self.stop()  # before the pool waits for its threads
                raise
        return tuple(done[step.name] for step in self.steps)

    def _settle(self, step: Step, done: Mapping[str, Outcome]) -> Outcome | tuple[Seen, tuple[Reason, ...]]:
        """Return the outcome of a step that need not run, or what is needed to run it."""
        failed = sorted(name for name in self._before[step.name] if done[name].action in STOPPED)
        if failed:
            return Outcome(step.name, Action.SKIPPED, note=f"{failed[0]} {done[failed[0]].action}")
        try:
            seen, reasons = self.judge(step, done)
        except PipelineError as error:
            return Outcome(step.name, Action.FAILED, error=error)
        found = self.ledger.found.get(step.name, {})
        return (seen, reasons) if reasons else Outcome(step.name, Action.UP_TO_DATE, found=found)


def _threads(jobs: int) -> AbstractContextManager[Any]:
    if jobs == 1:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor  # not on the way to a no-op

    return ThreadPoolExecutor(jobs)


def would_run(step: Step, seen: Seen, reasons: tuple[Reason, ...]) -> Outcome:
    """Act of a status and of a dry run: nothing happens."""
    return Outcome(step.name, Action.WOULD_RUN, reasons)


def not_started(outcome: Outcome) -> Outcome:
    """Return what a build makes of a stale step where another one cannot run."""
    stale = outcome.action is Action.WOULD_RUN
    return outcome._replace(action=Action.SKIPPED, note="not started") if stale else outcome


def _refuse_unusable(step: Step, seen: Seen, record: Seen | Reason, root: Path, coming: Collection[str]) -> None:
    """Refuse a dependency that is missing, or that was a file and is a directory now, or the other way round."""
    for name in step.dependencies:
        missing = seen.dependencies.get(name) == MISSING
        if missing and not any(target == "" or overlaps(target, name) for target in coming):
            raise UsageError(
                f"{root.name}/{name}", "it is missing", advice=f"Step {step.name!r} reads it: restore or write it."
            )
    then = {} if isinstance(record, Reason) else record.dependencies
    for name in step.dependencies:
        was, now = (("a file" * (name in at) or "a directory" * (f"{name}/" in at)) for at in (then, seen.dependencies))
        if was and now and was != now and seen.dependencies.get(name) != MISSING:
            raise UsageError(f"{root.name}/{name}", "wrong kind", expected=was, got=now)
