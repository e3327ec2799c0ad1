"""Bring one source to its place: obtain, check, unpack, install, keep in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from engine.fingerprint import StatCache
from engine.transaction import remove
from model_side.base.errors import ReportedError, StepError
from model_side.base.files import file_entry

from .archive import unpack
from .cache import Cache, keep, take
from .content import Files, digest, look
from .declaration import DATA_DIRECTORY, Source
from .desk import (
    BAD,
    EDITED,
    PART,
    check_inside,
    check_replaceable,
    desk_of,
    install,
    refuse_damaged,
    set_aside,
    tidy,
)
from .faults import missing, wrong_bytes
from .origins import locate
from .programs import fetch_member, run_command
from .progress import Bar
from .record import Outcome, Verdict
from .transfer import Tuning, fetch, retrying
from .tree import fetch_tree


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
class _Staged:
    """What lies on the desk, not yet in its place; files are called as they will be there."""

    path: Path
    files: Files
    resumed: bool = False

    def place(self, top: str, name: str) -> Path:
        """Return where a file lies, by its name in model_data/, where `top` is the name of the whole."""
        return self.path / PurePosixPath(name).relative_to(top) if name != top else self.path


class Bringer:
    """What brings the sources of one package.

    Parameters
    ----------
    package : Path
    settings : Settings
    say : callable of str
        Tells a person what is done otherwise than usual.
    """

    def __init__(self, package: Path, settings: Settings, say: Callable[[str], None]) -> None:
        self._package, self.settings, self._say = package, settings, say
        self._data, self._cache = package / DATA_DIRECTORY, Cache(settings.cache)

    def bring(self, verdict: Verdict, bar: Bar) -> Outcome:
        """Bring what `verdict` is about; nothing is in its place before every byte of it is checked.

        Raises
        ------
        ReportedError
            If it cannot be had, is not what it should be, or would replace an author's file.
        """
        source = verdict.source
        if source.command:
            return self._commanded(verdict)
        path, desk = source.paths[0], desk_of(self._data, source.paths)
        target = check_inside(self._data, path)
        desk.mkdir(parents=True, exist_ok=True)
        cached = self._from_cache(source, desk)
        staged = cached or self._checked(source, desk, bar)
        sha256 = digest(staged.files, source.paths)
        try:
            if source.unpack:
                if not cached:
                    keep(source, staged.files, {path: staged.path}, self._cache)
                unpacked = unpack(staged.path, desk / "unpacked", source.name)
                staged = _Staged(desk / "unpacked", _named(unpacked, path))
                self._refuse_damaged(source, staged, desk)
            self._install(staged, target, verdict)
        except ReportedError:  # a later run could not go on with it
            tidy(desk)
            raise
        if not (source.unpack or cached):
            keep(source, staged.files, {name: self._data / name for name in staged.files}, self._cache)
        return Outcome(verdict, "from cache" if cached else "fetched", staged.files, sha256)

    def _commanded(self, verdict: Verdict) -> Outcome:
        """Let a command bring it, or the cache; keep what is pinned, but no link: that leads to another's file."""
        source, data = verdict.source, self._data.resolve()
        outcome = run_command(verdict, self._package, self._cache, offline=self.settings.offline, say=self._say)
        places = {name: data / name for name in outcome.files}
        is_pinned = bool(source.sha256) or self.settings.lock
        if outcome.action == "ran" and is_pinned and all(place == place.resolve() for place in places.values()):
            keep(source, outcome.files, places, self._cache)
        return outcome

    def _from_cache(self, source: Source, desk: Path) -> _Staged | None:
        remove(desk / "cached")
        top = source.paths[0]
        files = take(source, self._cache, lambda name: desk / "cached" / PurePosixPath(name).relative_to(top))
        if files:
            self._refuse_damaged(source, staged := _Staged(desk / "cached", files), desk)
        return staged if files else None

    def _refuse_damaged(self, source: Source, staged: _Staged, desk: Path) -> None:
        try:
            refuse_damaged(source, staged.files, partial(staged.place, source.paths[0]), desk, self._say)
        except StepError:
            tidy(desk)
            raise

    def _checked(self, source: Source, desk: Path, bar: Bar) -> _Staged:
        """Bring what a source names to its desk, and check its sha256."""
        if self.settings.offline and not source.is_local:  # what the cache had was not sound
            raise missing(source)
        staged = self._staged(source, desk, bar)
        got = digest(staged.files, source.paths)
        if source.sha256 and got != source.sha256 and staged.resumed:
            # After a power cut the disk may lack what the note says: the bytes of the earlier run get one more chance.
            tidy(desk)
            desk.mkdir(exist_ok=True)
            staged = self._staged(source, desk, bar)
            got = digest(staged.files, source.paths)
        self._refuse_damaged(source, staged, desk)
        if source.sha256 and got != source.sha256:
            bad = set_aside(staged.path, desk, BAD, source.paths[0])
            tidy(desk)
            raise wrong_bytes(source, got, bad)
        return staged

    def _staged(self, source: Source, desk: Path, bar: Bar) -> _Staged:
        tuning, path, pinned = self.settings.tuning, source.paths[0], bool(source.sha256)
        if source.package:
            member = fetch_member(source, self._package, desk / PART)
            if member.is_file():
                return _Staged(member, {path: file_entry(member)})
            return _Staged(member, _named(look(member, [""], StatCache()), path))
        found = retrying(tuning, time.sleep)(locate, source.uri, self._say)
        if callable(found):
            remove(desk / PART)
            return _Staged(desk / PART, _named(found(desk / PART, bar), path))
        if isinstance(found, tuple):
            files, resumed = fetch_tree(found, desk, self.settings.jobs, tuning, bar, pinned=pinned)
            return _Staged(desk / PART, _named(files, path), resumed)
        if (desk / PART).is_dir():
            remove(desk / PART)
        fact, resumed = fetch(found, desk / PART, tuning, bar, pinned=pinned)
        return _Staged(desk / PART, {path: fact}, resumed)

    def _install(self, staged: _Staged, target: Path, verdict: Verdict) -> None:
        """Put what was brought in its place; an author's edit of it goes to the desk."""
        source, path, found, entry = verdict.source, verdict.source.paths[0], verdict.found, verdict.entry
        if entry is None and found == staged.files:
            return  # a run was killed after it had installed the very same bytes and before it had recorded them
        known = {name.removeprefix(f"{path}/") for name in (entry.files if entry else ())}
        check_replaceable(target, owned=entry is not None, known=known)
        if verdict.altered:
            desk = desk_of(self._data, source.paths)
            aside = set_aside(target, desk, EDITED, digest(found, source.paths)[:12], path)
            self._say(f"{source.name}: it was edited; the edit is kept as {aside}")
        install(staged.path, target)


def _named(files: Files, top: str) -> Files:
    return {f"{top}/{name}" if name else top: fact for name, fact in files.items()}
