"""Ask a loaded model, and see whether a later call changes what an earlier one took or gave.

Import it in the model environment only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..output.arrays import Array, Arrays, as_array, jsonable
from ..output.comparison import Tolerance
from ..run.in_process import Loaded, checked
from .routes import Route, compared

_EXACT = Tolerance(rtol=0.0)
INPUT, ANSWER = "an input, after its call", "an answer, after the next call"
FIRST_INPUT, FIRST_ANSWER = "the first input, after the last call", "the first answer, after the last call"


class _Kept(NamedTuple):
    """What must stay as it is: the values that it held, and a way to read them again."""

    held: Arrays
    read: Callable[[], Arrays]

    @classmethod
    def of(cls, read: Callable[[], Arrays]) -> _Kept:
        return cls(read(), read)


@dataclass
class Witness:
    """A model whose first and latest input and answer are kept, beside copies of what they held.

    Parameters
    ----------
    model : Loaded
    """

    model: Loaded
    _first: dict[str, _Kept] = field(default_factory=dict)
    _latest: dict[str, _Kept] = field(default_factory=dict)
    _seen: dict[str, Route] = field(default_factory=dict)

    def predict(self, payload: Mapping[str, Any]) -> Arrays:
        """Return the answer to a payload that fits, checked against the contract, as copies.

        Parameters
        ----------
        payload : mapping

        Returns
        -------
        ndarray or dict of str to ndarray

        Raises
        ------
        StepError
            If the model raises, or its output does not fit.
        """
        data = self.model.data(payload)
        given = _Kept.of(lambda: _values(data))
        output = self.model.answer(data, payload.get("params"))
        checked(output, self.model.files, payload)
        answer = _Kept.of(lambda: _copied(as_array(output, self.model.files.signature)))
        self._look({**self._latest, INPUT: given})
        self._latest = {ANSWER: answer}
        self._first = self._first or {FIRST_INPUT: given, FIRST_ANSWER: answer}
        return answer.held

    def changes(self) -> Iterator[Route]:
        """Yield how what was kept compares with what it held: the first that differs, or one for all."""
        self._look(self._first)
        wrong = [each for each in self._seen.values() if not each.agrees]
        yield wrong[0] if wrong else replace(self._seen[INPUT], name="inputs and answers, after later calls")

    def _look(self, kept: Mapping[str, _Kept]) -> None:
        for name, each in kept.items():
            if name not in self._seen or self._seen[name].agrees:
                self._seen[name] = compared(name, each.held, each.read(), _EXACT)


def _values(data: Any) -> Arrays:
    """Return copies of what an input holds, as arrays that can be compared."""
    if isinstance(data, pd.DataFrame):
        return {str(name): _plain(data.iloc[:, place].to_numpy()) for place, name in enumerate(data.columns)}
    return {name: _plain(each) for name, each in data.items()} if isinstance(data, dict) else _plain(data)


def _plain(value: Any) -> Array:
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return value.copy()
    values = jsonable(value) if isinstance(value, list | np.ndarray) else [jsonable(value)]
    return np.fromiter(values, object, len(values))


def _copied(output: Arrays) -> Arrays:
    return {name: each.copy() for name, each in output.items()} if isinstance(output, dict) else output.copy()
