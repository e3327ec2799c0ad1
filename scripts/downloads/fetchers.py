"""Bring what a source declares to a staged place beside its target: from the cache, an address or a wheel."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from model_side.file_entry import FileEntry, file_entry
from pipeline.fingerprint import StatCache

from .cache import Cache
from .content import Files, digest, listed, look
from .declaration import Source
from .faults import WrongBytesError, missing
from .locate import LocalTree, locate
from .origins import Member, Origin
from .place import beside, keep_as_bad, part_of, remove, tidy
from .progress import Bar
from .space import Reservation, Space
from .transfer import Tuning, Watch, fetch, retrying
from .tree import fetch_tree
from .wheel import fetch_member


@dataclass(frozen=True)
class Workshop:
    """What fetching needs.

    Parameters
    ----------
    package : Path
        The package's directory.
    cache : Cache
    space : Space
    tuning : Tuning
    jobs : int
        How many files at once.
    is_stopped : callable
        Tells whether to give up.
    offline : bool
        Whether nothing may be asked of a network.
    """

    package: Path
    cache: Cache
    space: Space
    tuning: Tuning
    jobs: int
    is_stopped: Callable[[], bool]
    offline: bool = False


@dataclass(frozen=True)
class Staged:
    """What has been brought, not yet in its place.

    Parameters
    ----------
    path : Path
        A file or a directory beside the target.
    files : mapping of str to FileEntry
        By name relative to model_data/, as they will be called there.
    resumed : bool
        Whether some of the bytes are of an earlier run.
    cached : bool
        Whether the bytes came from the cache.
    sha256 : str
        Digest of what the source names.
    """

    path: Path
    files: Files
    resumed: bool = False
    cached: bool = False
    sha256: str = ""


def obtain(source: Source, target: Path, shop: Workshop, bar: Bar) -> Staged:
    """Bring what `source` names, held to its sha256, to a place beside `target`.

    Raises
    ------
    StepError
        If it cannot be had, or is not what the sha256 says; then it is kept aside as ``.bad``.
    """
    if staged := _from_cache(source, target, shop):
        return replace(staged, sha256=source.sha256)
    if shop.offline and not _is_local(source):  # what the cache had was not sound
        raise missing(source)
    staged = _stage(source, target, shop, bar)
    got = digest(staged.files, source.paths)
    if source.sha256 and got != source.sha256 and staged.resumed:
        # After a power cut the disk may not hold what the note says: the bytes of the earlier run get one more chance.
        remove(part_of(target))
        staged = _stage(source, target, shop, bar)
        got = digest(staged.files, source.paths)
    if source.sha256 and got != source.sha256:
        bad = keep_as_bad(staged.path, target)
        tidy(target)
        raise WrongBytesError(source, got, bad)
    return replace(staged, sha256=got)


def is_at_hand(source: Source, cache: Cache) -> bool:
    """Tell whether a source can be had without a network."""
    if source.command:
        return False
    listing = None if source.unpack else cache.take_list(source.sha256)
    is_listed = listing is not None and all(cache.has(sha256) for sha256, _ in listed(listing))
    return _is_local(source) or cache.has(source.sha256) or is_listed


def _is_local(source: Source) -> bool:
    return source.uri.startswith("file:")


def _stage(source: Source, target: Path, shop: Workshop, bar: Bar) -> Staged:
    if source.package:
        return _measured(fetch_member(source, shop.package, target), source)
    found = retrying(shop.tuning, time.sleep)(locate, source.uri)
    with shop.space.reserve(source.name) as reservation:
        return _fetched(found, source, part_of(target), shop, bar, reservation)


def _fetched(
    found: Origin | LocalTree | tuple[Member, ...],
    source: Source,
    part: Path,
    shop: Workshop,
    bar: Bar,
    reservation: Reservation,
) -> Staged:
    if isinstance(found, LocalTree):
        return Staged(part, _named(_copied(found, part, reservation), source.paths[0]))
    watch = _watch(reservation, bar, shop)
    if isinstance(found, tuple):
        files, resumed = fetch_tree(found, part, shop.jobs, shop.tuning, watch, pinned=bool(source.sha256))
        return Staged(part, _named(files, source.paths[0]), resumed)
    if part.is_dir():
        remove(part)
    fact, resumed = fetch(found, part, shop.tuning, watch, pinned=bool(source.sha256))
    return Staged(part, {source.paths[0]: fact}, resumed)


def _copied(tree: LocalTree, part: Path, reservation: Reservation) -> Files:
    """Copy a directory of this machine: a later run begins anew, so what a failed one has copied goes."""
    remove(part)
    try:
        return tree.copy(part, reservation)
    except BaseException:
        remove(part)
        raise


def _watch(reservation: Reservation, bar: Bar, shop: Workshop) -> Watch:
    """Return what keeps the disk's account and the person's bar of a transfer."""

    def expect(total: int | None, have: int) -> None:
        if total is not None:
            reservation.take(total - have)
            bar.expect(total, have)

    def arrived(count: int) -> None:
        reservation.wrote(max(count, 0))
        bar.advance(count)

    return Watch(expect, arrived, shop.is_stopped)


def _from_cache(source: Source, target: Path, shop: Workshop) -> Staged | None:
    part, path = part_of(target), source.paths[0]
    if shop.cache.has(source.sha256):
        taken = beside(target, "cached")
        remove(taken)
        if fact := shop.cache.take(source.sha256, taken):
            remove(part)
            remove(part.with_name(f"{part.name}.json"))
            return Staged(taken, {path: fact}, cached=True)
    if not source.unpack and (listing := shop.cache.take_list(source.sha256)):
        return _tree_from_cache(listed(listing), part, path, shop.cache)
    return None


def _tree_from_cache(members: list[tuple[str, str]], part: Path, path: str, cache: Cache) -> Staged | None:
    if not all(cache.has(sha256) for sha256, _ in members):
        return None
    remove(part)
    files: dict[str, FileEntry] = {}
    for sha256, name in members:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        fact = cache.take(sha256, part / name)
        if fact is None:
            remove(part)
            return None
        files[name] = fact
    return Staged(part, _named(files, path), cached=True)


def _measured(place: Path, source: Source) -> Staged:
    if place.is_file():
        return Staged(place, {source.paths[0]: file_entry(place)})
    return Staged(place, _named(look(place, [""], StatCache()), source.paths[0]))


def _named(files: Files, top: str) -> dict[str, FileEntry]:
    return {f"{top}/{name}": fact for name, fact in files.items()}
