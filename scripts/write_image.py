#!/usr/bin/env python
"""Write a build context for a container that serves the MLflow Model of a verified package, for docker or podman."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from ship.image import write_image

    flags = parser(__doc__, "--package")
    flags.add_argument("--output-path", type=Path, default=Path("image"), help="a directory (default: %(default)s)")
    asked = flags.parse_args(argv)
    write_image(asked.package, asked.output_path)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
