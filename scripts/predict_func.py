#!/usr/bin/env python
"""Predict in this process from a payload, as a Python script or a notebook would, and write MLflow's response as JSON.

The payload is checked against the model's signature before anything is loaded: what MLflow would coerce in silence is
refused. The output is checked against the signature, too. JSON has no NaN and no infinity: they are refused, unless the
model's metadata has `allow_nan: true` (ALLOW_NAN of model_spec.py); then they are written as null.

The ending of --output-path says what is written: .json, or for a large output .npy (one array) or .npz (arrays by
name). There dtypes are kept, and NaN stays NaN.

With --as-packaged, the answer to the model's own example is the one that the model carries: nothing is loaded.

Only the answer goes to stdout; whatever the model prints goes to stderr.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None, data: TextIO | None = None) -> int:
    """Run the command line; the answer goes to `data`, by default stdout."""
    from model_side.run.response import predict

    flags = parser(__doc__, "--model-uri", "--time-limit")
    flags.add_argument("--json-payload-file", required=True, help="the payload, JSON or .csv; - reads JSON from stdin")
    flags.add_argument("--output-path", type=Path, help="the file to write: .json, .npy or .npz (default: stdout)")
    flags.add_argument("--as-packaged", action="store_true", help="take the packaged answer to the model's example")
    predict(**vars(flags.parse_args(argv)), data=data)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
