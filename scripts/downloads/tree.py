"""Fetch the files of a remote directory, several at once, into a staged directory that a later run goes on with."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from environments.settings import boot_id
from model_side.base.errors import StepError
from model_side.base.files import FileEntry, file_entry

from .declaration import RESERVED_SUFFIXES
from .origins import CutError, Member
from .place import part_of, remove
from .progress import Bar, SilentBar
from .transfer import Tuning, Watch, fetch

_NOTE = ".listing.part"
_UNSEEN = SilentBar()


def fetch_tree(
    members: Sequence[Member],
    staged: Path,
    jobs: int,
    tuning: Tuning,
    watch: Watch,
    *,
    pinned: bool,
    bar: Bar = _UNSEEN,
) -> tuple[dict[str, FileEntry], bool]:
    """Bring all `members` to the directory `staged`; return what they are, by name, and whether an earlier run helped.

    Files that an earlier run completed are kept while the remote listing is what it was then. After a reboot, that may
    have lost bytes of them, only where a sha256 will be held against the whole (`pinned`).

    Raises
    ------
    StepError
        If a name cannot be one in the directory, or a file cannot be had.
    """
    members = _checked(members)
    resumed = _keep_or_clear(members, staged, pinned=pinned)
    if None not in (sizes := [member.size for member in members]):
        bar.expect_all(sum(size or 0 for size in sizes))
    if here := sum(member.size or 0 for member in members if _is_here(member, staged)):
        watch.expect(here, here)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            member.name: pool.submit(_fetch_member, member, staged, tuning, watch, pinned, bar) for member in members
        }
        try:
            facts = {name: future.result() for name, future in futures.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    (staged / _NOTE).unlink()
    return facts, resumed


def _fetch_member(member: Member, staged: Path, tuning: Tuning, watch: Watch, pinned: bool, bar: Bar) -> FileEntry:
    target = staged / member.name
    if watch.is_stopped():
        raise CutError(member.origin.shown, "interrupted")
    if _is_here(member, staged):
        return file_entry(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    each = bar.file(member.name)
    try:
        fact, _ = fetch(member.origin, part_of(target), tuning, _both(watch, each), pinned=pinned)
    finally:
        each.done("")
    if member.size is not None and fact.size != member.size:
        raise CutError(member.origin.shown, f"{fact.size} bytes came where the listing says {member.size}")
    part_of(target).replace(target)
    return fact


def _is_here(member: Member, staged: Path) -> bool:
    """Tell whether an earlier run has completed a file."""
    target = staged / member.name
    return target.is_file() and target.stat().st_size == member.size


def _both(watch: Watch, bar: Bar) -> Watch:
    """Return a watch that tells the bar of a file what it tells about the directory."""

    def expect(total: int | None, have: int) -> None:
        watch.expect(total, have)
        if total is not None:
            bar.expect(total, have)

    def arrived(count: int) -> None:
        watch.arrived(count)
        bar.advance(count)

    return replace(watch, expect=expect, arrived=arrived)


def _keep_or_clear(members: Sequence[Member], staged: Path, *, pinned: bool) -> bool:
    """Keep what an earlier run has left, if it can be gone on with; tell whether it can."""
    listing = "\n".join(f"{member.name}\0{member.origin.key}\0{member.size}\0{member.mark}" for member in members)
    value, boot = hashlib.sha256(os.fsencode(listing)).hexdigest(), boot_id()
    note = staged / _NOTE
    found = note.read_text(encoding="ascii", errors="replace").splitlines() if note.is_file() else []
    if found[:1] == [value] and (pinned or found[1:] == [boot]):
        return True
    remove(staged)
    staged.mkdir(parents=True)
    note.write_text(f"{value}\n{boot}\n" if boot else f"{value}\n", encoding="ascii")
    return False


def _checked(members: Sequence[Member]) -> list[Member]:
    """Return the members with the names that they will have here, all of them possible and each but once."""
    found: dict[str, Member] = {}
    for member in members:
        name = str(PurePosixPath(member.name))
        if problem := _problem(member.name) or ("it names two files of one name" if name in found else None):
            raise StepError(member.origin.shown, f"the listing is refused: {problem}", got=repr(member.name))
        found[name] = replace(member, name=name)
    for name in found:
        for above in map(str, PurePosixPath(name).parents):
            if problem := _clash(above, found):
                raise StepError(found[name].origin.shown, f"the listing is refused: {problem}", got=repr(above))
    return list(found.values())


def _clash(directory: str, files: Collection[str]) -> str | None:
    if directory in files:
        return "it names a path as a file and as a directory"
    if any(directory.endswith(suffix) and directory.removesuffix(suffix) in files for suffix in RESERVED_SUFFIXES):
        return "it names a directory as the tool keeps for itself beside a file"
    return None


def _problem(name: str) -> str | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "it names a file outside its directory"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "it names a file with a control character"
    if name.endswith(RESERVED_SUFFIXES):
        return f"it names a file as the tool keeps for itself ({', '.join(RESERVED_SUFFIXES)})"
    return None
