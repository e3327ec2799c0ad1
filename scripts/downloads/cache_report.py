"""Show what the cache holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .cache import Cached
from .progress import amount

_DAY = 86400


def cache_lines(contents: Sequence[Cached], now: float) -> list[str]:
    """Return a line for each object, the longest unused first, and a sum.

    Parameters
    ----------
    contents : sequence of Cached
    now : float
        Seconds since the epoch.
    """
    lines = [
        f"{cached.sha256[:12]}  {amount(cached.size):>9}  {_age(now - cached.used):>12}  {_uses(cached.links):>12}  "
        f"{cached.name}  {cached.shown}"
        for cached in contents
    ]
    only_here = sum(cached.size for cached in contents if not cached.links)
    total = amount(sum(cached.size for cached in contents))
    return [*lines, f"{len(contents)} files, {total}; pruning all of it would free {amount(only_here)}"]


def cache_json(contents: Sequence[Cached]) -> list[dict[str, Any]]:
    """Return the objects as JSON documents."""
    return [asdict(cached) for cached in contents]


def _age(seconds: float) -> str:
    days = int(max(seconds, 0) // _DAY)
    return "today" if days == 0 else f"{days} day{'s' * (days > 1)} ago"


def _uses(links: int) -> str:
    return f"{links} link{'s' * (links != 1)}"
