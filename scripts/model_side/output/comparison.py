"""Compare two outputs of a model: floats by a tolerance, all else exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from .arrays import Array, Arrays, jsonable

SHOWN = 5  # differing cells in one comparison
_MOST = float(np.finfo("float64").max)  # JSON has no infinity


@dataclass(frozen=True)
class Tolerance:
    """How far two floats may be apart: ``|expected - got| <= atol + rtol * |expected|``; the rest is exact."""

    rtol: float = 1e-5
    atol: float = 0.0

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Tolerance:
        """Return what an MLflow Model's metadata says of it."""
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
        """Return what is wrong with the form, nothing where the forms are the same."""
        same = self.expected_form == self.got_form
        return "" if same else f"expected {self.expected_form}, got {self.got_form}"

    def lines(self, one: str = "expected", other: str = "got") -> list[str]:
        """Return the first differing cells, for a person, who knows the two outputs by these names."""
        said = [f"{list(c.index)}: {one} {c.expected}, {other} {c.got}" for c in self.differing]
        hidden = self.differing_cells - len(said)
        return [*said, *([f"and {hidden} more cells"] if hidden else [])]

    def entry(self) -> dict[str, Any]:
        """Return it as verification.json says it."""
        return {
            "max_absolute": self.max_absolute,
            "max_relative": self.max_relative,
            "differing": [{"index": list(c.index), "expected": c.expected, "got": c.got} for c in self.differing],
            "differing_cells": self.differing_cells,
        }


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
    allowed = tolerance or Tolerance()
    parts = [_Part.of(name, array, _parts(got)[name], allowed) for name, array in _parts(expected).items()]
    cells = sum(part.count for part in parts)
    first = tuple(islice((each for part in parts for each in part.differences()), SHOWN))
    found = [largest for part in parts if (largest := _largest(part.expected, part.got))]
    absolute, relative = map(max, zip(*found, strict=True)) if found else (None, None)
    return Comparison(not cells, absolute, relative, first, cells, *forms)


def form_of(output: Arrays) -> str:
    """Return the dtype and shape of an output, for a message."""
    return ", ".join(
        f"{name}{': ' if name else ''}{_dtype_name(array)} {list(array.shape)}"
        for name, array in sorted(_parts(output).items())
    )


def summary(output: Arrays) -> str:
    """Return dtype, shape and range of an output, a line for each of its arrays."""
    lines = []
    for name, array in _parts(output).items():
        span = f", from {np.nanmin(array):.6g} to {np.nanmax(array):.6g}" if array.dtype.kind in "fiu" else ""
        lines.append(f"output {form_of({name: array})}{span}")
    return "\n".join(lines)


def _dtype_name(array: Array) -> str:
    return "text" if array.dtype.kind == "U" else str(array.dtype)


def _parts(output: Arrays) -> Mapping[str, Array]:
    return output if isinstance(output, Mapping) else {"": output}


@dataclass(frozen=True)
class _Part:
    """One array of an output, compared with its counterpart."""

    name: str
    expected: Array
    got: Array
    differs: Array

    @property
    def count(self) -> int:
        return int(self.differs.sum())

    @classmethod
    def of(cls, name: str, expected: Array, got: Array, tolerance: Tolerance) -> _Part:
        if expected.dtype.kind == "f":
            return cls(name, expected, got, ~_near(expected, got, tolerance))
        if expected.dtype.kind == "O":
            pairs = zip(expected.ravel().tolist(), got.ravel().tolist(), strict=True)
            differs = np.fromiter((not _same(e, g, tolerance) for e, g in pairs), bool, expected.size)
            return cls(name, expected, got, differs.reshape(expected.shape))
        return cls(name, expected, got, np.asarray(expected != got))

    def differences(self) -> Iterator[Difference]:
        head = (self.name,) if self.name else ()
        for place in np.argwhere(self.differs):
            index = tuple(int(n) for n in place)
            yield Difference((*head, *index), jsonable(self.expected[index]), jsonable(self.got[index]))


def _near(expected: Array, got: Array, tolerance: Tolerance) -> Array:
    """Tell of each pair of floats whether they are as near as the tolerance lets them."""
    e, g = expected.astype("float64"), got.astype("float64")
    with np.errstate(invalid="ignore", over="ignore"):
        same = (e == g) | (np.isnan(e) & np.isnan(g))
        apart = np.abs(e - g)
        near: Array = same | (np.isfinite(apart) & (apart <= tolerance.atol + tolerance.rtol * np.abs(e)))
    return near


def _largest(expected: Array, got: Array) -> tuple[float, float] | None:
    """Return the largest absolute and relative difference, None where no two finite numbers face each other."""
    if expected.dtype.kind == "O":
        pairs = [pair for e, g in zip(expected.flat, got.flat, strict=True) for pair in _numbers(e, g)]
        expected, got = np.array(pairs, "float64").reshape(-1, 2).T
    if expected.dtype.kind not in "biuf":
        return None
    if expected.dtype.kind == "f":
        finite = np.isfinite(expected) & np.isfinite(got)
        e, g = expected[finite].astype("float64"), got[finite].astype("float64")
        with np.errstate(over="ignore"):
            apart = np.minimum(np.abs(e - g), _MOST)
    else:  # exactly: large integers are no floats; what wraps here wraps back
        e = expected.ravel().astype("float64")
        high, low = np.maximum(expected, got).ravel(), np.minimum(expected, got).ravel()
        apart = (high.astype("uint64") - low.astype("uint64")).astype("float64")
    if not apart.size:
        return None
    with np.errstate(over="ignore"):
        relative = np.divide(apart, np.abs(e), out=np.zeros_like(apart), where=e != 0)
    return float(apart.max()), float(min(relative.max(), _MOST))


def _numbers(expected: Any, got: Any) -> Iterator[tuple[float, float]]:
    """Yield the numbers in two JSON values that have the same place."""
    if isinstance(expected, int | float) and isinstance(got, int | float):
        with suppress(OverflowError):  # Python's integers have no end
            yield float(expected), float(got)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for e, g in zip(expected, got, strict=True):
            yield from _numbers(e, g)
    elif isinstance(expected, dict) and isinstance(got, dict):
        for key in expected.keys() & got.keys():
            yield from _numbers(expected[key], got[key])


def _same(expected: Any, got: Any, tolerance: Tolerance) -> bool:
    """Compare two JSON values, floats in them by the tolerance."""
    if isinstance(expected, float) and isinstance(got, float):
        return bool(_near(np.array([expected]), np.array([got]), tolerance)[0])
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(_same(e, g, tolerance) for e, g in zip(expected, got, strict=True))
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(_same(expected[key], got[key], tolerance) for key in expected)
    return type(expected) is type(got) and bool(expected == got)
