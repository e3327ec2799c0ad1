#!/usr/bin/env python
"""Predict as a receiver of the model does, in an environment rebuilt from the MLflow Model alone, with its own mlflow.

The environment is made with uv from the model's python_env.yaml and requirements.txt. It is kept in $XDG_CACHE_HOME
(or in $MODEL_ENVIRONMENT_CACHE) and used again, after a check, until one of them changes.

With --strict or --env-manager, --output-path comes from the manual way's command instead, unaltered: `mlflow models
predict` with that manager (default: uv), by the mlflow of .venv in the working directory, else by the one beside this
interpreter. MLflow then makes an environment of its own at each call (or, with "local", none). With --rest-output, too,
the rebuilt environment predicts once more, for what --report says of the prediction.

With --rest-output, `mlflow models serve` of the rebuilt environment answers the payload too, then four payloads that
must be refused, then several requests at once. --report says who answered and which faults MLflow let through.
With --slow and without --full, it answers two, at once, and what MLflow is known to let through is not sent.

The model's own example, and a payload whose other texts are absolute paths or URIs, is predicted from a read-only copy
of the model, in an empty directory, and without network where the system can do that and the model does not declare it.
What the prediction uses beyond the model, its environment and its input is noted in the report, by an audit hook.

The payload is checked against the model's signature first. What MLflow and the model print goes to stderr.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main

MANAGERS = ["uv", "virtualenv", "conda", "local"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from serving.asking import Request
    from serving.serve import serve_predict

    flags = parser(__doc__, "--model-uri", "--json-payload-file", "--time-limit")
    add = flags.add_argument
    add("--output-path", type=Path, default=Path("test_output.json"), help="default: %(default)s")
    add("--env-manager", choices=MANAGERS, help="the manager of MLflow's own environment; implies --strict")
    add("--strict", action="store_true", help="hand the manual way's command to MLflow unaltered")
    add("--rest-output", type=Path, help="ask over REST, too, and write the answer there")
    add("--report", type=Path, default=Path("serve_report.json"), help="default: %(default)s")
    add("--parallel", type=int, default=4, help="requests at once (default: %(default)s)")
    add("--serial", action="store_true", help="start the server after the prediction: one copy of the model at a time")
    add("--full", action="store_true", help="ask a slow model for everything, too")
    add("--slow", action="store_true", help="a prediction takes over its budget: ask as little as possible")
    serve_predict(Request(**vars(flags.parse_args(argv))))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
