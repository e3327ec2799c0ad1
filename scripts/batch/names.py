"""The names of the outputs of a batch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from hashlib import sha256

from .directory import Place
from .manifest import recorded_rows

_UNUSUAL = re.compile(r"[^\w.\-+=@ ]")  # in a name of a file
_LONGEST = 180  # bytes of a name, without what is put behind it
_OURS = ("manifest.parquet", "envelope.json")  # no output is called so


class OutputNames:
    """The name of each input's output: the one that it had, else one that nothing else has.

    Parameters
    ----------
    inputs : sequence of str
    suffix : str
    known : mapping of int to str
        Names that outputs had, by the number of the input.
    """

    def __init__(self, inputs: Sequence[str], suffix: str, known: Mapping[int, str]) -> None:
        self._inputs, self._suffix, self._known = inputs, suffix, known
        self._taken: dict[str, str] = {}

    @cached_property
    def _shared(self) -> set[str]:
        return {base for base, count in Counter(map(base_name, self._inputs)).items() if count > 1}

    def avoid(self, place: Place, names: Collection[str]) -> None:
        """Take no name of these that the output of another input has, in the cohort or not."""
        if names:
            rows = recorded_rows(place.root, place.journal, "output", names)
            self._taken = {row["output"]: row["input"] for row in rows}

    def __getitem__(self, number: int) -> str:
        """Return the name of one, which is not kept: a cohort may have a million."""
        if (name := self._known.get(number, "")).endswith(self._suffix):
            return name
        each = self._inputs[number]
        base = base_name(each)
        name = f"{base}{self._suffix}"
        if base in self._shared or name in _OURS or self._taken.get(name, each) != each:
            return f"{base}-{sha256(each.encode()).hexdigest()[:8]}{self._suffix}"
        return name


def base_name(name: str) -> str:
    """Return what an output is called after an input, without its ending."""
    base = name.rstrip("/").rpartition("/")[2].split("?")[0]
    end = _UNUSUAL.sub("_", base).encode()[-_LONGEST:]
    return end.decode(errors="ignore").strip("_. ") or "input"
