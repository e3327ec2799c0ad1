#!/usr/bin/env python
"""Show that the ways of running a model agree: directly, in-process, served, over REST, and when it was packaged.

Each answer is held to the output signature and compared with the in-process one. Floats may differ by the tolerance in
the model's metadata (TOLERANCE of model_spec.py), all else must be equal. A prediction must use no network, unless
VERIFICATION of model_spec.py allows it; what else it uses from outside the model is listed.

With --package, the author's code in that directory is called directly, too. With --again, the model is loaded and
predicts again: its answers must not change, asked twice, each row alone, or from several threads at once; and where the
payload is not its example, that must still give what it gave when it was packaged. All run in processes of their own,
and then --json-payload-file must be given.

The verdict is a table and a JSON file; where it is no, the file is called *.failed.json, so that nothing takes it for a
proof, what differs is kept in the directory *.failed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model_side.base.errors import StepError, UsageError, run_main
from model_side.base.files import publish, remove_files, require_file, require_writable
from model_side.base.processes import Figures, figures_of
from model_side.model.model import ModelFiles, local_directory, quiet_mlflow, read_model
from model_side.output.comparison import Tolerance
from model_side.output.files import GOLDEN, write_output
from model_side.payload.payload import is_example, read_payload, rows_to_match
from model_side.payload.text import dumps_strict
from model_side.verify.checks import held_checks, lines
from model_side.verify.routes import REFERENCE, Route, answered, compared, golden_route, table

if TYPE_CHECKING:
    from model_side.verify.trials import Trial

    Trials = Mapping[str, Sequence[Trial]]

REPEATABLE = (
    "An answer may depend on its own row alone: not on the time of day, random numbers without a seed, other rows or"
    " earlier calls."
)

# What it may write into the directory *.failed.
_SIDES = [f"{check}.{side}.npz" for check in ("repeatable", "concurrent") for side in ("expected", "got")]
KEPT = ("direct.npz", "example.npz", *_SIDES)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    target: Path = args.output_path
    require_writable(target)
    if args.package:
        require_file(args.package / "model_spec.py", "--package")
    files = read_model(args.model_uri)
    tolerance = Tolerance.of(files.metadata)
    seen = _seen(args, files, tolerance)
    entries = {name: [each.entry() for each in of] for name, of in seen.trials.items()}
    checks = held_checks(files.metadata, _report(args.serve_report), entries)
    faults = list(_faults(seen.routes, checks))
    result: dict[str, Any] = {"ok": not faults, "model_uuid": files.uuid}
    result |= {"routes": [route.entry() for route in seen.routes], "checks": checks}
    result["tolerance"] = {"rtol": tolerance.rtol, "atol": tolerance.atol}
    wrong = [line for of in seen.trials.values() for each in of if not each.agrees for line in each.lines()]
    print("\n".join([table(seen.routes), lines(checks), *wrong]))
    failed, kept = target.with_name(f"{target.stem}.failed{target.suffix}"), target.with_name(f"{target.stem}.failed")
    remove_files(kept, KEPT)
    for earlier in (target, failed):
        earlier.unlink(missing_ok=True)
    publish(f"{dumps_strict(result, indent=2)}\n", failed if faults else target)
    if faults:
        where = f" What differs is in {kept}." if _keep(kept, seen) else ""
        where = f"{_where(args, seen)}{where}"
        if any(check["check"] == "repeatable" and check["status"] == "failed" for check in checks):
            where += f" {REPEATABLE}"
        raise StepError("verify", "; ".join(faults), advice=f"See the table, and {failed}.{where}")
    return 0


class _Seen(NamedTuple):
    """The routes, compared, the predictions that were made again, and what the example gave where that was asked."""

    routes: list[Route]
    trials: Trials
    example: Route | None


def _seen(args: argparse.Namespace, files: ModelFiles, tolerance: Tolerance) -> _Seen:
    """Compare the answers with the in-process one, and ask the model where the arguments say so."""
    answers = {REFERENCE: args.predict_output, "served": args.test_output}
    answers |= {"rest": args.rest_output} if args.rest_output else {}
    payload = read_payload(args.json_payload_file, files.signature) if args.json_payload_file else None
    # Result files may lie where the next prediction of the same input puts its own: these first.
    routes = answered(files, answers, rows_to_match(payload, files.signature) if payload else None)
    direct, trials, figures = _asked(args, payload, files, tolerance, routes[0])
    figures = {**figures_of(_report(args.serve_report)), **figures}
    found = compared([direct, *routes], routes[0], tolerance, figures)
    golden = _golden(args.model_uri)
    if not payload or not golden:
        return _Seen(found, trials, None)
    if is_example(payload, files):
        return _Seen([*found, *compared([golden_route(golden, files)], routes[0], tolerance, {})], trials, None)
    example = _example(args, files)
    return _Seen([*found, _held_to_example(golden, files, example, tolerance)], trials, example)


def _asked(
    args: argparse.Namespace,
    payload: Mapping[str, Any] | None,
    files: ModelFiles,
    tolerance: Tolerance,
    in_process: Route,
) -> tuple[Route, Trials, Mapping[str, Figures]]:
    """Ask the author's code, and the model again, where the arguments say so."""
    direct = Route("direct", why_not="it needs the package that the model was made from")
    if not (args.package or args.again):
        return direct, {}, {}
    if payload is None:
        raise UsageError("--json-payload-file", "not given", advice="--package and --again ask the model for it.")
    quiet_mlflow()
    from model_side.verify.trials import direct_route, predicted_again

    limit = args.time_limit
    if args.package:
        direct = direct_route(args.package, payload, files, limit)
    if not args.again:
        return direct, {}, {}
    found = predicted_again(args.model_uri, payload, files, tolerance, in_process, limit)
    return direct, found.trials, {"in-process": found.figures} if found.figures else {}


def _example(args: argparse.Namespace, files: ModelFiles) -> Route | None:
    """Return what the model gives for its stored example, where the arguments let it predict."""
    if not args.again or files.example is None:
        return None
    from model_side.verify.trials import example_route

    return example_route(args.model_uri, files, args.time_limit)


def _held_to_example(golden: Path, files: ModelFiles, example: Route | None, tolerance: Tolerance) -> Route:
    """Return the golden output, compared with what the model gives for its example now."""
    if example is None:
        return Route("golden", why_not="the payload is not the model's example")
    if example.output is None:
        return Route("golden", fault=example.fault)
    figures = {"golden": example.figures} if example.figures else {}
    return compared([golden_route(golden, files)], example, tolerance, figures)[0]


def _faults(routes: Sequence[Route], checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if wrong := [route.name for route in routes if route.differs]:
        yield f"not every route agrees: {', '.join(wrong)}"
    yield from (f"{check['check']}: {check['fault']}" for check in checks if check["status"] == "failed")


def _where(args: argparse.Namespace, seen: _Seen) -> str:
    """Return in which files the answers are that differ, and what to do about it."""
    golden = Path(local_directory(args.model_uri) or "", GOLDEN)
    files = {"served": args.test_output, "rest": args.rest_output, **({} if seen.example else {"golden": golden})}
    differing = [route.name for route in seen.routes if route.differs]
    wrong = [files[name] for name in differing if name in files]
    *others, last = map(str, [args.predict_output, *wrong])
    said = f" The answers are in {', '.join(others)} and {last}." if wrong else ""
    if differing == ["served"] and _report(args.serve_report).get("without_other_files"):
        said += " It ran without other files: a file that the model reads where there is one was not there."
    if differing == ["golden"]:
        said += " golden is what the model gave when it was packaged: package it again if it is meant to give another."
    return said


def _keep(directory: Path, seen: _Seen) -> bool:
    """Write the outputs that differ and are in no file yet; tell whether there were any."""
    differing = {route.name: route.output for route in seen.routes if route.differs}
    now = seen.example.output if seen.example and "golden" in differing else None
    outputs = {"direct": differing.get("direct"), "example": now}
    for check, of in seen.trials.items():
        wrong = next((trial for trial in of if trial.outputs), None)
        outputs |= {f"{check}.{side}": output for side, output in wrong.outputs.items()} if wrong else {}
    kept = {name: output for name, output in outputs.items() if output is not None}
    for name, output in kept.items():
        directory.mkdir(exist_ok=True)
        write_output(output, directory / f"{name}.npz")
    return bool(kept)


def _report(path: Path | None) -> dict[str, Any]:
    """Return what serve_predict.py reports, nothing where it is not given."""
    if path is None:
        return {}
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(str(path), "cannot be read", got=str(error), advice="Run `invoke serve-predict`.") from error
    return report


def _golden(model_uri: str) -> Path | None:
    """Return the stored output of the example, where there is one."""
    path = Path(local_directory(model_uri) or "", GOLDEN)
    return path if path.is_file() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--predict-output", type=Path, required=True, help="the answer of predict_func.py")
    parser.add_argument("--test-output", type=Path, required=True, help="the answer of serve_predict.py")
    parser.add_argument("--rest-output", type=Path, help="the answer of its server")
    parser.add_argument("--serve-report", type=Path, help="what serve_predict.py found, for the checks")
    parser.add_argument("--output-path", type=Path, default=Path("verification.json"), help="default: %(default)s")
    parser.add_argument("--package", type=Path, help="what the model was made from, to call the author's code directly")
    parser.add_argument("--again", action="store_true", help="let the model predict again: are its answers the same?")
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds for each (default: %(default)g)")
    parser.add_argument("--json-payload-file", type=Path, help="what was asked")
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
