"""Fetch the files of a remote directory, several at once, into a staged directory that a later run goes on with."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from model_side.base.errors import StepError
from model_side.base.files import FileEntry, file_entry

from .desk import LISTING, PART, tidy
from .faults import CutError
from .origins import Member
from .progress import Bar
from .transfer import Tuning, fetch

_COMING = "coming"


def fetch_tree(
    members: Sequence[Member], desk: Path, jobs: int, tuning: Tuning, bar: Bar, *, pinned: bool
) -> tuple[dict[str, FileEntry], bool]:
    """Bring all `members` to a directory on a desk; return what they are, by name, and whether an earlier run helped.

    Files that an earlier run completed are kept while the remote listing is what it was then.

    Parameters
    ----------
    members : sequence of Member
    desk : Path
        The directory is made in it, as `part`, and what is kept of unfinished files.
    jobs : int
        How many files at once.
    tuning : Tuning
    bar : Bar
        What shows the progress.
    pinned : bool
        Whether the caller checks a sha256 in the end.

    Raises
    ------
    StepError
        If a name cannot be one in the directory, or a file cannot be had.
    """
    members = _checked(members)
    resumed = _keep_or_clear(members, desk)
    # Without a sha256, only files of several blocks are sure to be on the disk after a power cut.
    surely = 0 if pinned else tuning.block + 1
    here = {member.name for member in members if (member.size or 0) >= surely and _is_complete(member, desk)}
    sizes = [member.size for member in members]
    done = sum(member.size or 0 for member in members if member.name in here)
    bar.expect(None if None in sizes else sum(size or 0 for size in sizes), done)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            member.name: pool.submit(file_entry, desk / PART / member.name)
            if member.name in here
            else pool.submit(_fetch_member, member, number, desk, tuning, bar, pinned)
            for number, member in enumerate(members)
        }
        try:
            return {name: future.result() for name, future in futures.items()}, resumed
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_member(member: Member, number: int, desk: Path, tuning: Tuning, bar: Bar, pinned: bool) -> FileEntry:
    target, coming, each = desk / PART / member.name, desk / _COMING / str(number), bar.file(member.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        fact, _ = fetch(member.origin, coming, tuning, each, pinned=pinned)
    finally:
        each.done("")
    if member.size is not None and fact.size != member.size:
        raise CutError(member.origin.shown, f"{fact.size} bytes came where the listing says {member.size}")
    coming.replace(target)
    return fact


def _is_complete(member: Member, desk: Path) -> bool:
    """Tell whether an earlier run has completed a file."""
    target = desk / PART / member.name
    return target.is_file() and target.stat().st_size == member.size


def _keep_or_clear(members: Sequence[Member], desk: Path) -> bool:
    """Keep what an earlier run has left, if it can be gone on with; tell whether it can."""
    listing = "\n".join(f"{member.name}\0{member.origin.uri}\0{member.size}\0{member.mark}" for member in members)
    value, note = hashlib.sha256(os.fsencode(listing)).hexdigest(), desk / LISTING
    if note.is_file() and note.read_text(encoding="ascii", errors="replace") == value:
        return True
    tidy(desk)
    for name in (PART, _COMING):
        (desk / name).mkdir(parents=True)
    note.write_text(value, encoding="ascii")
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
            if above in found:
                fault = "the listing is refused: it names a path as a file and as a directory"
                raise StepError(found[name].origin.shown, fault, got=repr(above))
    return list(found.values())


def _problem(name: str) -> str | None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "it names a file outside its directory"
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "it names a file with a control character"
    return None
