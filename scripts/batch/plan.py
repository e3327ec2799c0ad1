"""Which units must run, and why: decided from what is recorded and what is there, without writing anything."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from model_side.base.named_files import named_file
from model_side.payload.fingerprints import fingerprint_of, stamp_of

from .directory import Place, require_ours
from .inputs import Cohort
from .manifest import DONE, FAILED, manifest_of, recorded_rows
from .names import OutputNames
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
    names : OutputNames
    todo : array of int
        Numbers of units.
    reasons : Counter
        How many run for each reason.
    fresh, failed : int
        How many have their output; how many failed before and are not tried now.
    """

    names: OutputNames
    todo: array[int]
    reasons: Counter[str] = field(default_factory=Counter)
    fresh: int = 0
    failed: int = 0


class _Recorded(NamedTuple):
    """What is recorded of an input: its output, why it must run again, and whether its output is no longer ours."""

    output: str
    reason: str
    is_foreign: bool


def make_plan(place: Place, cohort: Cohort, made: Made, *, only_failed: bool) -> Plan:
    """Decide what runs.

    Parameters
    ----------
    place : Place
    cohort : Cohort
    made : Made
    only_failed : bool
        Whether units that failed run alone.

    Raises
    ------
    UsageError
        If a file is there that this tool did not write, or that somebody has changed.
    """
    there, numbers = place.outputs(), range(len(cohort.names))
    known = _known(place, cohort, made, there)
    names = OutputNames(cohort.names, f".{made.form}", {number: each.output for number, each in known.items()})
    names.avoid(place, {names[number] for number in numbers if number not in known})
    others = (name for n in numbers if (name := names[n]) in there and (n not in known or known[n].output != name))
    require_ours(place, chain(others, (each.output for each in known.values() if each.is_foreign)))
    todo, reasons, fresh, failed = array("q"), Counter[str](), 0, 0
    for number in numbers:
        reason = known[number].reason if number in known else NEW
        if not reason:
            fresh += 1
        elif not only_failed or reason == FAILED_BEFORE:
            todo.append(number)
            reasons[reason] += 1
        elif reason == FAILED_BEFORE:
            failed += 1
    return Plan(names, todo, reasons, fresh, failed)


def _known(place: Place, cohort: Cohort, made: Made, there: set[str]) -> dict[int, _Recorded]:
    """Return what is recorded of inputs, by their number."""
    known: dict[int, _Recorded] = {}
    if manifest_of(place.root) is None and not place.journal.exists():
        return known
    numbers = {name: number for number, name in enumerate(cohort.names)}
    wanted = {"model": made.digest, "params": made.params_text, "format": made.form}
    for row in recorded_rows(place.root, place.journal, "input", numbers):
        number, is_there = numbers[row["input"]], row["output"] in there
        is_foreign = is_there and bool(row.get("sha256")) and place.is_altered(row)
        reason = _reason(row, cohort, number, made, wanted) or ("" if is_there else GONE)
        known[number] = _Recorded(row["output"], reason, is_foreign)
    return known


def _reason(row: Mapping[str, Any], cohort: Cohort, number: int, made: Made, wanted: Mapping[str, str]) -> str:
    """Return why a recorded unit must run, nothing where it would make its output again."""
    if row["status"] != DONE:
        return FAILED_BEFORE if row["status"] == FAILED else CUT_OFF
    for name, value in wanted.items():
        if row[name] != value:
            return CHANGED[name]
    if cohort.alone and not row["stamp"] and named_file(cohort.names[number]) is None:
        return UNCHANGED  # of a URI that the model reads, the text is all that is known
    payload = cohort.payload(number)
    if row["stamp"] and cohort.alone and stamp_of(payload) == row["stamp"]:
        return UNCHANGED  # times only spare reading it again
    same = made.key(fingerprint_of(payload, alone=cohort.alone).value) == row["key"]
    return UNCHANGED if same else INPUT_CHANGED
