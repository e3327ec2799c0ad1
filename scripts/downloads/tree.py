"""Fetch the files of a remote directory, several at once, into a staged directory that a later run goes on with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from model_side.file_entry import FileEntry, file_entry
from pipeline.errors import StepError

from .origins import CutError, Member
from .place import part_of, remove
from .transfer import Tuning, Watch, fetch

_NOTE = ".listing.part"


def fetch_tree(
    members: Sequence[Member], staged: Path, jobs: int, tuning: Tuning, watch: Watch
) -> dict[str, FileEntry]:
    """Bring all `members` to the directory `staged`, and return what they are, by name.

    Files that an earlier run completed are kept while the remote listing is what it was then.

    Raises
    ------
    StepError
        If a name leaves the directory, or a file cannot be had.
    """
    _check_names(members)
    _keep_or_clear(members, staged)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {member.name: pool.submit(_fetch_member, member, staged, tuning, watch) for member in members}
        try:
            facts = {name: future.result() for name, future in futures.items()}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    (staged / _NOTE).unlink()
    return facts


def _fetch_member(member: Member, staged: Path, tuning: Tuning, watch: Watch) -> FileEntry:
    target = staged / member.name
    if watch.is_stopped():
        raise CutError(member.origin.shown, "interrupted")
    if target.is_file() and target.stat().st_size == member.size:
        return file_entry(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    fact, _ = fetch(member.origin, part_of(target), tuning, watch)
    if member.size is not None and fact.size != member.size:
        raise CutError(member.origin.shown, f"{fact.size} bytes came where the listing says {member.size}")
    part_of(target).replace(target)
    return fact


def _keep_or_clear(members: Sequence[Member], staged: Path) -> None:
    listing = "\n".join(f"{member.name}\0{member.origin.key}\0{member.size}\0{member.mark}" for member in members)
    value = hashlib.sha256(listing.encode()).hexdigest()
    note = staged / _NOTE
    if not note.is_file() or note.read_text(encoding="ascii", errors="replace") != value:
        remove(staged)
        staged.mkdir(parents=True)
        note.write_text(value, encoding="ascii")


def _check_names(members: Sequence[Member]) -> None:
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in member.name:
            raise StepError(member.origin.shown, "the listing names a file outside its directory", got=member.name)
