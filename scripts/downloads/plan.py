"""Decide what to do about each source, from values alone: no disk, no network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .content import Files, digest
from .declaration import Source
from .record import Entry


class Why(StrEnum):
    """Why a source is or is not fetched: the closed list that reports and tests share."""

    PRESENT = "present"
    ADOPTED = "present already, with the declared sha256"
    MISSING = "missing"
    ALTERED = "altered since it was fetched"
    REDECLARED = "declared differently since it was fetched"
    REFRESHED = "fetched again on demand"
    UNRECORDED = "not known to come from this source"
    FOREIGN = "another file is in its place"


@dataclass(frozen=True)
class Verdict:
    """What to do about one source.

    Parameters
    ----------
    source : Source
    why : Why
    owned : bool
        Whether what is in its place came from a source, so that it may be replaced.
    altered : bool
        Whether what is in its place was changed by hand and should be kept aside.
    """

    source: Source
    why: Why
    owned: bool = False
    altered: bool = False

    @property
    def fetches(self) -> bool:
        """Tell whether something must be fetched."""
        return self.why not in (Why.PRESENT, Why.ADOPTED, Why.FOREIGN)


def decide(source: Source, found: Files, entry: Entry | None, *, refresh: bool = False) -> Verdict:
    """Return what to do about a source.

    Parameters
    ----------
    source : Source
    found : mapping of str to FileEntry
        What is in its place now; empty if nothing is.
    entry : Entry or None
        What the record says that was last brought there.
    refresh : bool
        Whether a mutable source is fetched again.
    """
    if not found:
        return Verdict(source, Why.MISSING, owned=entry is not None)
    if entry is None:
        return _without_entry(source, found)
    altered = is_edited(found, entry)
    if refresh and source.mutable:
        return Verdict(source, Why.REFRESHED, owned=True, altered=altered)
    if source.sha256 and source.sha256 != entry.sha256:
        if not source.unpack and digest(found, source.paths) == source.sha256:
            return Verdict(source, Why.ADOPTED)
        return Verdict(source, Why.REDECLARED, owned=True, altered=altered)
    if altered or not entry.files.keys() <= found.keys():
        return Verdict(source, Why.ALTERED, owned=True, altered=altered)
    # The same bytes from elsewhere are the same bytes; without a declared sha256 nothing says that they are.
    if not entry.is_of(source):
        return Verdict(source, Why.ADOPTED if source.sha256 and not source.unpack else Why.REDECLARED, owned=True)
    return Verdict(source, Why.PRESENT, owned=True)


def is_edited(found: Files, entry: Entry) -> bool:
    """Tell whether a file that is there is not what was brought; one that is missing is no loss."""
    return any(found.get(name, fact) != fact for name, fact in entry.files.items())


def _without_entry(source: Source, found: Files) -> Verdict:
    if source.unpack or not source.sha256:
        return Verdict(source, Why.UNRECORDED)
    if digest(found, source.paths) == source.sha256:
        return Verdict(source, Why.ADOPTED)
    # A killed command leaves half-done outputs in their place; everything else arrives whole, by a rename.
    return Verdict(source, Why.UNRECORDED if source.command else Why.FOREIGN)
