"""What verify checks beside a model's answers, each on or off in VERIFICATION of model_spec.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What verify checks, and what it allows, unless VERIFICATION of model_spec.py says otherwise.
VERIFICATION: Mapping[str, bool] = {
    "hermetic": True,
    "portable": True,
    "repeatable": True,
    "concurrent": True,
    "network": False,
}


def settings_of(metadata: Mapping[str, Any]) -> dict[str, bool]:
    """Return the settings in an MLflow Model's metadata, or the defaults."""
    return {**VERIFICATION, **(metadata.get("verification") or {})}


def settings_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what an author declares."""
    for name, value in settings.items():
        if name not in VERIFICATION or not isinstance(value, bool):
            yield f"VERIFICATION: expected {', '.join(VERIFICATION)} with True or False, got {name!r}: {value!r}"
