#!/usr/bin/env python
"""Make the environment that serve_predict.py will need, while the MLflow Model is still being made.

It is made of what the package in the working directory declares, and kept where serve_predict.py looks. Should the
model then ask for another one, serve_predict.py makes that: this is only ever a head start.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from serving.rebuilt import prepare_environment

    prepare_environment(**vars(parser(__doc__, "--package").parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
