"""One run over all sources of a package: look, decide, fetch, record; or only look, and compare every byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from engine.fingerprint import StatCache
from engine.ledger import load_stat_cache, save_stat_cache
from model_side.base.errors import ReportedError, StepError, UsageError, invoke
from model_side.base.redact import redact
from model_side.model.declared_data import DECLARATION

from .bring import Bringer, Settings
from .cache import Cache, kept
from .content import Files, digest, look, remember
from .declaration import DATA_DIRECTORY, Source, read_declaration
from .desk import MARKER, alone, desk_of, is_resumable, tidy, unfinished_bytes
from .faults import foreign, missing, redacted
from .progress import Progress, amount
from .record import Entry, Outcome, Verdict, Why, decide, entry_of, read_record, write_record

# A Ctrl-C that the system gives to another thread does not wake the main one: it looks by itself.
_LOOK_SECONDS = 0.2


@dataclass
class _Scene:
    """What is declared, recorded and, by the paths of each source, there."""

    package: Path
    sources: tuple[Source, ...]
    entries: dict[tuple[str, ...], Entry]
    stats: StatCache
    found: Mapping[tuple[str, ...], Files]

    @property
    def data(self) -> Path:
        return self.package / DATA_DIRECTORY

    def verdicts(self, *, refresh: bool = False) -> list[Verdict]:
        """Return what to do about each source."""
        seen = [(source, self.found[source.paths], self.entries.get(source.paths)) for source in self.sources]
        return [Verdict(*facts, decide(*facts, refresh=refresh)) for facts in seen]


def run(package: Path, settings: Settings, progress: Progress) -> list[Outcome]:
    """Bring all that is missing or wrong; a source that fails does not keep the others from being brought.

    Parameters
    ----------
    package : Path
    settings : Settings
    progress : Progress
        Where it is shown.

    Returns
    -------
    list of Outcome
        What became of each source, as declared.

    Raises
    ------
    UsageError
        If the declaration is at fault, or asks for something impossible.
    """
    if settings.refresh and settings.offline:
        raise UsageError("--refresh", "it does not go with --offline", advice="Leave one of them out.")
    scene = _read_scene(package)
    _check_pins(scene, settings)
    for source in scene.sources:
        if source.mutable and not source.sha256:
            progress.say(f"warning: {source.name}: mutable, without sha256: any content of {source.shown} is accepted")
    verdicts = scene.verdicts(refresh=settings.refresh)
    if any(verdict.why is not Why.PRESENT for verdict in verdicts):
        with alone(package, progress.say):
            save_stat_cache(package, scene.stats)
            return _fetch_all(_read_scene(package), settings, progress)
    save_stat_cache(package, scene.stats)
    return [_present(verdict, scene) for verdict in verdicts]


def check(package: Path) -> list[Outcome]:
    """Read every byte again and compare it with what is declared and recorded; nothing is repaired.

    Parameters
    ----------
    package : Path

    Returns
    -------
    list of Outcome
        "present", or "failed" with what differs, for each source.

    Raises
    ------
    UsageError
        If the declaration is at fault, or something cannot be read.
    """
    scene = _read_scene(package, every_byte=True)
    save_stat_cache(package, scene.stats)
    return [
        _present(verdict, scene)
        if verdict.why in (Why.PRESENT, Why.ADOPTED)
        else Outcome(verdict, "failed", error=_difference(verdict, package))
        for verdict in scene.verdicts()
    ]


def _read_scene(package: Path, *, every_byte: bool = False) -> _Scene:
    """Look at a package; hash only what the stat cache does not know, or every byte on demand."""
    if not package.is_dir():
        raise UsageError(str(package), "no such directory", advice="Give the package's directory.")
    sources, data, stats = read_declaration(package), package / DATA_DIRECTORY, load_stat_cache(package)
    if every_byte:
        others = {name: key for name, key in stats.kept().items() if not name.startswith(f"{DATA_DIRECTORY}/")}
        stats = StatCache(others)
    try:
        # What a killed command has left in the place of its outputs does not count.
        found = {
            source.paths: {} if (desk_of(data, source.paths) / MARKER).exists() else look(data, source.paths, stats)
            for source in sources
        }
    except OSError as error:
        raise UsageError(str(error.filename or data), "it cannot be read", got=error.strerror) from error
    return _Scene(package, sources, read_record(data), stats, found)


def _check_pins(scene: _Scene, settings: Settings) -> None:
    bare = [source for source in scene.sources if not (source.sha256 or source.mutable or source.command)]
    if bare and not settings.lock:
        fault = f"no sha256 for {', '.join(source.name for source in bare)}"
        lock = f"Run {invoke('download-data --lock', scene.package)} once to fill it in from what is fetched"
        advice = f"{lock}, or accept any content with `mutable = true`."
        raise UsageError(str(scene.package / DECLARATION), fault, advice=advice)


def _present(verdict: Verdict, scene: _Scene) -> Outcome:
    source = verdict.source
    sha256 = verdict.entry.sha256 if verdict.entry else digest(verdict.found, source.paths)
    if verdict.why is Why.FOREIGN:
        return Outcome(verdict, "failed", error=foreign(scene.data / source.paths[0], source.sha256, sha256))
    return Outcome(verdict, "present", verdict.found, sha256)


def _difference(verdict: Verdict, package: Path) -> StepError:
    source, found, entry = verdict.source, verdict.found, verdict.entry
    download = invoke("download-data", package)
    if not found:
        return StepError(source.name, verdict.why.value, advice=f"{download} brings it.")
    advice = f"{download} brings it again, and keeps what is there now."
    for name, fact in sorted(entry.files.items() if entry else ()):
        if found.get(name) != fact:
            got, place = found[name].sha256 if name in found else "no such file", f"{DATA_DIRECTORY}/{name}"
            return StepError(place, verdict.why.value, expected=fact.sha256, got=got, advice=advice)
    got = digest(found, source.paths)
    return StepError(source.name, verdict.why.value, expected=source.sha256 or None, got=got, advice=advice)


def _fetch_all(scene: _Scene, settings: Settings, progress: Progress) -> list[Outcome]:
    verdicts = scene.verdicts(refresh=settings.refresh)
    _record_adopted(scene, verdicts)
    cache, wanted = Cache(settings.cache), [verdict for verdict in verdicts if verdict.fetches]
    absent = [each.source for each in wanted if not (each.source.is_local or kept(each.source, cache))]
    if settings.offline and absent:
        raise missing(*absent)
    scene.data.mkdir(parents=True, exist_ok=True)
    outcomes = {verdict.source: _present(verdict, scene) for verdict in verdicts if not verdict.fetches}
    try:
        with progress.shown():
            for outcome in _bring_each(wanted, Bringer(scene.package, settings, progress.say), progress):
                _settle(outcome, scene)
                outcomes[outcome.source] = outcome
    except KeyboardInterrupt:
        _say_kept([verdict.source for verdict in wanted if verdict.source not in outcomes], scene.data, progress)
        raise
    save_stat_cache(scene.package, scene.stats)
    return [outcomes[source] for source in scene.sources]


def _say_kept(sources: Sequence[Source], data: Path, progress: Progress) -> None:
    """Say what of unfinished sources a later run goes on with."""
    here = {source.name: unfinished_bytes(desk_of(data, source.paths)) for source in sources}
    if kept := ", ".join(f"{amount(count)} of {name}" for name, count in here.items() if count):
        progress.say(f"kept: {kept}: the same command goes on from there")


def _record_adopted(scene: _Scene, verdicts: Sequence[Verdict]) -> None:
    adopted = [verdict for verdict in verdicts if verdict.why is Why.ADOPTED]
    for verdict in adopted:
        before, entry = verdict.entry, entry_of(verdict.source, verdict.found)
        is_authors = before is None or before.adopted or before.files != verdict.found
        scene.entries[entry.paths] = replace(entry, adopted=is_authors)
    if adopted:
        write_record(scene.data, scene.entries.values())


def _bring_each(wanted: Sequence[Verdict], bringer: Bringer, progress: Progress) -> Iterator[Outcome]:
    """Bring the sources, several at once; commands come last, one by one, since they may read the others' files."""
    pool = ThreadPoolExecutor(bringer.settings.jobs)
    waiting = {pool.submit(_attempt, verdict, bringer, progress) for verdict in wanted if not verdict.source.command}
    try:
        while waiting:
            done, waiting = wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        # Nobody waits for a thread after an interruption: a server may have fallen silent, and notes are always true.
        pool.shutdown(wait=False, cancel_futures=True)
    yield from (_attempt(verdict, bringer, progress) for verdict in wanted if verdict.source.command)


def _attempt(verdict: Verdict, bringer: Bringer, progress: Progress) -> Outcome:
    bar = progress.bar(verdict.source.name)
    try:
        outcome = bringer.bring(verdict, bar)
    except ReportedError as error:
        outcome = Outcome(verdict, "failed", error=redacted(error))
    except OSError as error:
        place, got = redact(str(error.filename or verdict.source.name)), error.strerror or type(error).__name__
        fault = StepError(place, "the disk refused", got=got, advice="Make room or fix it, and run it again.")
        outcome = Outcome(verdict, "failed", error=fault)
    bar.done(outcome.action if outcome.error else f"{outcome.action}, {amount(outcome.size)}")
    return outcome


def _settle(outcome: Outcome, scene: _Scene) -> None:
    """Record a success at once: a later kill must not cost it."""
    source, desk = outcome.source, desk_of(scene.data, outcome.source.paths)
    if not outcome.error:
        scene.entries[source.paths] = entry_of(source, outcome.files, outcome.sha256, ran=outcome.action == "ran")
        write_record(scene.data, scene.entries.values())
        remember(scene.data, outcome.files, scene.stats)
    if not (outcome.error and is_resumable(desk)):
        tidy(desk)
