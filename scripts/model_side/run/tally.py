"""What a process does with a model, as its parent sees it: each load and each prediction is counted and timed."""

from __future__ import annotations

import ctypes
import mmap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

_TEXT = 300  # bytes of what is said of an input


class Tally(ctypes.Structure):
    """Memory that a process shares with its forks; see `shared`.

    Attributes
    ----------
    loads, predictions : int
        How many were begun.
    limit : float
        How many seconds each may take, and what is done between them.
    since : float
        When the latest began or ended, by the monotonic clock.
    input : bytes
        What the latest prediction is of, in UTF-8.
    """

    _fields_ = [
        ("limit", ctypes.c_double),
        ("since", ctypes.c_double),
        ("loads", ctypes.c_longlong),
        ("predictions", ctypes.c_longlong),
        ("input", ctypes.c_char * _TEXT),
    ]

    @classmethod
    def shared(cls, limit: float) -> Tally:
        """Return one whose time begins now."""
        made = cls.from_buffer(mmap.mmap(-1, ctypes.sizeof(cls)))
        made.limit, made.since = limit, time.monotonic()
        return made

    def left(self) -> float:
        """Return how many seconds there are until the limit."""
        return float(self.since + self.limit - time.monotonic())

    def about(self) -> str:
        """Return what the latest prediction was of, as a sentence; nothing where there was none."""
        return f"Its input: {self.input.decode(errors='ignore')}." if self.input else ""


_now = Tally()
_guard = threading.Lock()


def become(tally: Tally) -> None:
    """Count in this one from now on."""
    global _now
    _now = tally


def set_limit(seconds: float) -> None:
    """Give each prediction of this process so many seconds."""
    _now.limit = seconds


@contextmanager
def loading() -> Iterator[None]:
    """Count a load, which begins here and ends with the block."""
    with _guard:
        _now.loads += 1
    yield from _timed()


@contextmanager
def predicting(data: Any) -> Iterator[None]:
    """Count a prediction of this data, which begins here and ends with the block."""
    with _guard:
        _now.predictions += 1
    _now.input = described(data).encode()[: _TEXT - 1]
    yield from _timed()


def _timed() -> Iterator[None]:
    _now.since = time.monotonic()
    try:
        yield
    finally:
        _now.since = time.monotonic()


def described(data: Any) -> str:
    """Return what an input is, for a person: how many rows of which columns, or the dtype and the shape."""
    if isinstance(data, np.ndarray):
        return f"{data.dtype} {data.shape}"
    if isinstance(data, dict):
        return ", ".join(f"{name}: {described(value)}" for name, value in data.items())
    if isinstance(data, pd.DataFrame):
        names = [str(name) for name in data.columns]
        first = [each for each in data.iloc[0] if isinstance(each, str)] if len(data) else []
        rows = f"{len(data)} row{'s' * (len(data) != 1)} of {', '.join(names)}"
        return f"{rows}, the first {', '.join(map(repr, first))}" if first else rows
    return f"a {type(data).__name__} of {len(data)}" if isinstance(data, list) else f"a {type(data).__name__}"
