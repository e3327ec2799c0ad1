#!/usr/bin/env python
"""Write the model card of a verified package, with the Hub's front matter; what its author wrote in it stays.

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
    from ship.card import write_card

    flags = parser(__doc__, "--package")
    flags.add_argument("--output-path", type=Path, default=Path(MADE["card"]), help="default: %(default)s")
    write_card(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
