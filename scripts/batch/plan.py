"""Which units must run, and why: decided from what is recorded and what is there, without writing anything."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model_side.payload.fingerprints import fingerprint_of, stamp_of

from .directory import Place
from .inputs import Cohort
from .manifest import DONE, FAILED, known_rows, manifest_of
from .request import unit_key

UNCHANGED = ""
NEW, FAILED_BEFORE, GONE = "never predicted", "failed before", "its output has been removed"
CUT_OFF = "interrupted before"
CHANGED = {"model": "the model changed", "params": "the params changed", "format": "another format is wanted"}
INPUT_CHANGED = "the input changed"


@dataclass(frozen=True)
class Made:
    """What outputs are made with.

    Parameters
    ----------
    digest : str
        Of the model.
    params : mapping
    params_text : str
        The same as JSON.
    form : str
    """

    digest: str
    params: Mapping[str, Any]
    params_text: str
    form: str

    def key(self, fingerprint: str) -> str:
        """Return the key of a unit with that fingerprint of its input."""
        return unit_key(self.digest, self.params, fingerprint, self.form)


@dataclass(frozen=True)
class Plan:
    """What must run.

    Parameters
    ----------
    todo : array of int
        Numbers of units.
    reasons : Counter
        How many run for each reason.
    fresh, failed : int
        How many have their output; how many failed before and are not tried now.
    """

    todo: array[int]
    reasons: Counter[str] = field(default_factory=Counter)
    fresh: int = 0
    failed: int = 0


def known_of(place: Place, cohort: Cohort) -> dict[str, dict[str, Any]]:
    """Return what is recorded of the inputs of a cohort."""
    if manifest_of(place.root) is None and not place.journal.exists():
        return {}
    return known_rows(place.root, place.journal, dict.fromkeys(cohort.names))


def make_plan(
    place: Place, cohort: Cohort, known: Mapping[str, Mapping[str, Any]], made: Made, *, only_failed: bool
) -> Plan:
    """Decide what runs.

    Parameters
    ----------
    place : Place
    cohort : Cohort
    known : mapping of str to mapping
        As `known_of` returns it.
    made : Made
    only_failed : bool
        Whether units that failed run alone.
    """
    todo, reasons, fresh, failed = array("q"), Counter[str](), 0, 0
    there = place.outputs() if known else set()
    for number, name in enumerate(cohort.names):
        row = known.get(name)
        reason = NEW if row is None else _reason(row, cohort, number, made, there)
        if not reason:
            fresh += 1
        elif not only_failed or reason == FAILED_BEFORE:
            todo.append(number)
            reasons[reason] += 1
        elif reason == FAILED_BEFORE:
            failed += 1
    return Plan(todo, reasons, fresh, failed)


def _reason(row: Mapping[str, Any], cohort: Cohort, number: int, made: Made, there: set[str]) -> str:
    """Return why a recorded unit must run, nothing where its output is what it would make again."""
    if row["status"] != DONE:
        return FAILED_BEFORE if row["status"] == FAILED else CUT_OFF
    wanted = {"model": made.digest, "params": made.params_text, "format": made.form}
    if differing := next((name for name in wanted if row[name] != wanted[name]), ""):
        return CHANGED[differing]
    if row["output"] not in there:
        return GONE
    payload = cohort.payload(number)
    if row["stamp"] and cohort.alone and stamp_of(payload) == row["stamp"]:
        return UNCHANGED  # times only spare reading it again
    same = made.key(fingerprint_of(payload, alone=cohort.alone).value) == row["key"]
    return UNCHANGED if same else INPUT_CHANGED
