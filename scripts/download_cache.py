#!/usr/bin/env python
"""Show the cache of downloads that all models and clones share, or prune it. model_data/ stays as it is."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from model_side.base.command_line import parser
from model_side.base.errors import run_main
from model_side.base.found import report_found

DAY = 86400


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from downloads.cache import Cache, cache_directory, cache_lines

    flags = parser(__doc__)
    flags.add_argument("--prune", type=float, metavar="DAYS", help="remove what was not used for so many days; 0: all")
    flags.add_argument("--json", action="store_true", help="print one JSON list on stdout")
    args = flags.parse_args(argv)
    directory = cache_directory(os.environ)
    cache = Cache(directory)
    if args.prune is not None:
        removed = cache.prune(args.prune * DAY)
        print(f"{directory}: removed {len(removed)} files", file=sys.stderr)
    contents = cache.contents()
    documents = list(map(asdict, contents))
    report_found({"cache": str(directory), "files": documents})
    print(json.dumps(documents, indent=1) if args.json else "\n".join(cache_lines(contents, time.time())))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
