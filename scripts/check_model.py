#!/usr/bin/env python
"""Check an MLflow Model that somebody else packaged: every file by its manifest, then its example by running it.

The environment is rebuilt from the model's own files, as serve_predict.py does. There the stored example is predicted,
and the answer is compared with the output that the package carries, within the model's tolerance. That runs the model's
code, confined: without network, files, variables and a home of yours. A manifest shows that nothing changed on the way,
not whom the model came from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main
from model_side.model.store import TRACKING


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from serving.check import Trust, check_model
    from ship.sign import Signer

    flags = parser(__doc__, "--model-uri", "--time-limit")
    add = flags.add_argument
    add("--manifest-only", action="store_true", help="check the files, run nothing of the model")
    add("--unconfined", action="store_true", help="run the model's code with your own rights")
    add("--allow-builds", action="store_true", help="install packages that have no wheel, too, which runs their code")
    add("--memory", type=float, default=0.0, help="gigabytes for each process (default: those of the machine)")
    who = flags.add_mutually_exclusive_group()
    who.add_argument("--public-key", type=Path, help="whose signature it must carry: PEM")
    who.add_argument("--certificates", type=Path, help="PEM of those that you trust to vouch for who signed it")
    who.add_argument("--identity", default="", help="who must have signed it with Sigstore, for example a mail address")
    add("--identity-provider", default="", help="the OpenID Connect issuer that knows them")
    add("--require-signature", action="store_true", help="refuse a model that is not signed")
    add("--tracking-uri", help="of the registry's server or store (default: $MLFLOW_TRACKING_URI)")
    asked = flags.parse_args(argv)
    if asked.tracking_uri:
        os.environ[TRACKING] = asked.tracking_uri
    trust = Trust(asked.unconfined, asked.allow_builds, asked.memory, asked.time_limit or Trust().seconds)
    named = (asked.public_key, asked.certificates, asked.identity, asked.identity_provider)
    signer = Signer(*named, asked.require_signature)
    check_model(asked.model_uri, trust, signer.signed, manifest_only=asked.manifest_only)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main, is_tool=True))
