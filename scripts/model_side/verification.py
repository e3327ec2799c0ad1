"""What a model is held to beside its answers: hermetic and portable predictions, each on or off in model_spec.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What verify holds a model to, and what it allows, unless VERIFICATION of model_spec.py says otherwise.
VERIFICATION: Mapping[str, bool] = {"hermetic": True, "portable": True, "network": False}


def settings_of(metadata: Mapping[str, Any]) -> dict[str, bool]:
    """Return what an MLflow Model's metadata says of it."""
    return {**VERIFICATION, **(metadata.get("verification") or {})}


def settings_faults(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what an author declares."""
    for name, value in settings.items():
        if name not in VERIFICATION or not isinstance(value, bool):
            yield f"VERIFICATION: expected {', '.join(VERIFICATION)} with True or False, got {name!r}: {value!r}"


def held_checks(metadata: Mapping[str, Any], report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each check with its status: passed, failed, off or not checked.

    Parameters
    ----------
    metadata : mapping
        Of the MLflow Model.
    report : mapping
        What serve_predict.py found; empty where it was not asked.
    """
    settings = settings_of(metadata)
    used, portable = report.get("used_from_outside"), report.get("portable", "not checked")
    hermetic = {"check": "hermetic", "status": "not checked" if used is None else "passed", **(used or {})}
    if used and used["network"] and not settings["network"]:
        hermetic["status"] = "failed"
        hermetic["fault"] = f"the prediction uses the network: {', '.join(used['network'])}"
    checks = [hermetic, {"check": "portable", "status": portable}]
    return [each if settings[each["check"]] else {"check": each["check"], "status": "off"} for each in checks]


def lines(checks: list[dict[str, Any]]) -> str:
    """Return the checks for a person."""
    return "\n".join(f"{each['check']:<12}{each['status']:<12}{_said(each)}".rstrip() for each in checks)


def _said(check: Mapping[str, Any]) -> str:
    if "fault" in check:
        return str(check["fault"])
    found = [f"{kind}: {', '.join(check[kind])}" for kind in ("files", "network", "programs") if check.get(kind)]
    return f"it uses, from outside: {'; '.join(found)}" if found else ""
