#!/usr/bin/env python
"""Register a verified package as a version of a model in MLflow's registry, on a server or in a database.

A run is logged with the MLflow Model, byte for byte, what verify measured and the reports; the version is made from
that run. A model that is registered already stays the version that it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from ship.register import Place, register

    flags = parser(__doc__, "--package")
    add = flags.add_argument
    add("--name", required=True, help="of the registered model")
    add("--alias", default="", help="of the version, for example candidate")
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    add("--tracking-uri", default=uri, help="default: $MLFLOW_TRACKING_URI, else mlflow.db here")
    asked = flags.parse_args(argv)
    register(asked.package, Place(asked.name, asked.alias, asked.tracking_uri))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
