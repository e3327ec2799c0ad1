#!/usr/bin/env python
"""Fetch what model_data.toml declares into model_data/, once, and check every byte against its sha256.

Nothing is done, and nothing is said, where everything is there. Files that came from no source are never touched.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from downloads.bring import Settings
from downloads.cache import cache_directory
from downloads.pins import fill_in
from downloads.progress import progress_on
from downloads.session import Outcome, check, run
from pipeline.errors import INTERRUPTED, PipelineError, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    _quiet_libraries()
    try:
        outcomes = check(args.package) if args.check else _download(args)
    except PipelineError as fault:
        if args.json:
            _print_json(args.package, [], ok=False, error=str(fault))
        raise
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if args.json:
        _print_json(args.package, outcomes, ok=not errors)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return max((error.exit_code for error in errors), default=0)


def _download(args: argparse.Namespace) -> list[Outcome]:
    progress = progress_on(sys.stderr)
    cache = cache_directory(os.environ)
    settings = Settings(cache, lock=args.lock, refresh=args.refresh, offline=args.offline, jobs=args.jobs)
    outcomes = run(args.package, settings, progress)
    if args.lock:
        for name in fill_in(args.package, [(outcome.source, outcome.sha256) for outcome in outcomes]):
            progress.say(f"model_data.toml: sha256 of {name} filled in")
    return outcomes


def _quiet_libraries() -> None:
    """Let the libraries of the protocols speak only through errors, unless a person has asked for their words."""
    logging.getLogger().addHandler(logging.NullHandler())  # where nothing handles them, Python prints warnings
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _print_json(package: Path, outcomes: Sequence[Outcome], *, ok: bool, **more: str) -> None:
    document = {"package": package.resolve().name, "ok": ok, "sources": [_as_json(each) for each in outcomes], **more}
    print(json.dumps(document, indent=1))


def _as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "paths": outcome.source.paths,
        "from": outcome.source.shown,
        "action": outcome.action,
        "why": outcome.why.value,
        "sha256": outcome.sha256 or None,
        "bytes": outcome.size,
        "error": str(outcome.error) if outcome.error else None,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path(), help="the package's directory (default: this one)")
    parser.add_argument("--lock", action="store_true", help="fill in missing sha256 in model_data.toml")
    parser.add_argument("--check", action="store_true", help="read every byte again and compare; bring nothing")
    parser.add_argument("--refresh", action="store_true", help="fetch mutable sources again")
    parser.add_argument("--offline", action="store_true", help="fail at once where a network would be needed")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("--jobs", type=_count, default=4, help="how many files at once (default: %(default)s)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    code = run_main(main)
    if code == INTERRUPTED:
        # At once: Python itself would wait for every thread, and one may wait for a server that has fallen silent.
        sys.stdout.flush()
        os._exit(code)
    raise SystemExit(code)
