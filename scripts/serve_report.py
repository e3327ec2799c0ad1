#!/usr/bin/env python
"""Serve a verified package's report and a page that asks its model, in a browser, until Ctrl-C.

The model answers in the environment rebuilt from the MLflow Model alone; the address of the page is printed.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from ship.asking import serve_report

    flags = parser(__doc__, "--package", "--time-limit")
    flags.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: one that is free)")
    serve_report(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
