#!/usr/bin/env python
"""Write a test payload for an MLflow Model, from its MLmodel file alone: no weights are loaded.

The values are those of the model's stored example; a model without one gets placeholders such as "<string: input_uri>",
which predict refuses by name until a person has put a value there. Params are written with their defaults.

A file that is there already is yours: it is kept, and checked against the model's signature. --force writes it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from model_side.payload.carried import FORMS
    from model_side.payload.writing import bring_payload

    flags = parser(__doc__, "--model-uri")
    add = flags.add_argument
    add("--json-payload-filepath", type=Path, help="the file to write (default: test_input_payload.json, or .csv)")
    add("--format", dest="form", choices=[*FORMS, "csv"], help="request format (default: the stored example's own)")
    add("--force", action="store_true", help="write the file anew though it is there")
    add("--check", action="store_true", help="only check the file against the model's signature")
    add("--negative", type=Path, metavar="DIR", help="write payloads that must be refused, one fault in each, to DIR")
    bring_payload(**vars(flags.parse_args(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
