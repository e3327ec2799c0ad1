"""One run over all sources of a package: look, decide, fetch, record."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.ledger import save_stat_cache
from model_side.base.errors import ReportedError, StepError, UsageError
from model_side.base.redact import redact

from .bring import Brought, bring
from .cache import Cache
from .command import marker_of
from .content import digest, look, remember
from .declaration import DECLARATION, Source
from .exclusive import alone
from .faults import WrongBytesError, foreign, missing, redacted
from .fetchers import Workshop, is_at_hand
from .leftovers import begin, settle
from .plan import Verdict, Why, decide
from .progress import Progress, amount
from .record import entry_of, write_record
from .scene import Scene, read_scene
from .space import Space
from .transfer import Tuning

# So long an interrupted run waits for its transfers to note what is here; a silent server may hold one up for minutes.
_GRACE_SECONDS = 3.0


@dataclass(frozen=True)
class Settings:
    """How a run goes about it.

    Parameters
    ----------
    cache : Path
        Where the shared cache is.
    lock : bool
        Whether a source without sha256 is fetched, to fill it in.
    refresh : bool
        Whether mutable sources are fetched again.
    offline : bool
        Whether to fail at once where a network would be needed.
    jobs : int
        How many sources, and how many files of a directory, at once.
    tuning : Tuning
    """

    cache: Path
    lock: bool = False
    refresh: bool = False
    offline: bool = False
    jobs: int = 4
    tuning: Tuning = field(default_factory=Tuning)


@dataclass(frozen=True)
class Outcome:
    """What became of one source.

    Parameters
    ----------
    source : Source
    action : str
        "present", "fetched", "from cache", "ran" or "failed".
    why : Why
    sha256 : str
        Digest of what the source names; empty if it failed.
    size : int
        Bytes in model_data/.
    error : ReportedError or None
    """

    source: Source
    action: str
    why: Why
    sha256: str = ""
    size: int = 0
    error: ReportedError | None = None


def run(package: Path, settings: Settings, progress: Progress) -> list[Outcome]:
    """Bring all that is missing or wrong, and return what became of each source, as declared.

    A source that fails does not keep the others from being brought and recorded.

    Raises
    ------
    UsageError
        If the declaration is at fault, or names something that cannot be had as put.
    """
    if settings.refresh and settings.offline:
        raise UsageError("--refresh", "it does not go with --offline", advice="Leave one of them out.")
    scene = read_scene(package)
    _check_pins(scene, settings)
    _warn(scene.sources, progress)
    verdicts = _decide(scene, settings)
    if any(verdict.why is not Why.PRESENT for verdict in verdicts):
        with alone(package, progress.say):
            save_stat_cache(package, scene.stats)
            scene = read_scene(package)
            return _fetch_all(scene, _decide(scene, settings), settings, progress)
    save_stat_cache(package, scene.stats)
    return [_present(verdict, scene) for verdict in verdicts]


def _check_pins(scene: Scene, settings: Settings) -> None:
    bare = [source for source in scene.sources if not (source.sha256 or source.mutable or source.command)]
    if bare and not settings.lock:
        raise UsageError(
            str(scene.package / DECLARATION),
            f"no sha256 for {', '.join(source.name for source in bare)}",
            advice="Run `invoke download-data --lock` once to fill it in from what is fetched, "
            "or accept any content with `mutable = true`.",
        )


def _warn(sources: Sequence[Source], progress: Progress) -> None:
    for source in sources:
        if source.mutable and not source.sha256:
            progress.say(f"warning: {source.name}: mutable, without sha256: any content of {source.shown} is accepted")


def _decide(scene: Scene, settings: Settings) -> list[Verdict]:
    return [
        decide(source, scene.found[source.paths], scene.entries.get(source.paths), refresh=settings.refresh)
        for source in scene.sources
    ]


def _present(verdict: Verdict, scene: Scene) -> Outcome:
    files, entry = scene.found[verdict.source.paths], scene.entries[verdict.source.paths]
    return Outcome(verdict.source, "present", verdict.why, entry.sha256, sum(fact.size for fact in files.values()))


def _record_adopted(scene: Scene, verdicts: Sequence[Verdict]) -> None:
    adopted = [verdict.source for verdict in verdicts if verdict.why is Why.ADOPTED]
    for source in adopted:
        found, before = scene.found[source.paths], scene.entries.get(source.paths)
        is_authors = before is None or before.adopted or before.files != found
        scene.entries[source.paths] = replace(entry_of(source, found), adopted=is_authors)
    if adopted:
        write_record(scene.data, scene.entries.values())


def _fetch_all(scene: Scene, verdicts: list[Verdict], settings: Settings, progress: Progress) -> list[Outcome]:
    _record_adopted(scene, verdicts)
    cache, wanted = Cache(settings.cache), [verdict for verdict in verdicts if verdict.fetches]
    if settings.offline:
        _check_at_hand([verdict.source for verdict in wanted], cache)
    scene.data.mkdir(parents=True, exist_ok=True)
    stopped = threading.Event()
    space, flags = Space(scene.data), (settings.offline, settings.lock)
    shop = Workshop(scene.package, cache, space, settings.tuning, settings.jobs, stopped.is_set, *flags)
    outcomes: dict[tuple[str, ...], Outcome] = {
        verdict.source.paths: _refused(verdict, scene) if verdict.why is Why.FOREIGN else _present(verdict, scene)
        for verdict in verdicts
        if not verdict.fetches
    }
    begin(scene.package, [path for verdict in wanted for path in verdict.source.paths])
    with progress.shown():
        for verdict, brought in _bring_each(wanted, scene, shop, progress, stopped):
            outcomes[verdict.source.paths] = _settle(verdict, brought, scene)
    settle(scene.package, dict(_kept_aside(outcomes.values(), scene)))
    save_stat_cache(scene.package, scene.stats)
    return [outcomes[source.paths] for source in scene.sources]


def _bring_each(
    wanted: Sequence[Verdict], scene: Scene, shop: Workshop, progress: Progress, stopped: threading.Event
) -> Iterator[tuple[Verdict, Brought | ReportedError]]:
    """Bring the sources, several at once; commands come last, one by one, since they may read the others' files."""
    commands = [verdict for verdict in wanted if verdict.source.command]
    pool = ThreadPoolExecutor(shop.jobs)
    futures = {
        pool.submit(_attempt, verdict, scene, shop, progress): verdict
        for verdict in wanted
        if not verdict.source.command
    }
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BaseException:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(futures, _GRACE_SECONDS)
        raise
    pool.shutdown()
    for verdict in commands:
        yield verdict, _attempt(verdict, scene, shop, progress)


def _attempt(verdict: Verdict, scene: Scene, shop: Workshop, progress: Progress) -> Brought | ReportedError:
    bar = progress.bar(verdict.source.name)
    try:
        entry = scene.entries.get(verdict.source.paths)
        brought = bring(verdict, entry, scene.found[verdict.source.paths], shop, bar)
    except ReportedError as error:
        bar.done("failed")
        return redacted(error)
    except OSError as error:
        bar.done("failed")
        place = redact(str(error.filename or verdict.source.name))
        advice = "Make room or mend it, and run it again."
        return StepError(place, "the disk refused", got=error.strerror or type(error).__name__, advice=advice)
    bar.done(f"{brought.action}, {amount(sum(fact.size for fact in brought.files.values()))}")
    return brought


def _settle(verdict: Verdict, brought: Brought | ReportedError, scene: Scene) -> Outcome:
    """Record a success at once: a later kill must not cost it."""
    source = verdict.source
    if isinstance(brought, ReportedError):
        return Outcome(source, "failed", verdict.why, error=brought)
    scene.entries[source.paths] = entry_of(source, brought.files, brought.sha256)
    write_record(scene.data, scene.entries.values())
    if source.command:
        marker_of(source, scene.data).unlink(missing_ok=True)
    remember(scene.data, brought.files, scene.stats)
    size = sum(fact.size for fact in brought.files.values())
    return Outcome(source, brought.action, verdict.why, brought.sha256, size)


def _kept_aside(outcomes: Iterable[Outcome], scene: Scene) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the name of what was kept aside, the path that it was meant for, and its digest."""
    for outcome in outcomes:
        if isinstance(outcome.error, WrongBytesError):
            for bad, path in zip(outcome.error.bad, outcome.source.paths, strict=True):
                name = str(bad.relative_to(scene.data))
                yield name, (path, digest(look(scene.data, [name], scene.stats), (name,)))


def _refused(verdict: Verdict, scene: Scene) -> Outcome:
    source = verdict.source
    got = digest(scene.found[source.paths], source.paths)
    error = foreign(scene.data / source.paths[0], source.sha256, got)
    return Outcome(source, "failed", verdict.why, error=error)


def _check_at_hand(sources: Sequence[Source], cache: Cache) -> None:
    if absent := [source for source in sources if not is_at_hand(source, cache)]:
        raise missing(*absent)
