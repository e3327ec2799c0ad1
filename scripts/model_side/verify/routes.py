"""The ways of running a model, compared: directly, in-process, served, over REST, and when it was packaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import StepError, UsageError
from ..base.processes import Figures
from ..model.model import ModelFiles
from ..output.arrays import Arrays, as_array, nulled
from ..output.comparison import Comparison, Tolerance, compare, form_of
from ..output.contract import hold_output
from ..output.files import read_output
from ..payload.text import predictions_from_json

NOT_AVAILABLE = "not available"
REFERENCE = "in-process"  # what the others are compared with
_NOT_COMPARED: dict[str, Any] = {"max_absolute": None, "max_relative": None, "differing": [], "differing_cells": None}


@dataclass(frozen=True)
class Route:
    """One way of running the model: its output, or what is wrong with it, and how it compares with in-process.

    Parameters
    ----------
    name : str
    output : ndarray or dict of str to ndarray, optional
    fault : str
    comparison : Comparison, optional
    figures : Figures, optional
    why_not : str
        Why there is no such route, where there is none.
    """

    name: str
    output: Arrays | None = None
    fault: str = ""
    comparison: Comparison | None = None
    figures: Figures | None = None
    why_not: str = ""

    @property
    def status(self) -> str:
        """Whether it gave an output that fits, and the same as in-process."""
        if self.why_not:
            return NOT_AVAILABLE
        return "agrees" if self.comparison is not None and self.comparison.agrees else "differs"

    @property
    def differs(self) -> bool:
        """Whether it did not."""
        return self.status == "differs"

    def entry(self) -> dict[str, Any]:
        """Return the route as verification.json says it."""
        entry: dict[str, Any] = {"route": self.name, "status": self.status}
        if self.why_not:
            return {**entry, "why": self.why_not}
        parts = self.output if isinstance(self.output, dict) else {"": self.output}
        arrays = {name: array for name, array in parts.items() if array is not None}
        entry["shape"] = _single({name: list(array.shape) for name, array in arrays.items()})
        entry["dtype"] = _single({name: str(array.dtype) for name, array in arrays.items()})
        entry |= self.figures.entry() if self.figures else {"seconds": None, "peak_memory": None}
        entry |= self.comparison.entry() if self.comparison else _NOT_COMPARED
        return {**entry, **({"fault": self.fault} if self.fault else {})}

    def lines(self) -> list[str]:
        """Return the route for a person, with the first differing cells."""
        if self.why_not:
            return [f"{self.name:<12}{self.status}: {self.why_not}"]
        form = form_of(self.output) if self.output is not None else "none that fits"
        found, cost = self.comparison, str(self.figures or "-")
        largest = [found.max_absolute, found.max_relative] if found else [None]
        apart = "-" if None in largest else "absolute {:.3g}, relative {:.3g}".format(*largest)
        line = f"{self.name:<12}{self.status:<9}{cost:<20}{apart + '  ':<36}{form}"
        cells = found.lines(REFERENCE, self.name) if found else []
        return [line, *(f"  {each}" for each in [*filter(None, [self.fault]), *cells])]


def _single(by_name: dict[str, Any]) -> Any:
    """Return the one value of an output without names, else all of them by name; None where there is no output."""
    return by_name.get("") if by_name.keys() <= {""} else by_name


def answered(files: ModelFiles, answers: Mapping[str, Path], rows: int | None = None) -> list[Route]:
    """Return each route by its answer.

    Parameters
    ----------
    files : ModelFiles
    answers : mapping of str to Path
        The file of each route's answer, in MLflow's response format.
    rows : int, optional
        How many rows each answer must have.
    """
    return [_answer(name, path, files, rows) for name, path in answers.items()]


def compared(
    routes: Sequence[Route], reference: Route, tolerance: Tolerance, figures: Mapping[str, Figures]
) -> list[Route]:
    """Return the routes, each with its figures, and compared with the reference."""
    known = (replace(route, figures=figures.get(route.name, route.figures)) for route in routes)
    return [_compared(reference, route, tolerance) for route in known]


def _answer(name: str, path: Path, files: ModelFiles, rows: int | None) -> Route:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(str(path), "cannot be read", got=str(error)) from error
    try:
        predictions = predictions_from_json(text, subject=name)
        allow_nan = files.metadata.get("allow_nan") is True
        # A file by its URI, all else in the declared dtype: JSON has none.
        held = predictions if files.signature.output_files else as_array(predictions, files.signature)
        hold_output(held, files.signature, allow_nan=allow_nan, rows=rows, subject=name)
        output = as_array(predictions, files.signature)
    except StepError as error:
        return Route(name, fault=str(error))
    return Route(name, nulled(output))


def golden_route(path: Path, files: ModelFiles) -> Route:
    """Return what the example gave when the model was packaged: one array, or one per column."""
    try:
        return Route("golden", nulled(as_array(read_output(path), files.signature)))
    except (StepError, ValueError) as error:
        return Route("golden", fault=f"{path.name}: {error}")


def _compared(reference: Route, route: Route, tolerance: Tolerance) -> Route:
    if reference.output is None or route.output is None:
        return route
    found = compare(reference.output, route.output, tolerance)
    return replace(route, fault=found.fault, comparison=found)


def table(routes: Sequence[Route]) -> str:
    """Return the verdict for a person."""
    head = f"{'route':<12}{'status':<9}{'cost':<20}{'largest difference':<36}output"
    return "\n".join([head, *(line for route in routes for line in route.lines())])
