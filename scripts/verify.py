#!/usr/bin/env python
"""Show that the ways of running a model agree: directly, in-process, served, over REST, and when it was packaged.

Each answer is checked against the output signature and compared with the in-process one. Floats may differ by the
tolerance in the model's metadata (TOLERANCE of model_spec.py), all else must be equal. A prediction must use no
network, unless VERIFICATION of model_spec.py allows it; what else it uses from outside the model is listed.

With --package, the author's code in that directory is called directly, too. With --again, the model is loaded and
predicts again: its answers must not change, asked twice, each row alone, or from several threads at once; and where the
payload is not its example, that must still give what it gave when it was packaged. All run in processes of their own,
and then --json-payload-file must be given.

With --only, one relation between the answers is asked for again, and nothing is written.

The verdict is a table and a JSON file; where it is no, the file is called *.failed.json, so that nothing takes it for a
proof, what differs is kept in the directory *.failed, and the exit code is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model_side.base.command_line import parser
from model_side.base.errors import run_main


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from model_side.verify.checks import TRIED
    from model_side.verify.one import ask_one
    from model_side.verify.verdict import Asked, verify

    flags = parser(__doc__, "--model-uri", "--time-limit")
    add = flags.add_argument
    add("--predict-output", type=Path, required=True, help="the answer of predict_func.py")
    add("--test-output", type=Path, required=True, help="the answer of serve_predict.py")
    add("--rest-output", type=Path, help="the answer of its server")
    add("--serve-report", type=Path, help="what serve_predict.py found, for the checks")
    add("--output-path", type=Path, default=Path("verification.json"), help="default: %(default)s")
    add("--package", type=Path, help="what the model was made from, to call the author's code directly")
    add("--again", action="store_true", help="let the model predict again: are its answers the same?")
    add("--json-payload-file", type=Path, help="the payload of the answers")
    add("--full", action="store_true", help="ask a slow model for every relation, too: see VERIFICATION['budget']")
    add("--only", choices=TRIED, default="", help="ask again for this relation alone, and write no verdict")
    asked = Asked(**vars(flags.parse_args(argv)))
    (ask_one if asked.only else verify)(asked)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
