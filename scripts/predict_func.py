#!/usr/bin/env python
"""Predict in this process from a payload, as a Python script or a notebook would, and write MLflow's response as JSON.

The payload is checked against the model's signature before anything is loaded: what MLflow would coerce in silence is
refused. The output is checked against the signature, too. JSON has no NaN and no infinity: they are refused, unless the
model's metadata has `allow_nan: true` (ALLOW_NAN of model_spec.py); then they are written as null.

The ending of --output-path says what is written: .json, or for a large output .npy (one array) or .npz (arrays by
name). There dtypes are kept, and NaN stays NaN.

Only the answer goes to stdout; whatever the model prints goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from model_side.base.errors import run_main
from model_side.base.files import publish, require_writable
from model_side.base.tracebacks import authors_code
from model_side.model.model import ModelFiles, disable_tracing, quiet_mlflow, read_model, whole_model
from model_side.output.files import JSON, export, require_suitable
from model_side.payload.payload import read_payload, rows_to_match
from model_side.payload.text import dumps_strict


def predict(model_uri: str, payload: Mapping[str, Any], files: ModelFiles, say: TextIO) -> Any:
    """Return the model's output for a payload that fits, held to its signature; `say` takes what there is to say of it.

    Raises
    ------
    StepError
        If the author's code raises, or the output does not fit the signature.
    """
    start = time.perf_counter()
    quiet_mlflow()
    disable_tracing()
    from model_side.output.arrays import as_array
    from model_side.output.comparison import summary
    from model_side.output.contract import hold_output
    from model_side.run.in_process import load_in_process, parse_payload

    with whole_model(model_uri) as directory:
        with authors_code("load", directory):
            model = load_in_process(directory)
        data = parse_payload(payload, model, files.signature)
        loaded = time.perf_counter()
        with authors_code("predict", directory):
            output = model.predict(data, params=payload.get("params"))
    allow_nan = files.metadata.get("allow_nan") is True
    times = f"loaded in {loaded - start:.2f} s, predicted in {time.perf_counter() - loaded:.2f} s"
    print(times, file=say, flush=True)
    hold_output(output, files.signature, allow_nan=allow_nan, rows=rows_to_match(payload, files.signature))
    print(summary(as_array(output, files.signature)), file=say, flush=True)
    return output


def keep_stdout_for_data() -> TextIO:
    """Return a stream to stdout, and send whatever else is written there, also by C code, to stderr from now on."""
    sys.stdout.flush()
    data = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return data


def main(argv: Sequence[str] | None = None, data: TextIO | None = None) -> int:
    """Run the command line; the answer, or what there is to say of it where a file takes it, goes to `data`.

    That is stdout by default, which is then kept for it alone.
    """
    args = _parser().parse_args(argv)
    data = keep_stdout_for_data() if data is None else data
    files, target = read_model(args.model_uri), args.output_path
    if target:
        require_writable(target)
        require_suitable(target, files.signature)
    payload = read_payload(args.json_payload_file, files.signature)
    output = predict(args.model_uri, payload, files, data if target else sys.stderr)
    if target and target.suffix not in JSON:
        export(output, target, files.signature)
    elif target:
        publish(f"{_answer(output)}\n", target)
    else:
        print(_answer(output), file=data, flush=True)
    return 0


def _answer(output: Any) -> str:
    """Return an output in MLflow's response format."""
    from model_side.output.arrays import jsonable

    return dumps_strict({"predictions": jsonable(output)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--json-payload-file", required=True, help="the payload, JSON or .csv; - reads JSON from stdin")
    parser.add_argument(
        "--output-path",
        type=Path,
        help="the file to write: .json, .npy or .npz (default: JSON on stdout)",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
