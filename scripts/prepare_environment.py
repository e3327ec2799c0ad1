#!/usr/bin/env python
"""Make the environment that serve_predict.py will need, while the MLflow Model is still being made.

It is made of what the package in the working directory declares, and kept where serve_predict.py looks. Should the
model then ask for another one, serve_predict.py makes that: this is only ever a head start.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import run_main
from serving.rebuilt import kept_environment
from serving.recipe import recipe_ahead


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path(), help="default: the working directory")
    kept_environment(recipe_ahead(parser.parse_args(argv).package.resolve(), os.environ), os.environ)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
