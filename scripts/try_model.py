#!/usr/bin/env python
"""Call the author's code on a payload, straight from the package, and check its answer against the contract.

Nothing is saved. `invoke watch` does this after each edit: it is the quickest way to see what the code answers now. The
MLflow Model, its forward pass and everything after it are left to `invoke package` and the rest of the chain.

Exit codes: 0 the answer keeps the contract, 1 the model failed, 2 the package or the payload is not as it should be
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from model_side.run.response import try_model

    flags = parser(__doc__, "--package", "--time-limit")
    flags.add_argument("--json-payload-file", type=Path, required=True, help="the payload, JSON")
    try_model(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
