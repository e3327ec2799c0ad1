"""The former results that packages keep, by step: shown and pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.kept import shelves

from .packages import Package

_DAY = 86400


def former_results(packages: Sequence[Package], prune: str) -> list[dict[str, Any]]:
    """Return what is kept, by model and step, after what was not used for some days is removed.

    Parameters
    ----------
    packages : sequence of Package
    prune : str
        The days; nothing is removed where it is not a number.
    """
    days = float(prune) if prune.replace(".", "", 1).isdigit() else None
    kept = []
    for package in packages:
        for shelf in shelves(package.root):
            removed = 0 if days is None else shelf.prune(days * _DAY)
            results, size = shelf.size()
            facts = {"model": package.name, "step": shelf.path.name, "results": results, "bytes": size}
            kept.append({**facts, "removed": removed})
    return kept


def as_text(kept: Sequence[dict[str, Any]]) -> str:
    """Return a line for each step of each model, and a sum."""
    lines = [
        f"{facts['model']}  {facts['step']:<13}  former results: {facts['results']:>3}  {facts['bytes'] / 1e6:9.1f} MB"
        + f"  {facts['removed']} removed" * bool(facts["removed"])
        for facts in kept
    ]
    count, size = (sum(facts[name] for facts in kept) for name in ("results", "bytes"))
    return "\n".join([*lines, f"former results: {count}, {size / 1e6:.1f} MB"])
