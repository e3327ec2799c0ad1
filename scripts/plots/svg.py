"""Points, curves, bars, cells: plots by matplotlib as SVG; the same numbers give the same text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Array = npt.NDArray[np.float64]
INK, DATA = "#1a1f24", "#0072b2"
# For curves: the colour of data first, then most of Okabe and Ito's, which the colour-blind tell apart; dashes, too.
_COLOURS = (DATA, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#a6761d", "#999999", INK)
_DASHES = ("-", "--", ":", "-.")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "plots",
    "font.family": ["DejaVu Sans"],  # matplotlib brings it: texts take the same room everywhere
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=_COLOURS, linestyle=_DASHES * 2),
    "figure.constrained_layout.use": True,
    "image.cmap": "cividis",
    "image.interpolation": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
}
_UNTOLD = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_UNUSED = re.compile(r'(?<=<g) id="[^"]*"| id="image[^"]*"| font-family: [^;]*;')
_ID = re.compile(r'(id="|#)([mp][0-9a-f]{10})\b')


def svg(draw: Callable[[Figure], object], size: tuple[float, float] = (4.0, 2.9)) -> str:
    """Return what is drawn into a figure as an SVG file.

    Parameters
    ----------
    draw : callable
        Given the empty figure, draws into it.
    size : tuple of float
        Its width and height, in inches.
    """
    text = StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a matplotlibrc says
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=size)
        draw(figure)
        figure.savefig(text, format="svg", metadata=_UNTOLD)
    return text.getvalue()


def inline(file: str) -> str:
    """Return an SVG file as an element of a page, in the page's font and colours: its variables ink and data."""
    text = _UNUSED.sub("", file[file.index("<svg") :])
    own = hashlib.sha256(text.encode()).hexdigest()[:8]  # a page may hold several
    text = _ID.sub(rf"\g<1>\g<2>{own}", text).replace("<svg", '<svg aria-hidden="true"', 1)
    return text.replace(INK, "var(--ink)").replace(DATA, "var(--data)")


def points(across: Array, up: Array, labels: tuple[str, str]) -> str:
    """Draw a point for each pair of numbers."""
    look: dict[str, Any] = {"ms": 3.0 if len(across) > 200 else 5.0, "mec": "none", "alpha": 0.65}
    return _plot(lambda axes: axes.plot(across, up, "o", **look), labels)


def curves(across: Array, rows: Array, labels: tuple[str, str]) -> str:
    """Draw a line for each row, broken where a number is missing, with a legend."""

    def draw(axes: Axes) -> None:
        axes.plot(across, rows.T, label=[f"row {number}" for number in range(len(rows))])
        if len(rows) > 1:
            axes.figure.legend(loc="outside upper center", ncols=4)

    return _plot(draw, labels)


def bars(values: Array, bins: int, labels: tuple[str, str]) -> str:
    """Draw how many of some numbers are in each of so many ranges."""
    return _plot(lambda axes: axes.hist(values, bins, color=DATA, rwidth=0.95), labels)


def cells(values: Array, labels: tuple[str, str]) -> str:
    """Draw a coloured cell for each number of a matrix, none where it is missing, and the scale of colours."""

    def draw(axes: Axes) -> None:
        image = axes.imshow(values, aspect="auto")
        axes.figure.colorbar(image, ax=axes).outline.set_visible(False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))

    return _plot(draw, labels)


def _plot(draw: Callable[[Axes], object], labels: tuple[str, str]) -> str:
    def both(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set(xlabel=labels[0], ylabel=labels[1])
        draw(axes)

    return inline(svg(both))
