"""Compare two outputs of a model: floats by a tolerance, all else exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from .arrays import Array, Arrays, jsonable

SHOWN = 5  # differing cells in one comparison
_MOST = float(np.finfo("float64").max)  # JSON has no infinity
_ABSENT = object()  # the value of a key that only the other object has


@dataclass(frozen=True)
class Tolerance:
    """How far two floats may be apart: ``|expected - got| <= atol + rtol * |expected|``; the rest is exact."""

    rtol: float = 1e-5
    atol: float = 0.0

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Tolerance:
        """Return the tolerance that an MLflow Model's metadata has, or the default."""
        return cls(**(metadata.get("tolerance") or {}))


@dataclass(frozen=True)
class Difference:
    """A cell in which two outputs differ; `index` starts with the part's name where there are several."""

    index: tuple[int | str, ...]
    expected: Any
    got: Any


@dataclass(frozen=True)
class Comparison:
    """Two outputs, compared.

    Parameters
    ----------
    agrees : bool
        Same names, shapes and dtypes, and no cell differs.
    max_absolute, max_relative : float or None
        Largest differences over all pairs of finite numbers, nested ones and booleans too (relative: where the expected
        one is not 0); None where there is no such pair.
    differing : tuple of Difference
        The first few.
    differing_cells : int
    expected_form, got_form : str
        Dtypes and shapes.
    """

    agrees: bool
    max_absolute: float | None
    max_relative: float | None
    differing: tuple[Difference, ...]
    differing_cells: int
    expected_form: str
    got_form: str

    @property
    def fault(self) -> str:
        """What is wrong with the form, nothing where the forms are the same."""
        same = self.expected_form == self.got_form
        return "" if same else f"expected {self.expected_form}, got {self.got_form}"

    def lines(self, one: str = "expected", other: str = "got") -> list[str]:
        """Return the first differing cells, for a person, who knows the two outputs by these names."""
        cells = [f"{list(c.index)}: {one} {c.expected}, {other} {c.got}" for c in self.differing]
        hidden = self.differing_cells - len(cells)
        return [*cells, *([f"and {hidden} more cells"] if hidden else [])]

    def entry(self) -> dict[str, Any]:
        """Return the comparison as verification.json has it."""
        kept = ("max_absolute", "max_relative", "differing", "differing_cells")
        return {name: value for name, value in asdict(self).items() if name in kept}


def compare(expected: Arrays, got: Arrays, tolerance: Tolerance | None = None) -> Comparison:
    """Compare two outputs as `as_array` returns them.

    Parameters
    ----------
    expected, got : ndarray or dict of str to ndarray
    tolerance : Tolerance, optional
        For floats; integers, texts and all else must be equal. NaN equals NaN.
    """
    forms = form_of(expected), form_of(got)
    if forms[0] != forms[1]:
        return Comparison(False, None, None, (), 0, *forms)
    pairs = [(name, array, _parts(got)[name]) for name, array in _parts(expected).items()]
    differs = [_differs(one, other, tolerance or Tolerance()) for _, one, other in pairs]
    cells = sum(int(mask.sum()) for mask in differs)
    differences = (each for pair, mask in zip(pairs, differs, strict=True) for each in _differences(*pair, mask))
    largest = [numbers for _, one, other in pairs if (numbers := _largest(one, other))]
    absolute, relative = map(max, zip(*largest, strict=True)) if largest else (None, None)
    return Comparison(not cells, absolute, relative, tuple(islice(differences, SHOWN)), cells, *forms)


def form_of(output: Arrays) -> str:
    """Return the dtype and shape of an output, for a message.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        As `as_array` returns it.
    """
    return ", ".join(
        f"{name}{': ' if name else ''}{'text' if array.dtype.kind == 'U' else array.dtype} {list(array.shape)}"
        for name, array in sorted(_parts(output).items())
    )


def summary(output: Arrays) -> str:
    """Return dtype, shape and range of an output, a line for each of its arrays.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        As `as_array` returns it.
    """
    lines = []
    for name, array in _parts(output).items():
        span = (
            f", from {np.nanmin(array):.6g} to {np.nanmax(array):.6g}"
            if array.dtype.kind in "fiu" and array.size
            else ""
        )
        lines.append(f"output {form_of({name: array})}{span}")
    return "\n".join(lines)


def _parts(output: Arrays) -> Mapping[str, Array]:
    return output if isinstance(output, Mapping) else {"": output}


def _differs(expected: Array, got: Array, tolerance: Tolerance) -> Array:
    """Tell of each cell whether it differs."""
    if expected.dtype.kind == "f":
        return ~_near(expected, got, tolerance)
    if expected.dtype.kind == "O":
        cells = zip(expected.ravel().tolist(), got.ravel().tolist(), strict=True)
        same = (all(_same(e, g, tolerance) for e, g in _leaves(*cell)) for cell in cells)
        return ~np.fromiter(same, bool, expected.size).reshape(expected.shape)
    return np.asarray(expected != got)


def _differences(name: str, expected: Array, got: Array, differs: Array) -> Iterator[Difference]:
    for place in np.argwhere(differs):
        index = tuple(int(n) for n in place)
        yield Difference((*([name] if name else []), *index), jsonable(expected[index]), jsonable(got[index]))


def _near(expected: Array, got: Array, tolerance: Tolerance) -> Array:
    """Tell of each pair of floats whether they are as near as the tolerance lets them."""
    e, g = expected.astype("float64"), got.astype("float64")
    with np.errstate(over="ignore"):
        return np.asarray(np.isclose(g, e, tolerance.rtol, tolerance.atol, equal_nan=True))


def _largest(expected: Array, got: Array) -> tuple[float, float] | None:
    """Return the largest absolute and relative difference, None where no two finite numbers face each other."""
    if expected.dtype.kind == "O":
        leaves = (pair for cell in zip(expected.flat, got.flat, strict=True) for pair in _leaves(*cell))
        expected, got = np.array([pair for pair in leaves if all(map(_is_finite, pair))], "float64").reshape(-1, 2).T
    if expected.dtype.kind not in "fiub":
        return None
    finite = np.isfinite(expected) & np.isfinite(got)
    if not finite.any():
        return None
    wide = "float64" if expected.dtype.kind == "f" else "longdouble"  # which holds every integer
    e, g = expected[finite].astype(wide), got[finite].astype(wide)
    with np.errstate(over="ignore"):
        apart = np.minimum(np.abs(e - g), _MOST)
        relative = np.divide(apart, np.abs(e), out=np.zeros_like(apart), where=e != 0)
    return float(apart.max()), float(min(relative.max(), _MOST))


def _leaves(expected: Any, got: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the values in two JSON values that have the same place; lists of two lengths are one value."""
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for e, g in zip(expected, got, strict=True):
            yield from _leaves(e, g)
    elif isinstance(expected, dict) and isinstance(got, dict):
        for key in expected.keys() | got.keys():
            yield from _leaves(expected.get(key, _ABSENT), got.get(key, _ABSENT))
    else:
        yield expected, got


def _is_finite(value: Any) -> bool:
    """Tell whether a JSON value is a number that a float holds; Python's integers have no end."""
    return isinstance(value, int | float) and abs(value) <= _MOST


def _same(expected: Any, got: Any, tolerance: Tolerance) -> bool:
    """Compare two plain JSON values, floats by the tolerance."""
    if isinstance(expected, float) and isinstance(got, float):
        return bool(_near(np.array(expected), np.array(got), tolerance))
    return type(expected) is type(got) and bool(expected == got)
