"""What a receiver's hardware must have: seconds and memory of a batch's units against the size of their inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from model_side.base.errors import UsageError
from model_side.base.files import publish

from .directory import Place
from .manifest import DONE, all_rows
from .model import package_of

NAME, PLOT = "envelope.json", "envelope.svg"
_MIB, _FEW = 2**20, 3
_SIZE, _ABOVE = (6.4, 6.0), "#d55e00"  # inches; the colour of the line that no unit is above


class Line(NamedTuple):
    """A straight line through figures, and the largest figure above it.

    Parameters
    ----------
    base : float
        At size 0.
    slope : float
        For each MiB of input.
    above : float
        How far the highest figure is above the line.
    """

    base: float
    slope: float
    above: float

    def at(self, size: float) -> float:
        """Return the figure at a size in MiB, as high as any that was measured."""
        return self.base + self.slope * size + self.above


def fitted(sizes: Sequence[float], figures: Sequence[float]) -> Line:
    """Fit a line by least squares.

    Parameters
    ----------
    sizes : sequence of float, shape (n,)
        MiB.
    figures : sequence of float, shape (n,)
        Seconds or MiB.
    """
    from statistics import fmean

    middle, mean = fmean(sizes), fmean(figures)
    spread = sum((size - middle) ** 2 for size in sizes)
    product = sum((size - middle) * (figure - mean) for size, figure in zip(sizes, figures, strict=True))
    slope = product / spread if spread else 0.0
    base = mean - slope * middle
    above = max(figure - base - slope * size for size, figure in zip(sizes, figures, strict=True))
    return Line(base, slope, max(0.0, above))


def envelope(place: Place, model_uri: str) -> list[str]:
    """Write the envelope and its plot beside a manifest, and the envelope into the model's package; return its table.

    Parameters
    ----------
    place : Place
    model_uri : str

    Raises
    ------
    UsageError
        If too few units are done with the model that the last batch was made with.
    """
    digest = place.read_header().get("digest", "")
    done = (row for row in all_rows(place.root, place.journal) if row["status"] == DONE and row["seconds"])
    rows = [row for row in done if row["model"] == digest]
    if len(rows) < _FEW:
        got, advice = str(len(rows)), "Predict a cohort with inputs of several sizes first."
        raise UsageError(str(place.root), "too few units are done", expected=f"at least {_FEW}", got=got, advice=advice)
    sizes = [row["input_bytes"] / _MIB for row in rows]
    figures = {"seconds": [row["seconds"] for row in rows], "MiB": [row["peak_memory"] / _MIB for row in rows]}
    lines = {name: fitted(sizes, each) for name, each in figures.items()}
    shown = sorted({min(sizes), sorted(sizes)[len(sizes) // 2], max(sizes)})
    table = [[size, lines["seconds"].at(size), lines["MiB"].at(size)] for size in shown]
    document: dict[str, Any] = {"model": digest, "units": len(rows), "table": table}
    document |= {name: {**line._asdict(), "most": max(figures[name])} for name, line in lines.items()}
    for directory in filter(None, (place.root, package_of(model_uri))):
        publish(f"{json.dumps(document, indent=1)}\n", directory / NAME)
    publish(_svg(sizes, figures, lines), place.root / PLOT)
    head = f"{'input MiB':>10}  {'seconds':>9}  {'memory MiB':>10}"
    body = [f"{size:>10.2f}  {seconds:>9.3f}  {memory:>10.0f}" for size, seconds, memory in table]
    return [head, *body, f"at most, of {len(rows)} units that were measured, for one worker; {place.root / PLOT}"]


def _svg(sizes: Sequence[float], figures: dict[str, list[float]], lines: dict[str, Line]) -> str:
    """Return two plots, one below the other."""
    from plots.svg import DATA, svg

    def draw(figure: Any) -> None:
        figure.set_facecolor("white")
        for axes, (name, line) in zip(figure.subplots(len(lines), sharex=True), lines.items(), strict=True):
            axes.plot(sizes, figures[name], "o", color=DATA, ms=4, mec="none", alpha=0.65)
            axes.plot([0, max(sizes)], [line.at(0), line.at(max(sizes))], color=_ABOVE)
            axes.set(ylabel=name, xlim=(0, None), ylim=(0, None))
        axes.set_xlabel("input, MiB")

    return svg(draw, _SIZE)
