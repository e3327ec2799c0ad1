"""What download_data.py is asked, and what it says: lines for a person, facts for a program."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from model_side.base.found import report_found

from .bring import Settings
from .pins import fill_in
from .progress import progress_on
from .record import Outcome
from .session import check, run


def download(package: Path, settings: Settings, *, every_byte: bool, as_json: bool) -> int:
    """Bring, or check, what a package declares; say what became of it and return the exit code.

    Parameters
    ----------
    package : Path
        The package's directory.
    settings : Settings
    every_byte : bool
        Whether every byte is only read again and compared.
    as_json : bool
        Whether stdout gets one JSON document.

    Raises
    ------
    ReportedError
        If the request is refused as a whole.
    """
    _quiet_libraries()
    outcomes = check(package) if every_byte else _bring(package, settings)
    errors = [outcome.error for outcome in outcomes if outcome.error]
    report_found({"sources": [_facts(outcome) for outcome in outcomes]})
    if errors:
        report_found({"error": "; ".join(map(str, errors))})
    elif every_byte:
        print(f"{package.resolve().name}: every byte of {len(outcomes)} sources is as declared", file=sys.stderr)
    if as_json:
        document = {"package": package.resolve().name, "ok": not errors, "sources": list(map(_facts, outcomes))}
        print(json.dumps(document, indent=1))
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return max((error.exit_code for error in errors), default=0)


def _bring(package: Path, settings: Settings) -> list[Outcome]:
    progress = progress_on(sys.stderr)
    outcomes = run(package, settings, progress)
    if settings.lock:
        for name in fill_in(package, [(outcome.source, outcome.sha256) for outcome in outcomes]):
            progress.say(f"model_data.toml: sha256 of {name} filled in")
    return outcomes


def _quiet_libraries() -> None:
    """Let the libraries of the protocols speak only through errors, unless a person has asked for their words."""
    logging.getLogger().addHandler(logging.NullHandler())  # where nothing handles them, Python prints warnings
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "paths": outcome.source.paths,
        "from": outcome.source.shown,
        "action": outcome.action,
        "why": outcome.verdict.why.value,
        "sha256": outcome.sha256 or None,
        "bytes": outcome.size,
        "error": str(outcome.error) if outcome.error else None,
    }
