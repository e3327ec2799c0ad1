#!/usr/bin/env python
"""Call the author's code on a payload, straight from the package, and hold its answer to the contract; save nothing.

`invoke watch` does this after each edit: it is the quickest way to see what the code answers now. The MLflow Model, its
forward pass and everything after it are left to `invoke package` and the rest of the chain.

Exit codes: 0 the answer keeps the contract, 1 the model failed, 2 the package or the payload is not as it should be
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import UsageError, run_main
from model_side.model.model import disable_tracing, quiet_mlflow
from model_side.payload.text import loads_payload


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    try:
        text = args.json_payload_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        advice = "Run `invoke payload`."
        raise UsageError(str(args.json_payload_file), "cannot be read", got=str(error), advice=advice) from error
    payload = loads_payload(text, str(args.json_payload_file))
    quiet_mlflow()
    disable_tracing()
    from model_side.output.comparison import summary
    from model_side.run.direct import call_directly

    found = call_directly(args.package, payload, seconds=args.time_limit)
    cost = f"loaded in {found.load_seconds:.2f} s, predicted in {found.predict_seconds:.2f} s"
    print(f"{summary(found.output)}; {cost}", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path(), help="the package (default: the working directory)")
    parser.add_argument("--json-payload-file", type=Path, required=True, help="the payload, JSON")
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds (default: %(default)g)")
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
