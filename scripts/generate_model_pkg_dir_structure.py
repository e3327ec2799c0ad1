#!/usr/bin/env python
"""Make a model's package from a template: everything but load_context, _get_input and _forward is written.

A package that exists is kept. --refresh brings the files that nobody edited up to date with the template; --update
merges the template's changes into the edited ones, too; --diff shows what --update would do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import SUFFIX, run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from scaffolding.scaffold import scaffold

    scaffold(**vars(_parser().parse_args(argv)))
    return 0


def _parser() -> argparse.ArgumentParser:
    from scaffolding.render import archetype_lines

    flags = parser(__doc__)
    add = flags.add_argument
    add("--model-name", required=True, help=f"an identifier; the package is <name>{SUFFIX}")
    add("--target", type=Path, required=True, help="the directory that the package is made in")
    add("--pkg-template", help="a directory of model_template/ (default: mlflow_template)")
    add("--model-archetype", help="the input-to-output shape (default: file_uri_to_tensor)")
    add(
        "--overlay",
        type=Path,
        help="a directory whose files replace the template's (default: of a package made with one, examples/<name>)",
    )
    add("--refresh", action="store_true", help="bring unedited files up to date, or make the package")
    add("--update", action="store_true", help="merge the template's changes into edited files, too")
    add("--diff", action="store_true", help="show what --update would do, write nothing")
    add("--weights", default="", help="of a new model: a file, a URI, or package==version:file/in/the/wheel")
    add("--requires", action="append", default=[], metavar="LINE", help="a line of a new model's requirements.in")
    listing = "list the archetypes, with what each takes and gives"
    add("--list-archetypes", action="version", version="\n".join(archetype_lines()), help=listing)
    return flags


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
