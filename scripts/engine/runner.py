"""Build a pipeline: run what is stale, publish whole results, record successes. Status and dry run beside it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .errors import PipelineError
from .faults import failure, refuse_touched, refuse_unfinished, unwritable
from .fingerprint import Memo
from .graph import goal_of, order, unknown_step
from .ledger import evidence_of, note_evidence, save_stat_cache
from .lock import is_held, locked, making
from .logs import Said, log_of, read_said
from .processes import Processes, terminable
from .staleness import Reason, Seen, Why, as_made, edited
from .step import Step
from .transaction import Transaction, has_leftovers, keep_copy, recover
from .walk import Action, Outcome, Pipeline, Result, Walk, not_started, would_run


def build(
    steps: Sequence[Step],
    target: str | None = None,
    root: str | Path = ".",
    *,
    force: Collection[str] = (),
    dry_run: bool = False,
    jobs: int = 1,
    restore: bool = True,
) -> Result:
    """Bring `target` up to date: run the stale steps among those that it needs; what fails shows its output on stderr.

    Parameters
    ----------
    steps : sequence of Step
    target : str, optional
        A step's name, or a path that a step writes; everything by default.
    root : path
        The directory that the steps' paths are relative to. ``.pipeline/`` in it holds the ledger.
    force : collection of str
        Steps to run whatever is seen.
    dry_run : bool
        Only say what would run; nothing is written.
    jobs : int
        How many commands may run at once.
    restore : bool
        Whether a former result is brought back, where one was made from what there is now.

    Returns
    -------
    Result
        One outcome per step; ``ok`` and ``exit_code`` tell whether all went well.

    Raises
    ------
    UsageError
        If the steps form a cycle, name an unknown step, write one target twice, or `target` is unknown.
    """
    pipeline = Pipeline(Path(root).resolve(), tuple(steps))
    builder = Builder(jobs, dry_run, tuple(force), say=lambda text: print(text, file=sys.stderr), restore=restore)
    result = builder.build_all([pipeline], target)[0]
    sys.stderr.writelines(f"{each.error.said}\n" for each in result.outcomes if each.error and each.error.said)
    return result


def status(steps: Sequence[Step], target: str | None = None, root: str | Path = ".") -> Result:
    """Return what a build would act on: the same walk, and nothing is written.

    Parameters
    ----------
    steps : sequence of Step
    target : str, optional
        A step's name, or a path that a step writes; everything by default.
    root : str or Path
        The pipeline's directory.
    """
    return build(steps, target, root, dry_run=True)


@dataclass(eq=False, repr=False)
class Builder:
    """How to build: settings, and whom to tell.

    Parameters
    ----------
    jobs : int
        How many commands may run at once, over all pipelines.
    dry_run : bool
    force : tuple of str
        Steps to run whatever is seen.
    task : str
        What this build is called where another one waits for it.
    tell : callable
        Told the pipeline and each outcome as it comes.
    say : callable
        Told what else a person should know: who holds the lock, what was undone.
    keep_hosts : bool
        Whether the hosts of steps stay for the next build, until ``processes.close()``.
    environment : mapping of str to str
        The environment variables of every command, beside those of its step.
    restore : bool
        Whether former results are brought back.
    """

    jobs: int = 1
    dry_run: bool = False
    force: tuple[str, ...] = ()
    task: str = "a build"
    tell: Callable[[Pipeline, Outcome], None] = lambda pipeline, outcome: None
    say: Callable[[str], None] = lambda text: None
    keep_hosts: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    restore: bool = True
    processes: Processes = field(init=False)

    def __post_init__(self) -> None:
        self.processes = Processes(self.jobs, self.environment, self.say)

    def build_all(self, pipelines: Sequence[Pipeline], target: str | None = None) -> list[Result]:
        """Look at several pipelines, then build those that are stale side by side.

        Where nothing of one is stale, no lock is taken and next to nothing is written. A fault of one is its own alone.
        """
        memo: Memo = {}  # the tools of one are those of another
        try:
            with terminable(self.processes):
                return self._ended([self._look(pipeline, target, memo) for pipeline in pipelines])
        finally:
            if not self.keep_hosts:
                self.processes.close()

    def _ended(self, looked: Sequence[Result | Callable[[], Result]]) -> list[Result]:
        stale = [each for each in looked if not isinstance(each, Result)]
        if len(stale) < 2 or self.jobs == 1:
            return [each if isinstance(each, Result) else each() for each in looked]
        from concurrent.futures import ThreadPoolExecutor  # not on the way to a no-op

        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                built = {each: pool.submit(each) for each in stale}
                return [each if isinstance(each, Result) else built[each].result() for each in looked]
            except BaseException:
                self.processes.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _failed(self, pipeline: Pipeline, step: str, error: PipelineError) -> Result:
        return self._told(pipeline, (Outcome(step, Action.FAILED, error=error),))

    def _told(self, pipeline: Pipeline, outcomes: tuple[Outcome, ...], seconds: float = 0.0) -> Result:
        for outcome in outcomes:
            self.tell(pipeline, outcome)
        return Result(pipeline.name, outcomes, seconds)

    def _look(self, pipeline: Pipeline, target: str | None, memo: Memo) -> Result | Callable[[], Result]:
        """Return what became of a pipeline, or what builds it where something of it is stale."""
        if pipeline.fault:
            return self._failed(pipeline, target or "declaration", pipeline.fault)
        started, known = time.monotonic(), [step.name for step in pipeline.steps]
        if unknown := [name for name in self.force if name not in known]:
            raise unknown_step(unknown[0], known)
        steps = order(pipeline.steps, goal_of(pipeline.steps, target))
        walk = Walk(pipeline, steps, self.force, memo=memo)
        outcomes = walk.go(would_run)
        if walk.ledger.trouble:
            self.say(f"{pipeline.name}: {walk.ledger.trouble}; every step counts as never built")
        settled = all(outcome.action is Action.UP_TO_DATE for outcome in outcomes) and not walk.interrupted
        unusable = any(outcome.action is Action.FAILED for outcome in outcomes) and not is_held(pipeline.root)
        seconds = time.monotonic() - started
        if self.dry_run or unusable or (settled and not has_leftovers(pipeline.root)):
            if not self.dry_run:
                outcomes = tuple(map(not_started, outcomes))  # where one step cannot run, none is started
                save_stat_cache(pipeline.root, walk.cache)
            return self._told(pipeline, outcomes, seconds)
        stale = [outcome.step for outcome in outcomes if outcome.reasons]
        return lambda: self._build(walk, stale, seconds)

    def _build(self, looked: Walk, stale: Collection[str], seconds: float) -> Result:
        started, pipeline = time.monotonic() - seconds, looked.pipeline
        try:
            result = self._build_stale(looked, stale)
        except OSError as fault:
            step = next(iter(stale), looked.steps[0].name)
            result = self._failed(pipeline, step, unwritable(fault, pipeline.root))
        return result._replace(seconds=time.monotonic() - started)

    def _build_stale(self, looked: Walk, stale: Collection[str]) -> Result:
        pipeline, steps = looked.pipeline, looked.steps
        made = None if pipeline.root.is_dir() else self._make_root(pipeline, steps[0])
        if made and made.error:
            skipped = [Outcome(step.name, Action.SKIPPED, note=f"{made.step} failed") for step in steps[1:]]
            return self._told(pipeline, (made, *skipped))
        with locked(pipeline.root, self.task, self.say, lambda: self.processes.stopped):
            walk = Walk(pipeline, steps, self.force, lambda outcome: self.tell(pipeline, outcome))
            walk.interrupted, walk.stop = recover(pipeline.root, walk.ledger), self.processes.stop
            for name in walk.interrupted:
                self.say(f"{pipeline.name}: {name} was cut off last time; its partial output was rolled back")
            walk.is_stopped, self.processes.is_outdated = lambda: self.processes.stopped, walk.is_outdated
            walk.cache.adopt(looked.cache)
            walk.warm = lambda: self.processes.warm([each for each in steps if each.name in stale], pipeline.root)
            try:
                return Result(pipeline.name, walk.go(lambda *stale: self._act(walk, made, *stale), self.jobs))
            finally:
                save_stat_cache(pipeline.root, walk.cache)

    def _make_root(self, pipeline: Pipeline, step: Step) -> Outcome | None:
        """Run the first step where there is no directory yet; None where another build has made it meanwhile."""
        from tempfile import TemporaryDirectory  # not on the way to a no-op

        started = time.monotonic()
        with making(pipeline.root.parent), TemporaryDirectory() as scratch:
            if pipeline.root.is_dir():
                return None
            log = Path(scratch, f"{step.name}.log")
            code = self.processes.run(step, pipeline.root, os.urandom(8).hex(), log)
            said = read_said(log)
            error = failure(step, code, log, said, stays=False) if code else None
        action, reasons = Action.FAILED if error else Action.RAN, (Reason(Why.TARGET_MISSING, pipeline.root.name),)
        return Outcome(step.name, action, reasons, time.monotonic() - started, error, told=said.told, found=said.found)

    def _act(self, walk: Walk, made: Outcome | None, step: Step, seen: Seen, reasons: tuple[Reason, ...]) -> Outcome:
        """Act of a build: restore or run a stale step; whatever goes wrong, its old targets and its record stand."""
        if made and step.name == made.step:
            walk.ledger.write(step.name, walk.look(step, fresh=True), "", made.found, made.seconds)
            return made
        from .restoring import restore  # not on the way to a no-op

        started, outcome = time.monotonic(), None
        self.processes.drop(walk.pipeline.root, step.targets)
        try:
            if self.restore and step.name not in self.force:
                outcome = restore(walk, step, seen, self.say)
            if not outcome:
                said = self._transact(walk, step, seen, reasons)
                outcome = Outcome(step.name, Action.RAN, told=said.told, found=said.found)
        except (PipelineError, OSError) as fault:
            error = fault if isinstance(fault, PipelineError) else unwritable(fault, walk.pipeline.root)
            outcome = Outcome(step.name, Action.FAILED, error=error, found=error.found)
        return outcome._replace(reasons=reasons, seconds=time.monotonic() - started)

    def _transact(self, walk: Walk, step: Step, seen: Seen, reasons: tuple[Reason, ...]) -> Said:
        from .restoring import Keeping  # not on the way to a no-op

        record = walk.record(step)
        kept = edited(step, seen, record)
        if step.name in self.force and not step.atomic:
            for target in kept:
                copy = keep_copy(walk.pipeline.root / target)
                self.say(f"{walk.pipeline.name}: {target} was edited: the edit is kept as {copy.name}")
            kept = ()
        transaction, keeping = Transaction(walk.pipeline.root, step, kept), Keeping(walk, step, seen)
        there = evidence_of(walk.pipeline.root, step)
        try:
            transaction.begin()
            for later in walk.steps:
                if later.preparation and later.preparation.beside == step.name:
                    log = log_of(walk.pipeline.root, f"{later.name}-ahead")
                    self.processes.prepare(later, later.preparation, walk.pipeline.root, log)
            walk.warm()
            before, started = walk.stamps(seen), time.time_ns()
            said = self.run_command(walk.pipeline.root, step, transaction.run)
            seconds = (time.time_ns() - started) / 1e9
            after = walk.look(step, fresh=True, found=said.found)
            refuse_unfinished(step, seen, after)
            refuse_touched(step, before, walk.stamps(after), started)
            transaction.release()
            walk.ledger.write(step.name, as_made(kept, after, record), transaction.run, said.found, seconds)
        except BaseException:
            transaction.roll_back()
            keeping.let_go()
            walk.look(step, fresh=True)
            note_evidence(walk.ledger, walk.pipeline.root, step, there)
            raise
        keeping.replaced(transaction)
        transaction.commit()
        if not kept:  # beside an edit, the record names what was made of other inputs
            keeping.keep(walk.ledger.records[step.name], said.found, seconds, reasons)
        return said

    def run_command(self, root: Path, step: Step, run: str) -> Said:
        """Run a step's command, and keep what it says in its log; a PipelineError with the end of that where it fails.

        Parameters
        ----------
        root : Path
            The pipeline's directory.
        step : Step
        run : str
            The run's own name, by which its processes are known.
        """
        log = log_of(root, step.name)
        code, said = self.processes.run(step, root, run, log), read_said(log)
        if code:
            raise failure(step, code, log, said)
        return said
