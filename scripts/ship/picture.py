"""What shows an output best: points, curves, a heat map, a histogram or a table, and what of it that leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from plots import svg
from plots.svg import Array

FEW_ROWS, LONG_ROW, SMALL = 8, 32, 48  # curves: at most, at least; a heat map: at most in each direction
MOST_POINTS, MOST_ROWS, MOST_COLUMNS, MOST_PICTURES = 2048, 10, 8, 4
LARGEST = 1e300  # beyond, distances are infinite


class Picture(NamedTuple):
    """One picture, or one table.

    Parameters
    ----------
    caption : str
        What it shows, and what of the output it leaves out.
    svg : str
        Empty where it is a table.
    head : sequence of str
    rows : sequence of sequence of str
    """

    caption: str
    svg: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def pictures(predictions: Any) -> list[Picture]:
    """Return what shows an answer best.

    Parameters
    ----------
    predictions : object
        As the json module reads them: numbers in nested lists, records, or either by name.
    """
    parts = predictions if isinstance(predictions, Mapping) else {"": predictions}
    drawn = [_picture(value, name) for name, value in list(parts.items())[:MOST_PICTURES]]
    rest = len(parts) - len(drawn)
    return [*drawn, *([Picture(f"{rest} more parts of the output are not shown.")] if rest else [])]


def tables(predictions: Any) -> list[Picture]:
    """Return the first rows of an answer as tables, a matrix by its first columns; a part that has no numbers, no more.

    Parameters
    ----------
    predictions : object
        As above.
    """
    parts = predictions if isinstance(predictions, Mapping) else {"": predictions}
    return [_rows(value, name) for name, value in list(parts.items())[:MOST_PICTURES]]


def _rows(value: Any, name: str) -> Picture:
    values = _numbers(value)
    if values is None or values.ndim != 2:
        return _table(value, name)
    drawn = _table([{f"column {n}": number for n, number in enumerate(row[:MOST_COLUMNS])} for row in value], name)
    if values.shape[1] <= MOST_COLUMNS:
        return drawn
    return drawn._replace(caption=f"{drawn.caption}; the first {MOST_COLUMNS} of {values.shape[1]} columns")


def _picture(value: Any, name: str) -> Picture:
    values = _numbers(value)
    if values is None or not np.isfinite(values).any() or np.nanmax(abs(values)) > LARGEST:
        return _table(value, name)
    said = [name] if name else []
    if values.ndim > 2:
        said.append(f"the first of {' x '.join(map(str, values.shape[:-2]))} matrices")
        values = values[(0,) * (values.ndim - 2)]
    if not np.isfinite(values).any():
        return _table(value, name)
    if values.ndim < 2 or 1 in values.shape[-1:]:
        return _histogram(values.ravel(), said) if values.size > 1 else _table(value, name)
    rows, columns = values.shape
    if rows <= FEW_ROWS and columns >= LONG_ROW:
        return _curves(values, said)
    if max(rows, columns) <= SMALL:
        return _heat_map(values, said)
    return _scatter(values, said) if np.isfinite(values[:, :2]).all(axis=1).any() else _table(value, name)


def _numbers(value: Any) -> Array | None:
    """Return numbers in lists of one length as an array, null as NaN; None where it is anything else."""
    try:
        found = np.array(value)
    except ValueError:
        return None
    if found.dtype == object and all(each is None or isinstance(each, int | float) for each in found.flat):
        return found.astype(np.float64)
    return found.astype(np.float64) if found.dtype.kind in "iufb" else None


def _scatter(values: Array, said: list[str]) -> Picture:
    pairs = values[np.isfinite(values[:, :2]).all(axis=1), :2]
    if len(pairs) < len(values):
        said.append(f"{len(values) - len(pairs)} with a missing number are left out")
    shown = _sampled(pairs, said, "rows")
    head = f"The first two of {values.shape[1]} columns, a point for each of {len(values)} rows"
    return _drawn(svg.points(shown[:, 0], shown[:, 1], ("column 0", "column 1")), head, said)


def _curves(values: Array, said: list[str]) -> Picture:
    numbers = np.arange(values.shape[1], dtype=np.float64)[:, None]
    shown = _sampled(np.hstack([numbers, values.T]), said, "columns").T
    head = f"A curve for each of {_counted(len(values))}, over {values.shape[1]} columns"
    return _drawn(svg.curves(shown[0], shown[1:], ("column", "value")), head, said)


def _heat_map(values: Array, said: list[str]) -> Picture:
    head = f"All values of {_counted(values.shape[0])} and {values.shape[1]} columns"
    return _drawn(svg.cells(values, ("column", "row")), head, said)


def _histogram(values: Array, said: list[str]) -> Picture:
    finite = values[np.isfinite(values)]
    if len(finite) < len(values):
        said.append(f"{len(values) - len(finite)} that are not numbers are left out")
    is_narrow = np.ptp(finite) <= 1e-12 * abs(finite).max() + 1e-300  # no float is between two edges
    bins = 1 if is_narrow else min(50, max(5, round(len(finite) ** 0.5)))
    drawn = svg.bars(finite, bins, ("value", "how many"))
    return _drawn(drawn, f"How often each value occurs among {len(values)}", said)


def _table(value: Any, name: str) -> Picture:
    """Return the first rows of records or of anything else as a table."""
    rows = value if isinstance(value, list) else [value]
    heads = list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))
    shown = rows[:MOST_ROWS]
    cells = [[_cell(row.get(key)) for key in heads] if isinstance(row, dict) else [_cell(row)] for row in shown]
    left = f", the first {len(shown)} shown" if len(shown) < len(rows) else ""
    caption = f"{name}: {_counted(len(rows))}{left}" if name else f"{_counted(len(rows))}{left}"
    return Picture(caption, head=[str(key) for key in heads] or ["value"], rows=cells)


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str("" if value is None else value)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _sampled(values: Array, said: list[str], what: str) -> Array:
    """Return values with evenly spaced rows left out where there are too many to draw, and say so."""
    if len(values) <= MOST_POINTS:
        return values
    step = -(-len(values) // MOST_POINTS)
    said.append(f"one in {step} {what} drawn")
    return values[::step]


def _drawn(drawn: str, head: str, said: list[str]) -> Picture:
    return Picture(f"{'; '.join([head, *said])}.", drawn)


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"
