"""The ways of running a model, compared: in-process, served, over REST, and its example when it was packaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .answers import Arrays, nulled
from .contract import Comparison, Tolerance, as_array, compare, form_of, hold_output
from .errors import StepError, UsageError
from .golden import read_output
from .model_files import ModelFiles
from .payloads import predictions_from_json


@dataclass(frozen=True)
class Route:
    """One way of running the model: its output, or what is wrong with it, and how it compares with in-process."""

    name: str
    output: Arrays | None = None
    fault: str = ""
    comparison: Comparison | None = None

    @property
    def agrees(self) -> bool:
        """Whether it gave an output that fits, and the same as in-process."""
        return self.comparison is not None and self.comparison.agrees

    def entry(self) -> dict[str, Any]:
        """Return the route as verification.json says it."""
        parts = self.output if isinstance(self.output, dict) else {"": self.output}
        arrays = {name: array for name, array in parts.items() if array is not None}
        entry: dict[str, Any] = {"route": self.name, "status": "agrees" if self.agrees else "differs"}
        entry["shape"] = _single({name: list(array.shape) for name, array in arrays.items()})
        entry["dtype"] = _single({name: str(array.dtype) for name, array in arrays.items()})
        found = self.comparison
        entry["max_absolute"] = found.max_absolute if found else None
        entry["max_relative"] = found.max_relative if found else None
        cells = found.differing if found else ()
        entry["differing"] = [{"index": list(c.index), "expected": c.expected, "got": c.got} for c in cells]
        entry["differing_cells"] = found.differing_cells if found else None
        return {**entry, **({"fault": self.fault} if self.fault else {})}


def _single(by_name: dict[str, Any]) -> Any:
    """Return the one value of an output without names, else all of them by name; None where there is no output."""
    return by_name.get("") if by_name.keys() <= {""} else by_name


def compare_routes(
    files: ModelFiles,
    answers: Mapping[str, Path],
    golden: Path | None,
    tolerance: Tolerance,
    rows: int | None = None,
) -> list[Route]:
    """Return each route, compared with the first one.

    Parameters
    ----------
    files : ModelFiles
    answers : mapping of str to Path
        The file of each route's answer, in MLflow's response format.
    golden : Path or None
        The file with the example's output when the model was packaged, where it was asked the same.
    tolerance : Tolerance
    rows : int, optional
        How many rows each answer must have.
    """
    routes = [_answer(name, path, files, rows) for name, path in answers.items()]
    if golden:
        routes.append(_golden_route(golden, files))
    return [_compared(routes[0], route, tolerance) for route in routes]


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


def _golden_route(path: Path, files: ModelFiles) -> Route:
    """Return what the example gave when the model was packaged: one array, or one per column."""
    try:
        return Route("golden", nulled(as_array(read_output(path), files.signature)))
    except (StepError, ValueError) as error:
        return Route("golden", fault=f"{path.name}: {error}")


def _compared(reference: Route, route: Route, tolerance: Tolerance) -> Route:
    if reference.output is None or route.output is None:
        return route
    found = compare(reference.output, route.output, tolerance)
    fault = "" if found.expected_form == found.got_form else f"expected {found.expected_form}, got {found.got_form}"
    return Route(route.name, route.output, fault, found)


def table(routes: Sequence[Route]) -> str:
    """Return the verdict for a person, with the first differing cells."""
    lines = [f"{'route':<12}{'status':<9}{'largest difference':<36}output"]
    for route in routes:
        entry, form = route.entry(), form_of(route.output) if route.output is not None else "none that fits"
        largest = [entry["max_absolute"], entry["max_relative"]]
        apart = "-" if None in largest else "absolute {:.3g}, relative {:.3g}".format(*largest)
        lines.append(f"{route.name:<12}{entry['status']:<9}{apart:<36}{form}")
        lines += [f"  {route.fault}"] if route.fault else []
        lines += [f"  {c['index']}: expected {c['expected']}, got {c['got']}" for c in entry["differing"]]
        hidden = (entry["differing_cells"] or 0) - len(entry["differing"])
        lines += [f"  and {hidden} more cells"] if hidden else []
    return "\n".join(lines)
