"""One run over all sources of a package: look, decide, fetch, record; or only look, and compare every byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from engine.fingerprint import StatCache
from engine.ledger import load_stat_cache, save_stat_cache
from model_side.base.errors import ReportedError, StepError, UsageError
from model_side.base.redact import redact

from .bring import Bringer, Brought, Settings, is_at_hand
from .cache import Cache
from .content import Files, digest, look, remember
from .declaration import DATA_DIRECTORY, DECLARATION, Source, read_declaration
from .desk import MARKER, alone, desk_of, is_resumable, tidy, tidy_former
from .faults import foreign, missing, redacted
from .progress import Progress, amount
from .record import Entry, Verdict, Why, decide, entry_of, read_record, write_record

_CHECK_ADVICE = "`invoke download-data` brings it again, and keeps what is there now."

# A Ctrl-C that the system gives to another thread does not wake the main one: it looks by itself.
_LOOK_SECONDS = 0.2


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
        return [
            decide(source, self.found[source.paths], self.entries.get(source.paths), refresh=refresh)
            for source in self.sources
        ]

    def write_record(self) -> None:
        write_record(self.data, self.entries.values())


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
        else Outcome(verdict.source, "failed", verdict.why, error=_difference(verdict, scene))
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
        lock = "Run `invoke download-data --lock` once to fill it in from what is fetched"
        advice = f"{lock}, or accept any content with `mutable = true`."
        raise UsageError(str(scene.package / DECLARATION), fault, advice=advice)


def _present(verdict: Verdict, scene: _Scene) -> Outcome:
    source = verdict.source
    files, entry = scene.found[source.paths], scene.entries.get(source.paths)
    sha256 = entry.sha256 if entry else digest(files, source.paths)
    if verdict.why is Why.FOREIGN:
        error = foreign(scene.data / source.paths[0], source.sha256, sha256)
        return Outcome(source, "failed", verdict.why, error=error)
    return Outcome(source, "present", verdict.why, sha256, _size(files))


def _difference(verdict: Verdict, scene: _Scene) -> StepError:
    source = verdict.source
    found, entry = scene.found[source.paths], scene.entries.get(source.paths)
    for name, fact in sorted(entry.files.items() if entry and found else ()):
        if found.get(name) != fact:
            got, place = found[name].sha256 if name in found else "no such file", f"{DATA_DIRECTORY}/{name}"
            return StepError(place, verdict.why.value, expected=fact.sha256, got=got, advice=_CHECK_ADVICE)
    if not found:
        return StepError(source.name, verdict.why.value, advice="`invoke download-data` brings it.")
    got = digest(found, source.paths)
    return StepError(source.name, verdict.why.value, expected=source.sha256 or None, got=got, advice=_CHECK_ADVICE)


def _fetch_all(scene: _Scene, settings: Settings, progress: Progress) -> list[Outcome]:
    verdicts = scene.verdicts(refresh=settings.refresh)
    _record_adopted(scene, verdicts)
    cache, wanted = Cache(settings.cache), [verdict for verdict in verdicts if verdict.fetches]
    absent = [verdict.source for verdict in wanted if not is_at_hand(verdict.source, cache)]
    if settings.offline and absent:
        raise missing(*absent)
    scene.data.mkdir(parents=True, exist_ok=True)
    tidy_former(scene.package)
    outcomes: dict[tuple[str, ...], Outcome] = {
        verdict.source.paths: _present(verdict, scene) for verdict in verdicts if not verdict.fetches
    }
    with progress.shown():
        for verdict, brought in _bring_each(wanted, scene, settings, progress):
            outcomes[verdict.source.paths] = _settle(verdict, brought, scene)
    save_stat_cache(scene.package, scene.stats)
    return [outcomes[source.paths] for source in scene.sources]


def _record_adopted(scene: _Scene, verdicts: Sequence[Verdict]) -> None:
    adopted = [verdict.source for verdict in verdicts if verdict.why is Why.ADOPTED]
    for source in adopted:
        found, before = scene.found[source.paths], scene.entries.get(source.paths)
        is_authors = before is None or before.adopted or before.files != found
        scene.entries[source.paths] = replace(entry_of(source, found), adopted=is_authors)
    if adopted:
        scene.write_record()


def _bring_each(
    wanted: Sequence[Verdict], scene: _Scene, settings: Settings, progress: Progress
) -> Iterator[tuple[Verdict, Brought | ReportedError]]:
    """Bring the sources, several at once; commands come last, one by one, since they may read the others' files."""
    bringer = Bringer(scene.package, settings, progress.say)
    commands = [verdict for verdict in wanted if verdict.source.command]
    pool = ThreadPoolExecutor(settings.jobs)
    futures = {
        pool.submit(_attempt, verdict, scene, bringer, progress): verdict
        for verdict in wanted
        if not verdict.source.command
    }
    try:
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, _LOOK_SECONDS, FIRST_COMPLETED)
            yield from ((futures[future], future.result()) for future in done)
    finally:
        # Nobody waits for a thread after an interruption: a server may have fallen silent, and notes are always true.
        pool.shutdown(wait=False, cancel_futures=True)
    for verdict in commands:
        yield verdict, _attempt(verdict, scene, bringer, progress)


def _attempt(verdict: Verdict, scene: _Scene, bringer: Bringer, progress: Progress) -> Brought | ReportedError:
    source = verdict.source
    bar = progress.bar(source.name)
    try:
        brought = bringer.bring(verdict, scene.entries.get(source.paths), scene.found[source.paths], bar)
    except ReportedError as error:
        bar.done("failed")
        return redacted(error)
    except OSError as error:
        bar.done("failed")
        place = redact(str(error.filename or source.name))
        advice = "Make room or fix it, and run it again."
        return StepError(place, "the disk refused", got=error.strerror or type(error).__name__, advice=advice)
    bar.done(f"{brought.action}, {amount(_size(brought.files))}")
    return brought


def _settle(verdict: Verdict, brought: Brought | ReportedError, scene: _Scene) -> Outcome:
    """Record a success at once: a later kill must not cost it."""
    source, desk = verdict.source, desk_of(scene.data, verdict.source.paths)
    if isinstance(brought, ReportedError):
        if not is_resumable(desk):
            tidy(desk)
        return Outcome(source, "failed", verdict.why, error=brought)
    scene.entries[source.paths] = entry_of(source, brought.files, brought.sha256)
    scene.write_record()
    tidy(desk)
    remember(scene.data, brought.files, scene.stats)
    return Outcome(source, brought.action, verdict.why, brought.sha256, _size(brought.files))


def _size(files: Files) -> int:
    return sum(fact.size for fact in files.values())
