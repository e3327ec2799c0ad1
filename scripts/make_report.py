#!/usr/bin/env python
"""Write the report of a verified package: one HTML file, without a network, for the people who get the model.

A package that is not verified, or whose proof is of another model, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main
from ship import MADE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from ship.report import write_report

    flags = parser(__doc__, "--package")
    flags.add_argument("--output-path", type=Path, default=Path(MADE["report"]), help="default: %(default)s")
    write_report(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
