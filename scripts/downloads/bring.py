"""Bring one source to its place: obtain, unpack, install, keep in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_side.base.errors import StepError

from .archive import unpack
from .command import run_command
from .content import Files
from .declaration import DATA_DIRECTORY, RESERVED_SUFFIXES, Source
from .fetchers import Staged, Workshop, obtain
from .kept import keep
from .place import beside, check_inside, install, tidy
from .plan import Verdict
from .progress import Bar
from .record import Entry


@dataclass(frozen=True)
class Brought:
    """What a source has brought to its place.

    Parameters
    ----------
    action : str
        "fetched", "from cache" or "ran".
    files : mapping of str to FileEntry
        By name relative to model_data/.
    sha256 : str
        Digest of what the source names.
    """

    action: str
    files: Files
    sha256: str


def bring(verdict: Verdict, entry: Entry | None, found: Files, shop: Workshop, bar: Bar) -> Brought:
    """Bring what `verdict` is about; nothing is in its place before every byte of it is proven.

    `found` is what is in its place now.

    Raises
    ------
    ReportedError
        If it cannot be had, is not what it should be, or would replace an author's file.
    """
    source, data = verdict.source, shop.package / DATA_DIRECTORY
    if source.command:
        return _commanded(verdict, entry, shop)
    path = source.paths[0]
    target = check_inside(data, path)
    staged = obtain(source, target, shop, bar)
    try:
        files = _install(staged, target, verdict, entry, found, shop)
    finally:
        tidy(target)
    return Brought("from cache" if staged.cached else "fetched", files, staged.sha256)


def _commanded(verdict: Verdict, entry: Entry | None, shop: Workshop) -> Brought:
    """Let a command bring it, or the cache; keep what is pinned, but no link: what it leads to is not the tool's."""
    source, data = verdict.source, (shop.package / DATA_DIRECTORY).resolve()
    brought = Brought(*run_command(verdict, entry, shop))
    places = {name: data / name for name in brought.files}
    is_pinned = bool(source.sha256) or shop.pins
    if brought.action == "ran" and is_pinned and all(place == place.resolve() for place in places.values()):
        keep(source, brought.files, places, shop.cache)
    return brought


def _install(
    staged: Staged, target: Path, verdict: Verdict, entry: Entry | None, found: Files, shop: Workshop
) -> Files:
    """Put what was brought in its place and into the cache; return the files that it is now."""
    source, path = verdict.source, verdict.source.paths[0]
    files, ready = staged.files, staged.path
    if source.unpack and not staged.cached:
        keep(source, files, {path: staged.path}, shop.cache)
    if source.unpack:
        ready = beside(target, "unpacked")
        files = {f"{path}/{name}": fact for name, fact in unpack(staged.path, ready, source.name, shop.space).items()}
    _check_names(files, source)
    # Else a run was killed after it had installed the very same bytes and before it had recorded them.
    if verdict.owned or dict(found) != dict(files):
        known = {name.removeprefix(f"{path}/") for name in (entry.files if entry else ())}
        install(ready, target, owned=verdict.owned, keep_aside=verdict.altered, known=known)
    if not (source.unpack or staged.cached):
        keep(source, files, {name: shop.package / DATA_DIRECTORY / name for name in files}, shop.cache)
    return files


def _check_names(files: Files, source: Source) -> None:
    """Refuse a member whose name is the tool's own: it would be taken for unfinished work ever after."""
    reserved = next((name for name in files if name.endswith(RESERVED_SUFFIXES)), None)
    if reserved:
        raise StepError(
            source.name,
            f"it holds a file whose name the tool keeps for itself ({', '.join(RESERVED_SUFFIXES)})",
            got=reserved,
            advice="Rename it at its source.",
        )
