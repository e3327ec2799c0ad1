"""A clock that can be moved: the time of day as this process's Python code reads it.

C code that asks the system itself, and the times that the system gives to files, are not moved.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

AHEAD = 34_567_384.0  # seconds: 400 days, 2 h, 3 min and 4 s: the year, month, day, weekday and time are others


@dataclass
class Clock:
    """What a process's clock shows.

    Parameters
    ----------
    ahead : float
        How many seconds it is ahead of the machine's.
    """

    ahead: float = 0.0
    _machines: Callable[[], float] = time.time

    def turn_to(self, moment: float) -> None:
        """Let it go on from a moment, in seconds since 1970."""
        self.ahead = moment - self._machines()


class _Instead:
    """Stands for a function of C: like that, it becomes no method in a class, and is pickled by its name."""

    def __init__(self, original: Callable[..., Any], answer: Callable[..., Any]) -> None:
        update_wrapper(self, original)
        self._original, self._answer = original, answer

    def __call__(self, *arguments: Any) -> Any:
        return self._answer(self._original, *arguments)

    def __reduce__(self) -> str:
        return self._original.__qualname__


def movable_clock() -> Clock:
    """Put a clock that can be moved in the place of this process's, until it ends.

    Call it before the code is imported that shall read it: `from time import time` takes what is there.
    """
    clock = Clock()
    _put("time", lambda real: real() + clock.ahead)
    _put("time_ns", lambda real: real() + int(clock.ahead * 1e9))
    for name in ("localtime", "gmtime", "ctime"):
        _put(name, lambda real, moment=None: real(time.time() if moment is None else moment))
    _put("asctime", lambda real, parts=None: real(time.localtime() if parts is None else parts))
    _put("strftime", lambda real, form, parts=None: real(form, time.localtime() if parts is None else parts))
    _put_method(datetime.datetime, _now)
    _put_method(datetime.datetime, _utcnow)
    return clock


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(time.time(), tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)


def _put(name: str, answer: Callable[..., Any]) -> None:
    """Put an answer, which is given the original, in the place of a function of `time`."""
    setattr(time, name, _Instead(getattr(time, name), answer))


def _put_method(kind: type, method: Callable[..., Any]) -> None:
    """Put a class method in the place of one of a type of C, whose attributes setattr refuses."""
    (attributes,) = gc.get_referents(kind.__dict__)
    attributes[method.__name__.removeprefix("_")] = classmethod(method)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
