"""The ways of running a model, compared: directly, in-process, served, over REST, and when it was packaged."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import ReportedError, StepError
from ..base.files import read_text
from ..base.processes import Figures
from ..model.model import ModelFiles
from ..output.arrays import Arrays, as_array, nulled
from ..output.comparison import Comparison, Tolerance, compare, form_of
from ..output.contract import hold_output
from ..output.files import read_golden
from ..payload.text import predictions_from_json

BUDGET = "budget"  # of a slow model: what is left out starts with this word, and says what it took
NOT_AVAILABLE, NOT_APPLICABLE = "not available", "not applicable"  # of a route; of a prediction made again
DIRECT = "direct"
REFUSED, LISTED = "refused", "listed"  # of a request that must be refused; LISTED where it was not, and may be
REFERENCE = "in-process"  # what the others are compared with
_NOT_COMPARED: dict[str, Any] = {"max_absolute": None, "max_relative": None, "differing": [], "differing_cells": None}


@dataclass(frozen=True)
class Route:
    """One way of running the model: its output, or what is wrong with it, and how it compares with another.

    Parameters
    ----------
    name : str
    output : ndarray or dict of str to ndarray, optional
    fault : str
    figures : Figures, optional
    why_not : str
        Why there is no such route, where there is none.
    told : str
        What it is where it is not compared: `REFUSED` or `LISTED`.
    expected : ndarray or dict of str to ndarray, optional
        What it was compared with.
    comparison : Comparison, optional
    """

    name: str
    output: Arrays | None = None
    fault: str = ""
    figures: Figures | None = None
    why_not: str = ""
    told: str = ""
    expected: Arrays | None = None
    comparison: Comparison | None = None

    def against(self, expected: Arrays | None, tolerance: Tolerance) -> Route:
        """Return it, compared with another output where both are there.

        Parameters
        ----------
        expected : ndarray or dict of str to ndarray, optional
        tolerance : Tolerance
        """
        if expected is None or self.output is None:
            return self
        found = compare(expected, self.output, tolerance)
        return replace(self, expected=expected, fault=found.fault, comparison=found)

    @property
    def agrees(self) -> bool:
        """Whether it gave an output that fits, and the same as the other; or the error that it must."""
        return self.told == REFUSED or (self.comparison is not None and self.comparison.agrees)

    @property
    def differs(self) -> bool:
        """Whether it did not."""
        return not (self.agrees or self.why_not or self.told)

    @property
    def status(self) -> str:
        """What a report says of it."""
        if self.why_not.startswith(BUDGET):
            return f"not checked: {BUDGET}"
        return self.told or (NOT_AVAILABLE if self.why_not else "agrees" if self.agrees else "differs")

    def entry(self) -> dict[str, Any]:
        """Return the route as verification.json says it."""
        entry: dict[str, Any] = {"route": self.name, "status": self.status}
        if self.why_not:
            return {**entry, "why": self.why_not.removeprefix(f"{BUDGET}: ")}
        parts = self.output if isinstance(self.output, dict) else {"": self.output}
        arrays = {name: array for name, array in parts.items() if array is not None}
        entry["shape"] = _single({name: list(array.shape) for name, array in arrays.items()})
        entry["dtype"] = _single({name: str(array.dtype) for name, array in arrays.items()})
        entry |= self.figures.entry() if self.figures else {"seconds": None, "peak_memory": None}
        entry |= self.comparison.entry() if self.comparison else _NOT_COMPARED
        return {**entry, **({"fault": self.fault} if self.fault else {})}

    def trial_entry(self) -> dict[str, Any]:
        """Return a prediction that was made again as verification.json says it."""
        if self.why_not:
            return {"trial": self.name, "status": NOT_APPLICABLE, "why": self.why_not}
        entry = {"trial": self.name, "status": self.status, **(self.comparison.entry() if self.comparison else {})}
        return {**entry, **({"fault": self.fault} if self.fault else {})}

    def faults(self, one: str = "expected", other: str = "got") -> list[str]:
        """Return what is wrong, for a person: the first differing cells, of two outputs with these names."""
        return [*filter(None, [self.fault]), *(self.comparison.lines(one, other) if self.comparison else [])]

    def lines(self) -> list[str]:
        """Return the route for a person, with the first differing cells."""
        if self.why_not:
            return [f"{self.name:<12}{self.status}: {self.why_not.removeprefix(f'{BUDGET}: ')}"]
        form = form_of(self.output) if self.output is not None else "none that fits"
        found, cost = self.comparison, str(self.figures or "-")
        largest = [found.max_absolute, found.max_relative] if found else [None, None]
        apart = "".join(f"{'-' if each is None else f'{each:.3g}':<11}" for each in largest)
        line = f"{self.name:<12}{self.status:<9}{cost:<18}{apart}{form}"
        return [line, *(f"  {each}" for each in self.faults(REFERENCE, self.name))]


def _single(by_name: dict[str, Any]) -> Any:
    """Return the one value of an output without names, else all of them by name; None where there is no output."""
    return by_name.get("") if by_name.keys() <= {""} else by_name


def failed(name: str, error: ReportedError) -> Route:
    """Return a route that gave an error, and show the author's traceback."""
    if error.author_traceback:
        print(error.author_traceback.rstrip(), file=sys.stderr)
    return Route(name, fault=str(error))


def compared(name: str, expected: Arrays, got: Arrays, tolerance: Tolerance) -> Route:
    """Return how an output compares with the one before; both are in it only where they differ.

    Parameters
    ----------
    name : str
    expected, got : ndarray or dict of str to ndarray
    tolerance : Tolerance
    """
    route = Route(name, got).against(expected, tolerance)
    return replace(route, output=None, expected=None) if route.agrees else route


def read_answer(name: str, path: Path, files: ModelFiles, rows: int | None, figures: Figures | None = None) -> Route:
    """Return a route by its answer.

    Parameters
    ----------
    name : str
    path : Path
        The file of the answer, in MLflow's response format.
    files : ModelFiles
    rows : int or None
        How many rows it must have.
    figures : Figures, optional
        What it cost.

    Raises
    ------
    UsageError
        If the file cannot be read.
    """
    text = read_text(path)
    try:
        predictions = predictions_from_json(text, subject=name)
        allow_nan = files.metadata.get("allow_nan") is True
        # A file by its URI, all else in the declared dtype: JSON has none.
        checked = predictions if files.signature.output_files else as_array(predictions, files.signature)
        hold_output(checked, files.signature, allow_nan=allow_nan, rows=rows, subject=name)
        return Route(name, nulled(as_array(predictions, files.signature)), figures=figures)
    except StepError as error:
        return Route(name, fault=str(error), figures=figures)


def golden_route(path: Path, files: ModelFiles) -> Route:
    """Return what the example gave when the model was packaged: one array, or one per column.

    Parameters
    ----------
    path : Path
        The file of the stored output.
    files : ModelFiles
    """
    try:
        return Route("golden", nulled(read_golden(path, files.signature)))
    except (StepError, ValueError) as error:
        return Route("golden", fault=f"{path.name}: {error}")


def table(routes: Sequence[Route]) -> str:
    """Return the verdict for a person."""
    head = f"{'route':<12}{'status':<9}{'cost':<18}{'max. abs.':<11}{'max. rel.':<11}output"
    return "\n".join([head, *(line for route in routes for line in route.lines())])


def cells(trials: Mapping[str, Sequence[Route]]) -> Iterator[str]:
    """Yield the first cells that differ in what was asked again."""
    wrong = (each for made in trials.values() for each in made if each.differs)
    yield from (f"  {each.name}: {line}" for each in wrong for line in each.faults())
