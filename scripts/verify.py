#!/usr/bin/env python
"""Show that the ways of running a model agree: in-process, served, over REST, and when it was packaged.

Each answer is held to the output signature and compared with the in-process one. Floats may differ by the tolerance in
the model's metadata (TOLERANCE of model_spec.py), all else must be equal. A prediction must use no network, unless
VERIFICATION of model_spec.py allows it; what else it uses from outside the model is listed. The verdict is a table and
a JSON file; where it is no, the file is called *.failed.json, so that nothing takes it for a proof, and the exit code
is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model_side.contract import Tolerance
from model_side.errors import StepError, UsageError, run_main
from model_side.golden import GOLDEN
from model_side.model_files import ModelFiles, local_directory, read_model
from model_side.payloads import dumps_strict, is_example, read_payload, rows_to_match
from model_side.routes import Route, compare_routes, table
from model_side.text_files import publish, require_writable
from model_side.verification import held_checks, lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    target: Path = args.output_path
    require_writable(target)
    files = read_model(args.model_uri)
    tolerance = Tolerance(**(files.metadata.get("tolerance") or {}))
    answers = {"in-process": args.predict_output, "served": args.test_output}
    answers |= {"rest": args.rest_output} if args.rest_output else {}
    payload = read_payload(args.json_payload_file, files.signature) if args.json_payload_file else None
    rows = rows_to_match(payload, files.signature) if payload else None
    routes = compare_routes(files, answers, _golden(args.model_uri, payload, files), tolerance, rows)
    checks = held_checks(files.metadata, _report(args.serve_report))
    ok = all(route.agrees for route in routes) and not any(check["status"] == "failed" for check in checks)
    result: dict[str, Any] = {"ok": ok, "routes": [route.entry() for route in routes], "checks": checks}
    result["tolerance"] = {"rtol": tolerance.rtol, "atol": tolerance.atol}
    print(f"{table(routes)}\n{lines(checks)}", file=sys.stderr)
    failed = target.with_name(f"{target.stem}.failed{target.suffix}")
    publish(f"{dumps_strict(result, indent=2)}\n", target if ok else failed)
    if not ok:
        raise StepError("verify", "; ".join(_faults(routes, checks)), advice=f"See the table, and {failed}.")
    failed.unlink(missing_ok=True)
    return 0


def _faults(routes: Sequence[Route], checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if wrong := [route.name for route in routes if not route.agrees]:
        yield f"not every route agrees: {', '.join(wrong)}"
    yield from (f"{check['check']}: {check['fault']}" for check in checks if check["status"] == "failed")


def _report(path: Path | None) -> dict[str, Any]:
    """Return what serve_predict.py reports, nothing where it is not given."""
    if path is None:
        return {}
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(str(path), "cannot be read", got=str(error), advice="Run `invoke serve-predict`.") from error
    return report


def _golden(model_uri: str, payload: Mapping[str, Any] | None, files: ModelFiles) -> Path | None:
    """Return the stored output of the example where the payload asks for the same."""
    directory = local_directory(model_uri)
    path = directory / GOLDEN if directory else None
    if not path or not payload or not path.is_file():
        return None
    return path if is_example(payload, files) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--predict-output", type=Path, required=True, help="the answer of predict_func.py")
    parser.add_argument("--test-output", type=Path, required=True, help="the answer of serve_predict.py")
    parser.add_argument("--rest-output", type=Path, help="the answer of its server")
    parser.add_argument("--serve-report", type=Path, help="what serve_predict.py found, for the checks")
    parser.add_argument("--output-path", type=Path, default=Path("verification.json"), help="default: %(default)s")
    parser.add_argument("--json-payload-file", type=Path, help="what was asked; if the example, its output counts too")
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
