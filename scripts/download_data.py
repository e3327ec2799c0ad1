#!/usr/bin/env python
"""Fetch what model_data.toml declares into model_data/, once, and check every byte against its sha256.

Nothing is done, and nothing is said, where everything is there. Files that came from no source are never touched.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import INTERRUPTED, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from downloads.bring import Settings
    from downloads.cache import cache_directory
    from downloads.report import download

    args = _parser().parse_args(argv)
    cache = cache_directory(os.environ)
    settings = Settings(cache, lock=args.lock, refresh=args.refresh, offline=args.offline, jobs=args.jobs)
    return download(args.package, settings, every_byte=args.check, as_json=args.json)


def _parser() -> argparse.ArgumentParser:
    flags = parser(__doc__)
    flags.add_argument("--package", type=Path, default=Path(), help="the package's directory (default: this one)")
    flags.add_argument("--lock", action="store_true", help="fill in missing sha256 in model_data.toml")
    flags.add_argument("--check", action="store_true", help="read every byte again and compare; bring nothing")
    flags.add_argument("--refresh", action="store_true", help="fetch mutable sources again")
    flags.add_argument("--offline", action="store_true", help="fail at once where a network would be needed")
    flags.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    flags.add_argument("--jobs", type=_count, default=4, help="how many files at once (default: %(default)s)")
    return flags


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a chain that is interrupted ends its commands so
    code = run_main(main, is_tool=True)
    if code == INTERRUPTED:
        # At once: Python itself would wait for every thread, and one may wait for a server that has fallen silent.
        sys.stdout.flush()
        os._exit(code)
    raise SystemExit(code)
