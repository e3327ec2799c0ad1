"""Answer a payload as a receiver of the model gets it answered, and keep a server up that does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from model_side.base.directories import temporary_directory
from model_side.base.errors import StepError
from model_side.base.files import publish, require_writable
from model_side.base.found import report_found
from model_side.base.read_only import unchanged
from model_side.base.variables import receivers_environment, shared_processors, variables_advice
from model_side.model.model import quiet_mlflow, read_model, whole_model
from model_side.model.settings import time_limit_of, variables_of
from model_side.payload.inputs import existing_inputs, read_only_places
from model_side.payload.payload import new_texts, read_payload
from model_side.payload.text import dumps_strict

from .answering import listener, require_environment
from .asking import Request
from .predict import START_SECONDS, Answer, ExplainedError, Where, predict_rebuilt, predict_strict
from .rebuilt import Rebuilt, rebuilt_environment
from .rest import rest_route
from .sandbox.audit import HOOK, Outside, outside
from .sandbox.leash import Limits, allows
from .sandbox.portable import copy_read_only, elsewhere, with_neighbours
from .server import HOST, Server, serving

_ANYWHERE = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*://")  # an absolute path or a URI


def serve_predict(request: Request) -> None:
    """Write the answers that are asked for, all of them or none.

    Raises
    ------
    UsageError
        If the payload does not fit, or a file cannot be written.
    StepError
        If a prediction fails, or the server does not answer as it must.
    """
    rest = request.rest_output
    for path in (request.output_path, *((rest, request.report) if rest else ())):
        require_writable(path)
    quiet_mlflow()
    _ = request.payload, request.variables  # refused before anything starts
    manager = request.env_manager or ("uv" if request.strict else "")
    if manager and not rest:
        seconds = request.seconds
        answer = predict_strict(request.model_uri, request.json_payload_file, manager, seconds=seconds)
        publish(answer.text, request.output_path)
        return
    answers, report = _in_rebuilt(request, manager)
    if rest:
        request.keep()
        publish(answers["rest"].text, rest)
        publish(f"{dumps_strict(report, indent=2)}\n", request.report)
        report_found(report)
    publish(answers["served"].text, request.output_path)


def _in_rebuilt(request: Request, manager: str) -> tuple[Mapping[str, Answer], Mapping[str, Any]]:
    """Predict, while a server of the same environment comes up where one is asked for; before that where serial."""
    with ExitStack() as stack:
        model = stack.enter_context(whole_model(request.model_uri))
        scratch = stack.enter_context(temporary_directory("mlflow-model-chain-serve-"))
        environment = rebuilt_environment(model, os.environ)
        side_by_side = 2 if request.rest_output and not request.serial else 1
        environment = replace(environment, share=shared_processors(side_by_side, os.environ))
        stack.enter_context(unchanged("serve-predict", read_only_places(request.payload, model)))
        log, seconds, given, since = scratch / "server.log", request.seconds, request.variables, time.time()
        used, limits = (
            scratch / "server.used.log" if request.settings["hermetic"] else None,
            _kept(model, request.payload),
        )
        started = serving(str(model), environment, log, given, used=used, limits=limits, seconds=seconds)
        server = None if request.serial or not request.rest_output else stack.enter_context(started)
        by_hand = (request.model_uri, request.json_payload_file, manager, limits, seconds)
        strict = predict_strict(*by_hand) if manager else None
        watched, report = _watched(model, environment, scratch, request)
        answers = {"served": strict or watched}
        server = stack.enter_context(started) if request.rest_output and not server else server
        if server:
            server.wait_until_up(START_SECONDS + seconds)
            answers["rest"], facts = rest_route(server, environment, request)
            report = {**facts, **report, "figures": {name: each.figures.entry() for name, each in answers.items()}}
            if used:
                seen = _used(used, [model, scratch, *_given(request, relative=True)], environment, request, since)
                report["used_from_outside"] = _with_servers(report["used_from_outside"], seen)
    return answers, report


def _watched(model: Path, environment: Rebuilt, scratch: Path, request: Request) -> tuple[Answer, dict[str, Any]]:
    """Predict in the rebuilt environment, and see what is used; elsewhere, if the model is to be portable."""
    why_not, log = _not_portable(request), scratch / "used.log" if request.settings["hermetic"] else None
    payload, since = scratch / f"payload{request.json_payload_file.suffix}", time.time()
    shutil.copyfile(request.json_payload_file, payload)
    given = _given(request, relative=bool(why_not))
    with nullcontext((model, None)) if why_not else elsewhere() as (place, directory):
        limits = _kept(model, request.payload)
        if not why_not:
            only = (*environment.places(), HOOK, scratch, place.parent)
            limits = _allowed(_apart(model, place, only, given, offline=not request.settings["network"]), environment)
            if not limits.only:
                copy_read_only(model, place)

        def used() -> Outside:
            return _used(log, [place, scratch, *given], environment, request, since) if log else Outside()

        try:
            where = Where(scratch, request.variables, directory, log, limits, seconds=request.seconds)
            answer = predict_rebuilt(place, payload, environment, where)
        except ExplainedError:
            raise
        except StepError as error:
            seen = used()
            error.advice += variables_advice(seen.variables) + ("" if why_not else f" {_how_it_ran(seen, limits)}")
            raise
        facts = {"portable": why_not or "passed", "without_network": limits.offline}
        facts |= {"without_other_files": bool(limits.only), "used_from_outside": used()._asdict() if log else None}
    return answer, facts


def _given(request: Request, *, relative: bool) -> set[Path]:
    """Return the local files that the payload names, also by a relative path if need be, and what goes with them."""
    paths = (path for path in existing_inputs(request.payload) if relative or path.is_absolute())
    return {each.absolute() for path in paths for each in with_neighbours(path)}


def _used(log: Path, known: list[Path], environment: Rebuilt, request: Request, since: float) -> Outside:
    """Return what was noted, but for the environment and what is known."""
    withheld = os.environ.keys() - request.variables.keys()
    return outside(log, environment.places(), known, since, withheld)


def _with_servers(used: Mapping[str, Any], servers: Outside) -> dict[str, Any]:
    """Return what a prediction used, and what the server did of files and hosts; what it starts is MLflow's own."""
    return {**used, **{name: sorted({*used[name], *getattr(servers, name)}) for name in ("files", "network", "writes")}}


def _kept(model: Path, payload: Mapping[str, Any]) -> Limits:
    """Return what a prediction does without where the model lies: to write to what it is to read."""
    return Limits(kept=tuple(map(str, read_only_places(payload, model))))


def _apart(model: Path, place: Path, only: Iterable[Path], given: Iterable[Path], *, offline: bool) -> Limits:
    """Return what a prediction does without, elsewhere: other files, and the network if need be."""
    moved = ((str(model.absolute()), str(place)),)
    return Limits(offline, tuple(map(str, only)), tuple(map(str, given)), moved)


def _allowed(limits: Limits, environment: Rebuilt) -> Limits:
    """Return as much of it as this system lets it do without."""
    if allows(limits, [environment.program("python"), "-I", "-c", "import ctypes, ssl"]):
        return limits
    return limits._replace(offline=limits.offline and allows(Limits(offline=True)), only=(), moved=())


def _how_it_ran(seen: Outside, limits: Limits) -> str:
    """Return what a prediction met that runs elsewhere, and how to turn it off."""
    tried = f"It asked for {', '.join(seen.network)}. " if limits.offline and seen.network else ""
    tried += f"It looked for {', '.join(seen.files)}. " if limits.only and seen.files else ""
    without = ", without network" if limits.offline else ""
    without += ", with no files but its own, its environment's and the system's" if limits.only else ""
    carry = "What it reads belongs to ARTIFACTS; "
    leave_out = 'VERIFICATION = {"portable": False} in model_spec.py turns this off'
    allow = ', {"network": True} gives it the network' if limits.offline else ""
    where = "It ran on a read-only copy of the model, in an empty directory, and could only read its inputs"
    return f"{tried}{where}{without}. {carry}{leave_out}{allow}."


def _not_portable(request: Request) -> str:
    """Return why the prediction may need the place that it is made in; nothing where it must not."""
    if not request.settings["portable"]:
        return "off"
    if request.files.signature.output_files:
        return "not checked: its results are files"
    if all(_ANYWHERE.match(text) for text in new_texts(request.payload, request.files)):
        return ""
    return "not checked: the payload is not the model's example, and may name files in the working directory"


def serve(model_uri: str, json_payload_file: Path, port: int, time_limit: float | None) -> None:
    """Serve until the server ends, and print a command that asks it once it answers.

    Parameters
    ----------
    model_uri : str
    json_payload_file : Path
        What the printed command sends.
    port : int
        On 127.0.0.1; 0 means any that is free.
    time_limit : float, optional
        Seconds for each prediction; by default TIME_LIMIT of model_spec.py.

    Raises
    ------
    StepError
        When it ends by itself.
    """
    with served(model_uri, json_payload_file, port, time_limit) as (server, _):
        print(_curl_line(server.port, json_payload_file), flush=True)
        raise server.ended()


@contextmanager
def served(
    model_uri: str, json_payload_file: Path, port: int, time_limit: float | None
) -> Iterator[tuple[Server, float]]:
    """Start a server and give it once it answers, with the seconds that a prediction may take; arguments as above."""
    quiet_mlflow()
    files = read_model(model_uri)
    payload = read_payload(json_payload_file, files.signature)
    variables = receivers_environment(os.environ, variables_of(files.metadata))
    with whole_model(model_uri) as model:
        environment, limits = rebuilt_environment(model, os.environ), _kept(model, payload)
        seconds = time_limit_of(files.metadata, time_limit)
        started = serving(str(model), environment, None, variables, port=port, limits=limits, seconds=seconds)
        with started as server:
            server.wait_until_up(START_SECONDS + seconds)
            require_environment(listener(server.port, server.process.pid), environment)
            yield server, seconds


def _curl_line(port: int, payload: Path) -> str:
    kind = "text/csv" if payload.suffix == ".csv" else "application/json"
    data = shlex.quote(f"@{payload.resolve()}")
    return f"curl -H 'Content-Type: {kind}' --data-binary {data} http://{HOST}:{port}/invocations"
