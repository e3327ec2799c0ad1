"""Patterns in addresses, the same for every protocol: fsspec's, where a * stops at a slash and ** does not."""

from __future__ import annotations

import re
from collections.abc import Callable

from model_side.base.errors import UsageError

_MAGIC = re.compile(r"[*?\[]")


def is_pattern(path: str) -> bool:
    """Tell whether a path holds letters that stand for others."""
    return bool(_MAGIC.search(path))


def top_of(pattern: str) -> str:
    """Return the directory before the first letter that stands for others, without a slash at its end."""
    return _MAGIC.split(pattern, 1)[0].rpartition("/")[0]


def matching(pattern: str, shown: str) -> Callable[[str], bool]:
    """Return what tells whether a path is one that the pattern of the address `shown` means.

    Raises
    ------
    UsageError
        If it is no pattern.
    """
    from fsspec.utils import glob_translate

    try:
        expression = re.compile(glob_translate(pattern))
    except (ValueError, re.error) as error:
        raise not_a_pattern(shown, error) from error
    return lambda path: expression.match(path) is not None


def not_a_pattern(shown: str, error: Exception) -> UsageError:
    """Return the error for a pattern that is none."""
    return UsageError(shown, "not a pattern", got=str(error), advice="Correct it.")
