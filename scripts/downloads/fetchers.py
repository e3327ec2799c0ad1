"""Bring what a source declares to a staged place beside its target: from the cache, an address or a wheel."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from engine.fingerprint import StatCache
from model_side.base.files import file_entry

from .cache import Cache
from .content import Files, digest, look
from .declaration import Source
from .faults import WrongBytesError, missing
from .kept import kept, take
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
    pins : bool
        Whether a sha256 that is not declared will be filled in.
    """

    package: Path
    cache: Cache
    space: Space
    tuning: Tuning
    jobs: int
    is_stopped: Callable[[], bool]
    offline: bool = False
    pins: bool = False


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
    """Tell whether a source can be had without a network, and without a command."""
    return _is_local(source) or bool(kept(source, cache))


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
    watch = _watch(reservation, bar, shop)
    if isinstance(found, LocalTree):
        return Staged(part, _named(_copied(found, part, watch), source.paths[0]))
    if isinstance(found, tuple):
        files, resumed = fetch_tree(found, part, shop.jobs, shop.tuning, watch, pinned=bool(source.sha256), bar=bar)
        return Staged(part, _named(files, source.paths[0]), resumed)
    if part.is_dir():
        remove(part)
    fact, resumed = fetch(found, part, shop.tuning, watch, pinned=bool(source.sha256))
    return Staged(part, {source.paths[0]: fact}, resumed)


def _copied(tree: LocalTree, part: Path, watch: Watch) -> Files:
    """Copy a directory of this machine: a later run begins anew, so what a failed one has copied goes."""
    remove(part)
    try:
        return tree.copy(part, watch)
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
    part, taken = part_of(target), beside(target, "cached")
    remove(taken)
    files = take(source, shop.cache, lambda name: taken / PurePosixPath(name).relative_to(source.paths[0]))
    if files is None:
        remove(taken)
        return None
    remove(part)
    remove(part.with_name(f"{part.name}.json"))
    return Staged(taken, files, cached=True)


def _measured(place: Path, source: Source) -> Staged:
    if place.is_file():
        return Staged(place, {source.paths[0]: file_entry(place)})
    return Staged(place, _named(look(place, [""], StatCache()), source.paths[0]))


def _named(files: Files, top: str) -> Files:
    return {f"{top}/{name}": fact for name, fact in files.items()}
