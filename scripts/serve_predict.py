#!/usr/bin/env python
"""Predict as a receiver of the model does, in an environment rebuilt from the MLflow Model alone, with its own mlflow.

The environment is made with uv from the model's python_env.yaml and requirements.txt. It is kept in $XDG_CACHE_HOME
(or in $MODEL_ENVIRONMENT_CACHE) and used again, after a check, until one of them changes.

With --strict or --env-manager, --output-path comes from the manual way's command instead, unaltered: `mlflow models
predict` with that manager (default: uv), by the mlflow of .venv in the working directory, else by the one beside this
interpreter. MLflow then makes an environment of its own at each call (or, with "local", none). With --rest-output, too,
the rebuilt environment predicts once more, for what --report says of the prediction.

With --rest-output, `mlflow models serve` of the rebuilt environment answers the payload too, then payloads that must be
refused, then the payload several times at once. --report says who answered and which faults MLflow let through.

The model's own example, and a payload whose other texts are absolute paths or URIs, is predicted from a read-only copy
of the model, in an empty directory, and without network where the system can do that and the model does not declare it.
What the prediction uses beyond the model, its environment and its input is noted in the report, by an audit hook.

The payload is held to the model's signature first. What MLflow and the model print goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError, run_main
from model_side.base.files import publish, remove_files, require_writable
from model_side.base.processes import Figures
from model_side.model.model import quiet_mlflow, read_model, whole_model
from model_side.model.settings import settings_of
from model_side.payload.payload import new_texts, read_payload
from model_side.payload.text import dumps_strict
from serving.predict import predict_rebuilt, predict_strict
from serving.rebuilt import Rebuilt, rebuilt_environment
from serving.rest import KEPT, Request, Rest, rest_route
from serving.sandbox.audit import HOOK, Outside, inputs, outside
from serving.sandbox.leash import Limits, allows
from serving.sandbox.portable import elsewhere
from serving.server import serving

_ANYWHERE = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*://")  # an absolute path or a URI


def serve_predict(args: argparse.Namespace) -> None:
    """Write the answers that the arguments ask for, all of them or none."""
    files = read_model(args.model_uri)
    payload = read_payload(args.json_payload_file, files.signature)
    with _part(args.output_path) as part:
        if args.strict and not args.rest_output:
            predict_strict(args.model_uri, args.json_payload_file, part, args.env_manager)
            part.replace(args.output_path)
            return
        kept = args.rest_output.with_name(f"{args.rest_output.stem}.failed") if args.rest_output else None
        request = Request(args.json_payload_file, payload, files, args.parallel, args.time_limit, kept)
        rest = _in_rebuilt(args, part, request)
        if rest and kept:
            remove_files(kept, KEPT)
            publish(rest.answer, args.rest_output)
            publish(f"{dumps_strict(rest.report, indent=2)}\n", args.report)
        part.replace(args.output_path)


def _in_rebuilt(args: argparse.Namespace, part: Path, request: Request) -> Rest | None:
    """Predict, while a server of the same environment comes up where one is asked for."""
    with whole_model(args.model_uri) as model, tempfile.TemporaryDirectory() as scratch:
        environment = rebuilt_environment(model, os.environ)
        place = _Place(model, environment, Path(scratch))
        if not args.rest_output:
            _predict(args, part, request, place)
            return None
        with serving(str(model), environment, place.scratch / "server.log", seconds=args.time_limit) as server:
            facts, served = _predict(args, part, request, place)
            server.wait_until_up(args.time_limit)
            rest = rest_route(server, environment, request)
    for negative in rest.coerced:
        print(f"REST: MLflow answers instead of refusing: {negative.name} ({negative.why})")
    figures = {"served": served.entry(), "rest": rest.figures.entry()}
    return replace(rest, report={**rest.report, **facts, "figures": figures})


class _Place(NamedTuple):
    """Where a model, its environment and what may be thrown away are."""

    model: Path
    environment: Rebuilt
    scratch: Path


def _predict(args: argparse.Namespace, part: Path, request: Request, place: _Place) -> tuple[dict[str, Any], Figures]:
    """Write the answer to `part`, and return what can be said of how it came about, and what it cost."""
    if not args.strict:
        return _watched(part, request, place)
    figures = predict_strict(args.model_uri, request.path, part, args.env_manager)
    return _watched(place.scratch / "answer.json", request, place)[0], figures


def _watched(part: Path, request: Request, place: _Place) -> tuple[dict[str, Any], Figures]:
    """Predict in the rebuilt environment, and see what is used; elsewhere, if the model is to be portable."""
    payload = request.path
    settings, why_not = settings_of(request.files.metadata), _not_portable(request)
    log = place.scratch / "used.log" if settings["hermetic"] else None
    since = time.time()

    def used() -> Outside:
        known = [model, place.scratch, *inputs(request.payload)]
        return outside(log, place.environment.places(), known, since) if log else Outside((), (), ())

    given, answer = place.scratch / f"payload{payload.suffix}", place.scratch / "served.json"
    shutil.copyfile(payload, given)
    with nullcontext((place.model, None)) if why_not else elsewhere(place.model) as (model, directory):
        limits = Limits() if why_not else _limits(place, model, request)
        try:
            figures = predict_rebuilt(model, given, answer, place.environment, log, directory, limits)
        except StepError as error:
            error.advice += "" if why_not else f" {_how_it_ran(used(), limits)}"
            raise
        shutil.copyfile(answer, part)
        facts = {"portable": why_not or "passed", "without_network": limits.offline}
        facts |= {"without_other_files": bool(limits.only), "used_from_outside": used().facts() if log else None}
    return facts, figures


def _limits(place: _Place, copy: Path, request: Request) -> Limits:
    """Return what a prediction does without, elsewhere: the network and other files, as far as this system lets it."""
    environment, network = place.environment, settings_of(request.files.metadata)["network"]
    given = (path for path in inputs(request.payload) if path.is_absolute() and path.exists())
    only = (*environment.places(), HOOK, place.scratch, copy.parent, *given)
    starts = [environment.program("python"), "-I", "-c", "import ctypes, ssl"]
    if allows(alone := Limits(not network, only), starts):
        return alone
    return Limits(not network and allows(Limits(offline=True)))


def _how_it_ran(seen: Outside, limits: Limits) -> str:
    """Return what a prediction met that runs elsewhere, and what leaves that out."""
    tried = f"It asked for {', '.join(seen.hosts)}. " if limits.offline and seen.hosts else ""
    tried += f"It looked for {', '.join(seen.files)}. " if limits.only and seen.files else ""
    without = ", without network" if limits.offline else ""
    without += ", with no files but its own, its environment's and the system's" if limits.only else ""
    carry = "What it reads belongs to ARTIFACTS; "
    leave_out = 'VERIFICATION = {"portable": False} in model_spec.py leaves that out'
    allow = ', {"network": True} gives it the network' if limits.offline else ""
    return f"{tried}It ran on a read-only copy of the model, in an empty directory{without}. {carry}{leave_out}{allow}."


def _not_portable(request: Request) -> str:
    """Return why the prediction may need the place that it is made in; nothing where it must not."""
    if not settings_of(request.files.metadata)["portable"]:
        return "off"
    if request.files.signature.output_files:
        return "not checked: its results are files"
    if all(_ANYWHERE.match(text) for text in new_texts(request.payload, request.files)):
        return ""
    return "not checked: the payload is not the model's example, and may name files in the working directory"


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """Give where the answer is written first; nothing of it stays."""
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    args.strict = args.strict or args.env_manager is not None
    args.env_manager = args.env_manager or "uv"
    for path in filter(None, (args.output_path, args.rest_output, args.report if args.rest_output else None)):
        require_writable(path)
    quiet_mlflow()
    serve_predict(args)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--json-payload-file", type=Path, required=True, help="the payload, JSON or .csv")
    parser.add_argument("--output-path", type=Path, default=Path("test_output.json"), help="default: %(default)s")
    managers = ["uv", "virtualenv", "conda", "local"]
    parser.add_argument("--env-manager", choices=managers, help="who makes MLflow's own environment; implies --strict")
    parser.add_argument("--strict", action="store_true", help="hand the manual way's command to MLflow unaltered")
    parser.add_argument("--rest-output", type=Path, help="ask over REST, too, and write the answer there")
    parser.add_argument("--report", type=Path, default=Path("serve_report.json"), help="default: %(default)s")
    parser.add_argument("--parallel", type=int, default=4, help="requests at once (default: %(default)s)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for each wait (default: %(default)s)")
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
