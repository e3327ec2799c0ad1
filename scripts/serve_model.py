#!/usr/bin/env python
"""Keep a model's server up, in the environment rebuilt from the MLflow Model alone, until Ctrl-C.

It is the server that serve_predict.py asks. Once it answers, a command that sends it the payload is printed. What it
says goes to stderr.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from serving.serve import serve

    flags = parser(__doc__, "--model-uri", "--json-payload-file", "--time-limit")
    flags.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: one that is free)")
    serve(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
