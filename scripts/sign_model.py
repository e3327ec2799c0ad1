#!/usr/bin/env python
"""Sign the MLflow Model of a verified package: model.sig in it, in the format of OpenSSF's model-signing.

`model_signing verify` of that library accepts it, and check_model.py those of others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from ship.sign import sign

    flags = parser(__doc__, "--package")
    how = flags.add_mutually_exclusive_group(required=True)
    how.add_argument("--private-key", type=Path, help="an elliptic curve key, PEM, without a password")
    how.add_argument("--sigstore", action="store_true", help="sign as who you are on the web, without a key")
    flags.add_argument("--certificate", type=Path, help="of the key, PEM; then those between it and a trusted one")
    asked = flags.parse_args(argv)
    if asked.certificate and asked.sigstore:
        flags.error("--certificate is of the key of --private-key")
    sign(asked.package, asked.private_key, asked.certificate)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
