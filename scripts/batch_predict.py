#!/usr/bin/env python
"""Predict a cohort: many inputs through one MLflow Model, on several processes or on a Ray cluster.

Each worker runs in the environment rebuilt from the model alone, and loads the model once. Only what is stale runs: a
second call does nothing. Outputs are named after their inputs, and --out/manifest.parquet has a row for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from batch.request import Request
    from batch.run import run_batch

    flags = parser(__doc__, "--model-uri")
    add = flags.add_argument
    add(
        "--inputs",
        default="",
        help="a pattern, a directory, a list (.txt), a table (.csv, .parquet), a payload (.json)",
    )
    add("--out", default="predictions", help="the directory of outputs, or any fsspec URI (default: %(default)s)")
    add("--params", default="", help="params of predict, as JSON")
    add("--workers", type=int, default=0, help="processes (default: one for each processor)")
    add("--format", default="", help="of outputs: npy, npz, parquet, h5ad or json (default: the best that holds them)")
    add("--manifest-format", default="parquet", help="parquet or csv (default: %(default)s)")
    add("--rows", type=int, default=1, help="of a payload file, rows for each request (default: %(default)s)")
    add("--time-limit", type=float, default=3600.0, help="seconds for one input (default: %(default)g)")
    add("--retry-failed", action="store_true", help="run what failed, alone")
    add("--dry-run", action="store_true", help="say what would run, write nothing")
    add("--verified-only", action="store_true", help="refuse a model that is not verified")
    add("--ray", default="", help="run on a Ray cluster: auto, or the address of its head, HOST:PORT")
    add("--actor-cpus", type=float, default=1.0, help="of each Ray actor (default: %(default)g)")
    add("--actor-gpus", type=float, default=0.0, help="of each Ray actor (default: %(default)g)")
    add("--envelope", action="store_true", help="predict nothing: what --out tells of the hardware that is needed")
    add("--json", action="store_true", help="print one JSON document on stdout")
    return run_batch(Request(**vars(flags.parse_args(argv))))


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
