#!/usr/bin/env python
"""Compile requirements.in of a package to a fully pinned requirements.txt, for the package's own interpreter.

mlflow is always in the set, because the package is loaded and served with it. Pins stay as they are until --upgrade
moves them. uv's own settings apply: uv.toml, UV_* variables; so do constraints.txt and overrides.txt of the package.
"""

from __future__ import annotations

from collections.abc import Sequence

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from environments.includes import included
    from environments.lock import compile_requirements
    from model_side.model.requirements import check_written

    flags = parser(__doc__, "--package")
    flags.add_argument("--upgrade", action="store_true", help="move the pins to the newest releases that fit")
    flags.add_argument("--generate-hashes", action="store_true", help="pin the hash of every file, too")
    args = flags.parse_args(argv)
    source = args.package / "requirements.in"
    check_written(args.package, (source, *included([source], constraints=False)))
    compile_requirements(**vars(args))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
