"""What a model is checked for beside its answers, each on or off in model_spec.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.errors import invoke
from ..model.settings import settings_of, why_off
from .routes import BUDGET, LISTED, NOT_APPLICABLE, REFUSED

# By predicting again.
TRIED = (
    *("repeatable", "world", "rows", "params", "files", "cells", "bad_inputs"),
    *("reload", "history", "unchanged", "concurrent"),
)
_OWN_ROW = (
    "An answer may depend on its own row alone: not on the time of day, random numbers without a seed, other rows or"
    " earlier calls."
)
_ADVICE = {
    **dict.fromkeys(("repeatable", "rows", "history"), _OWN_ROW),
    "world": "An answer may not depend on whose process it is: name the time zone, read no file of a home.",
    "params": "Keep the params of a request in that call alone.",
    "files": "An answer follows what a file holds, not what it is called.",
    "cells": "The answer of a cell depends on that cell, and not on what was read from another file of that name.",
    "bad_inputs": "To a file that is not what it should be, raise an error that names it.",
    "reload": "Keep what load_context makes in the model, not in its class or module.",
    "unchanged": "Return arrays of their own, and copy an input before it is changed.",
    "concurrent": "Keep what belongs to one call out of the model's attributes, or lock it.",
}
UNPROVEN = "not checked: it had files from outside, and no run was without them"


def held_checks(
    metadata: Mapping[str, Any], report: Mapping[str, Any], trials: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Return each check with its status: passed, failed, listed, off or not checked.

    Parameters
    ----------
    metadata : mapping
        Of the MLflow Model.
    report : mapping
        What serve_predict.py found; empty where it was not asked.
    trials : mapping of str to sequence of mapping
        The entries of the predictions that were made again, by the check that they are of.
    """
    settings = settings_of(metadata)
    tried = {name: _tried(name, trials.get(name, ())) for name in TRIED}
    concurrent = tried["concurrent"]
    if at_once := report.get("equal_answers_at_once"):
        over_rest = {"requests_at_once": at_once, "other_rows": report.get("other_rows_at_once", False)}
        if concurrent["status"].startswith("not checked"):
            concurrent = tried["concurrent"] = {"check": "concurrent", "status": "passed"}
        concurrent |= over_rest
    portable = {"check": "portable", "status": report.get("portable", "not checked")}
    if portable["status"] == "passed":
        portable |= {name: report.get(name, False) for name in ("without_network", "without_other_files")}
    checks = [_hermetic(report, settings), portable, *tried.values()]
    return [each if settings[each["check"]] else _off(each["check"], metadata) for each in checks]


def _off(check: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    why = why_off(metadata, check)
    return {"check": check, "status": "off", **({"why": why} if why else {})}


def _hermetic(report: Mapping[str, Any], settings: Mapping[str, bool]) -> dict[str, Any]:
    used, alone = report.get("used_from_outside"), report.get("without_other_files", False)
    check = {"check": "hermetic", "status": "not checked" if used is None else "passed", **(used or {})}
    if used and used["network"] and not settings["network"]:
        check["status"] = "failed"
        check["fault"] = f"the prediction uses the network: {', '.join(used['network'])}"
    elif used and used["files"] and alone:
        check["did_without"] = check.pop("files")
    elif used and used["files"]:
        check["status"] = UNPROVEN
    return check


def _tried(name: str, trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if trials and (why := trials[0].get("why", "")).startswith(BUDGET):
        return {"check": name, "status": f"not checked: {BUDGET}", "why": why.removeprefix(f"{BUDGET}: ")}
    if trials and why:
        return {"check": name, "status": NOT_APPLICABLE, "why": why}
    check: dict[str, Any] = {"check": name, "status": "passed" if trials else "not checked", "trials": list(trials)}
    if listed := [f"{each['trial']}: {each['fault']}" for each in trials if each["status"] == LISTED]:
        check["status"], check["why"] = LISTED, "; ".join(listed)
    if wrong := [each["trial"] for each in trials if each["status"] not in ("agrees", REFUSED, LISTED)]:
        answered = any("max_absolute" in each for each in trials if each["trial"] in wrong)
        fault = "another answer" if answered else "no answer that fits"
        fault = "no error that names the file" if name == "bad_inputs" else fault
        check["status"], check["fault"] = "failed", f"{fault}: {', '.join(wrong)}"
    return check


def advice_on(checks: Sequence[Mapping[str, Any]], package: Path | None = None) -> str:
    """Return what to do about relations that do not hold, and how to ask for the first again; nothing if all do.

    Parameters
    ----------
    checks : sequence of mapping
    package : Path, optional
        Of the model, for that command.
    """
    broken = [check["check"] for check in checks if check["check"] in _ADVICE and check["status"] == "failed"]
    if not broken:
        return ""
    said = " ".join(dict.fromkeys(_ADVICE[name] for name in broken))
    meant = f'VERIFICATION = {{"{broken[0]}": "the reason"}} in model_spec.py allows it where it is right'
    again = f" {invoke(f'verify --only {broken[0]}', package)} asks for that alone." if package else ""
    return f" {said} {meant}.{again}"


def lines(checks: Sequence[Mapping[str, Any]]) -> str:
    """Return the checks for a person."""
    return "\n".join(f"{each['check']:<11} {each['status']:<15} {_said(each)}".rstrip() for each in checks)


def _said(check: Mapping[str, Any]) -> str:
    if said := check.get("fault") or check.get("why"):
        return str(said)
    written = check.get("writes")
    found = [f"{kind}: {', '.join(check[kind])}" for kind in ("files", "network", "programs") if check.get(kind)]
    said = [f"it uses, from outside: {'; '.join(found)}"] if found else []
    said += [f"it writes elsewhere than in temporary directories: {', '.join(written)}"] if written else []
    said += [f"it did without {', '.join(check['did_without'])}"] if "did_without" in check else []
    rows = ", each for other rows" * check.get("other_rows", False)
    at_once = [f"{check['requests_at_once']} requests at once{rows}"] if "requests_at_once" in check else []
    tried = [name.replace("_", " ") for name in ("without_network", "without_other_files") if check.get(name)]
    tried += [*(each["trial"] for each in check.get("trials", ())), *at_once]
    apart = max((each.get("max_absolute") or 0.0 for each in check.get("trials", ())), default=0.0)
    tried += [f"at most {apart:.3g} apart, within TOLERANCE"] if apart else []
    return "; ".join(said) or ", ".join(tried)
