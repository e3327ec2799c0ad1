#!/usr/bin/env python
"""Build the model environment of a package, .venv, from its requirements.txt alone, with uv.

It is made anew each time, so that nothing is in it but what requirements.txt names. Bytecode is compiled along, which
saves seconds at every later import of mlflow.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from environments.sync import sync_environment

    sync_environment(**vars(parser(__doc__, "--package").parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
