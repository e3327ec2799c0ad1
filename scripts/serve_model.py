#!/usr/bin/env python
"""Keep a model's server up, in the environment rebuilt from the MLflow Model alone, until Ctrl-C.

It is the server that serve_predict.py asks. Once it answers, a command that asks it is printed. What it says goes to
stderr.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import run_main
from model_side.model.model import quiet_mlflow, read_model, whole_model
from model_side.payload.payload import read_payload
from serving.answering import listener, require_environment
from serving.rebuilt import rebuilt_environment
from serving.server import HOST, serving


def serve(model_uri: str, payload: Path, port: int, seconds: float) -> None:
    """Serve until the server ends.

    Raises
    ------
    StepError
        When it ends by itself.
    """
    read_payload(payload, read_model(model_uri).signature)
    with whole_model(model_uri) as model:
        environment = rebuilt_environment(model, os.environ)
        with serving(str(model), environment, None, port=port, seconds=seconds) as server:
            server.wait_until_up(seconds)
            require_environment(listener(server.port, server.process.pid), environment)
            print(curl_line(server.port, payload), flush=True)
            raise server.failure(f"it ended with exit code {server.process.wait()}")


def curl_line(port: int, payload: Path) -> str:
    """Return a command that sends the payload."""
    kind = "text/csv" if payload.suffix == ".csv" else "application/json"
    data = shlex.quote(f"@{payload.resolve()}")
    return f"curl -H 'Content-Type: {kind}' --data-binary {data} http://{HOST}:{port}/invocations"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--json-payload-file", type=Path, required=True, help="what the printed command sends")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: one that is free)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for each wait (default: %(default)s)")
    args = parser.parse_args(argv)
    quiet_mlflow()
    serve(args.model_uri, args.json_payload_file, args.port, args.time_limit)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
