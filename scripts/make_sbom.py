#!/usr/bin/env python
"""Write the bill of materials of a verified package, its model and environment, as CycloneDX 1.6 JSON.

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
    from ship.sbom import write_sbom

    flags = parser(__doc__, "--package")
    flags.add_argument("--output-path", type=Path, default=Path(MADE["sbom"]), help="default: %(default)s")
    write_sbom(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
