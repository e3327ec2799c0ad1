"""Remove what steps made, and nothing else: a target that is not as its step made it may be an author's, and stays."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType

from .fingerprint import StatCache, scan
from .ledger import Ledger, load_ledger, load_stat_cache
from .lock import locked
from .staleness import MISSING, Reason
from .step import STATE_DIRECTORY, STATE_NAMES, Step
from .transaction import recover, remove
from .walk import Pipeline


def clean(
    pipeline: Pipeline,
    steps: Collection[str],
    *,
    authors: Mapping[str, str] = MappingProxyType({}),
    state: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Remove the targets of some steps.

    Parameters
    ----------
    pipeline : Pipeline
    steps : collection of str
        The steps whose targets go.
    authors : mapping of str to str
        Targets that stay, and why.
    state : bool
        Whether the ledger, its caches and logs go, too.
    dry_run : bool
        Only list.

    Returns
    -------
    list of str
        A line for each path: removed, or kept and why.
    """
    if not pipeline.root.is_dir():
        return []
    if dry_run:
        return list(_lines(pipeline, steps, authors, state=state, act=False))
    with locked(pipeline.root, "invoke clean", lambda text: print(text, file=sys.stderr)):
        recover(pipeline.root, load_ledger(pipeline.root))
        lines = list(_lines(pipeline, steps, authors, state=state, act=True))
    if state:
        for name in STATE_NAMES:
            remove(pipeline.root / STATE_DIRECTORY / name)
        with suppress(OSError):  # what others keep there stays
            (pipeline.root / STATE_DIRECTORY).rmdir()
    return lines


def _lines(
    pipeline: Pipeline, steps: Collection[str], authors: Mapping[str, str], *, state: bool, act: bool
) -> Iterator[str]:
    ledger, cache = load_ledger(pipeline.root), load_stat_cache(pipeline.root)
    verb = "removed" if act else "would remove"
    for step in reversed(pipeline.steps):
        for target in (*step.targets, *step.evidence) if step.name in steps else ():
            keep = _why_kept(pipeline, step, target, ledger, cache)
            if keep is None:
                continue
            keep = authors.get(target, keep)
            if not keep and act:
                remove(pipeline.root / target)
            yield f"{pipeline.name}: kept {target}: {keep}" if keep else f"{pipeline.name}: {verb} {target}"
    if state:
        yield f"{pipeline.name}: {verb} the records in {STATE_DIRECTORY}"


def _why_kept(pipeline: Pipeline, step: Step, target: str, ledger: Ledger, cache: StatCache) -> str | None:
    """Return why a target stays, "" where it may go, None where it is not there."""
    now = scan(str(pipeline.root / target), target, cache, step.ignored)
    if now.get(target) == MISSING:
        return None
    record = ledger.record(step.name)
    if target in step.evidence:
        made = ledger.evidence.get(step.name, {})
    else:
        made = {} if isinstance(record, Reason) else record.targets
    then = {path: value for path, value in made.items() if path in now or path.startswith(target + "/")}
    if not then:
        return "no record says that a step made it"
    return "" if now == then else "it is not as its step made it, so it may be yours"
