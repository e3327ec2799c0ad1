"""Small plots as SVG: axes with round numbers, and points, lines, bars or cells in them, in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
WIDTH, HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 388, 10, 250
# For lines: the page's own colour of data first, then those of Okabe and Ito, which the colour-blind tell apart.
_COLOURS = ("var(--data)", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "currentColor")
_DASHES = ("", "6 3", "2 2", "8 3 2 3")
# Anchors of cividis: equal steps look equal, to the colour-blind as well.
_CIVIDIS = ((0, 34, 78), (65, 77, 107), (124, 123, 120), (188, 175, 111), (254, 232, 56))

_HALO = ' paint-order="stroke" stroke="var(--page)" stroke-width="3"'  # a line may run behind a text


class Scale(NamedTuple):
    """Numbers from `low` to `high`, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Array, start: float, end: float, margin: float = 0.04) -> Scale:
        """Return the scale that shows all of some finite numbers."""
        low, high = float(values.min()), float(values.max())
        room = (high - low) * margin or abs(low) * 0.1 or 1.0
        return cls(low - room, high + room, start, end) if margin or low == high else cls(low, high, start, end)

    def at(self, values: Array) -> Array:
        """Return where numbers are drawn."""
        placed: Array = self.start + (values - self.low) / (self.high - self.low) * (self.end - self.start)
        return placed

    def place(self, value: float) -> float:
        """Return where one number is drawn."""
        return float(self.at(np.array([value]))[0])

    def ticks(self, about: int = 5) -> list[float]:
        """Return round numbers on it, `about` as many as asked for at most."""
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / about))
        step = next(power * each for each in (1, 2, 5, 10) if span / (power * each) <= about)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


def points(across: Array, up: Array, labels: tuple[str, str]) -> str:
    """Draw a point for each pair of numbers."""
    x, y = _scales(across, up)
    size = 2.0 if len(across) > 200 else 3.5
    marks = (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size}"/>' for a, b in zip(x.at(across), y.at(up), strict=True))
    return _svg(x, y, labels, f'<g fill="var(--data)" fill-opacity="0.65">{"".join(marks)}</g>')


def curves(across: Array, rows: Array, labels: tuple[str, str]) -> str:
    """Draw a line for each row, broken where a number is missing, with a legend."""
    x, y = _scales(across, rows[np.isfinite(rows)])
    places = x.at(across)
    lines = "".join(_line(places, y.at(row), number) for number, row in enumerate(rows))
    legend = "".join(_legend(number) for number in range(len(rows))) if len(rows) > 1 else ""
    return _svg(x, y, labels, lines + legend)


def bars(counts: Array, edges: Array, labels: tuple[str, str]) -> str:
    """Draw a bar from each edge to the next."""
    x, y = Scale.of(edges, _LEFT, _RIGHT), Scale(0.0, float(counts.max()) * 1.05, _BOTTOM, _TOP)
    places, heights = x.at(edges), y.at(counts)
    marks = (
        f'<rect x="{a:.1f}" y="{top:.1f}" width="{max(b - a - 0.5, 0.5):.1f}" height="{_BOTTOM - top:.1f}"/>'
        for a, b, top in zip(places, places[1:], heights, strict=False)
    )
    return _svg(x, y, labels, f'<g fill="var(--data)">{"".join(marks)}</g>')


def cells(values: Array, labels: tuple[str, str]) -> str:
    """Draw a coloured cell for each number of a matrix, none where it is missing, and the scale of colours."""
    rows, columns = values.shape
    right = _RIGHT - 50
    colour = Scale.of(values[np.isfinite(values)], 0.0, 1.0, margin=0.0)
    width, height = (right - _LEFT) / columns, (_BOTTOM - _TOP) / rows
    marks = [
        _cell(_LEFT + column * width, _TOP + row * height, width, height, colour.place(values[row, column]))
        for row, column in np.argwhere(np.isfinite(values))
    ]
    bar = Scale(colour.low, colour.high, _BOTTOM, _TOP)
    marks += [_cell(right + 10, _BOTTOM - (n + 1) * 4.8, 10, 4.8, n / 49) for n in range(50)]
    marks += [_text(right + 24, bar.place(each) + 4, f"{each:.4g}", "start") for each in bar.ticks()]
    x, y = Scale(-0.5, columns - 0.5, _LEFT, right), Scale(-0.5, rows - 0.5, _TOP, _BOTTOM)
    return _svg(x, y, labels, f'<g shape-rendering="crispEdges">{"".join(marks)}</g>', whole=True)


def _scales(across: Array, up: Array) -> tuple[Scale, Scale]:
    return Scale.of(across, _LEFT, _RIGHT), Scale.of(up, _BOTTOM, _TOP)


def _cell(x: float, y: float, width: float, height: float, share: float) -> str:
    fill = "".join(f"{round(level):02x}" for level in _colour(share))
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="#{fill}"/>'


def _colour(share: float) -> list[float]:
    at, anchors = np.linspace(0, 1, len(_CIVIDIS)), np.array(_CIVIDIS).T
    return [float(np.interp(share, at, levels)) for levels in anchors]


def _look(number: int) -> str:
    dashes = _DASHES[number % len(_DASHES)]
    more = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'fill="none" stroke="{_COLOURS[number % len(_COLOURS)]}" stroke-width="1.5"{more}'


def _line(across: Array, up: Array, number: int) -> str:
    steps, broken = [], True
    for a, b in zip(across, up, strict=True):
        if math.isfinite(b):
            steps.append(f"{'M' if broken else 'L'}{a:.1f} {b:.1f}")
        broken = not math.isfinite(b)
    return f'<path d="{"".join(steps)}" {_look(number)}/>'


def _legend(number: int) -> str:
    y = _TOP + 8 + 15 * number
    return (
        f'<path d="M{_RIGHT - 80} {y}h22" {_look(number)}/>{_text(_RIGHT - 52, y + 4, f"row {number}", "start", _HALO)}'
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{text}</text>'


def _svg(x: Scale, y: Scale, labels: tuple[str, str], marks: str, *, whole: bool = False) -> str:
    """Return the plot with its axes; `whole` keeps ticks to whole numbers."""
    axes = "".join(_axes(x, y, labels, whole=whole))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" font-size="11" fill="currentColor">{axes}{marks}</svg>'
    )


def _axes(x: Scale, y: Scale, labels: Sequence[str], *, whole: bool) -> Iterator[str]:
    left, right, low, high = x.start, x.end, max(y.start, y.end), min(y.start, y.end)
    yield f'<path d="M{left} {high}V{low}H{right}" fill="none" stroke="currentColor"/>'
    for value in _shown(x, whole=whole):
        place = x.place(value)
        yield f'<path d="M{place:.1f} {low}v4" stroke="currentColor"/>{_text(place, low + 16, f"{value:.4g}")}'
    for value in _shown(y, whole=whole):
        place = y.place(value)
        label = _text(left - 7, place + 4, f"{value:.4g}", "end")
        yield f'<path d="M{left} {place:.1f}h-4" stroke="currentColor"/>{label}'
    yield _text((left + right) / 2, HEIGHT - 6, labels[0])
    middle = (low + high) / 2
    yield _text(12, middle, labels[1], more=f' transform="rotate(-90 12 {middle:.0f})"')


def _shown(scale: Scale, *, whole: bool) -> list[float]:
    return [each for each in scale.ticks() if not whole or each == round(each)]
