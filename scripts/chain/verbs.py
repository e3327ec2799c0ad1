"""What the Invoke tasks call: settings and flags in, text on stdout, an exit code out."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import PipelineError, UsageError
from engine.runner import Builder
from engine.walk import Action, Outcome, Pipeline, Result
from model_side.base.errors import run_main
from model_side.base.variables import clean_environment, patient, shared_processors

from . import report
from .packages import Package, require
from .request import Request, declared
from .screen import screen_for
from .steps import PAYLOAD, command_of, serving, tool_command


def build(request: Request, goal: str, extra: Sequence[str] = (), also: Sequence[str] = ()) -> int:
    """Bring `goal` of each model up to date; `extra` arguments make it and the steps in `also` run, for this once."""
    steps = (goal, *also) if extra else (goal,) * request.force
    forced = [*steps, *[request.force_step] * bool(request.force_step)]
    results = _build(request, request.pipelines(dict.fromkeys((goal, *also), extra)), goal, tuple(forced))
    code = _close(request, results)
    if told := [] if code or request.dry_run or request.as_json else report.places(request.packages(), goal):
        print("\n".join(told))
    return code


def download(request: Request, *, lock: bool, check: bool, offline: bool) -> int:
    """Bring the declared data.

    A lock writes into model_data.toml, a check brings nothing, and without a network there is no environment for a
    command: none of them is a build.
    """
    if request.dry_run or not (lock or check or offline):
        return build(request, "download-data", ["--offline"] * offline)
    words = ["--lock"] * lock + ["--check"] * check + ["--offline"] * offline
    packages = [require(package) for package in request.packages()]
    if check:
        return _end(request, _in_foreground(request, packages, "download-data", [words]))
    # A package must be there, and a source that is a command runs in the model environment.
    runs = not offline and any(package.runs_commands() for package in packages)
    results = _build(request, request.pipelines(), "sync-env" if runs else "scaffold", ())
    results = _in_foreground(request, packages, "download-data", [words], results)
    if lock and all(result.ok for result in results):  # what has come is now recorded
        built = _build(request, request.pipelines(), "download-data", (), before=results)
        pairs = zip(results, built, strict=True)
        results = [one._replace(outcomes=(*one.outcomes, *now.outcomes[-1:])) for one, now in pairs]
    return _close(request, results)


def payload(request: Request, form: str, *, negative: bool) -> int:
    """Bring the payload up to date; write it in another request format beside it, and payloads that must be refused."""
    if request.dry_run or not (form or negative):
        return build(request, "payload")
    # --force is about what is asked for beside the payload.
    results = _build(request, request.pipelines(), "payload", (request.force_step,) * bool(request.force_step))
    path, calls, force = Path(PAYLOAD), [], ["--force"] * request.force
    if form:
        other = path.with_suffix(".csv" if form == "csv" else f".{form}.json")
        calls.append(["--format", form, "--json-payload-filepath", str(other), *force])
    if negative:
        calls.append(["--negative", str(path.with_suffix(".negative")), *force])
    return _close(request, _in_foreground(request, request.packages(), "payload", calls, results))


def verify(request: Request, only: str, *, full: bool = False) -> int:
    """Prove that all ways of running the model agree, in full if need be; or ask for one relation alone, no proof."""
    if request.dry_run or not only:
        return build(request, "verify", ["--full"] * full, ["serve-predict"])
    results = _build(request, request.pipelines(), "predict", (request.force_step,) * bool(request.force_step))
    return _close(
        request, _in_foreground(request, request.packages(), "verify", [["--only", only, *request.limit()]], results)
    )


def check(flags: Mapping[str, object], *, as_json: bool) -> int:
    """Check an MLflow Model that somebody else packaged, with the command line's own flags."""
    named = {f"--{name.replace('_', '-')}": value for name, value in flags.items() if value}
    words = [word for flag, value in named.items() for word in ([flag] if value is True else [flag, str(value)])]
    return _alone("check_model", words, as_json=as_json)


def cache(request: Request, prune: str) -> int:
    """Show or prune the cache of downloads, and the former results of all models."""
    from .former import as_text, former_results

    packages = request._replace(every=True).packages()
    kept = former_results(packages, prune)
    if not request.as_json:
        print(as_text(kept), flush=True)
    return _alone("download_cache", ["--prune", prune] if prune else [], as_json=request.as_json, former=kept)


def archetypes(*, as_json: bool) -> int:
    """List the archetypes with their contracts."""
    return _alone("generate_model_pkg_dir_structure", ["--list-archetypes"], as_json=as_json)


def serve(request: Request, port: int) -> int:
    """Bring a model and its payload up to date, and become its server."""
    from .foreground import become

    package = _one(request, "a server has one")
    code = _close(request, _build(request, request.pipelines(), "payload", ()))
    if not code:
        become(serving(package), package.root, "--port", str(port), *request.limit())
    return code


def report_page(request: Request, port: int, *, is_served: bool) -> int:
    """Write the report; become a server of it and of a page that asks the model, if need be."""
    from .foreground import become

    package = _one(request, "a page asks one") if is_served else None
    code = build(request, "report")
    if package and not (code or request.dry_run):
        become(tool_command("serve_report"), package.root, "--port", str(port), *request.limit())
    return code


def _one(request: Request, why: str) -> Package:
    packages = request.packages()
    if len(packages) > 1:
        raise UsageError("--model", "several models", expected=f"one: {why}", got=str(len(packages)))
    return packages[0]


def batch(request: Request, flags: Mapping[str, Any]) -> NoReturn:
    """Predict a cohort with a model as it is."""
    from .cohort import batch as become_batch

    require(_one(request, "a cohort goes through one"))
    become_batch(request, flags)


def watch(request: Request) -> NoReturn:
    """Bring the in-process prediction up to date, and again after each edit, until Ctrl-C."""
    from .watch import watch as watch_package

    package = _one(request, "it follows one package")
    limit, extra = request.limit(), request.extra()
    watch_package(package, lambda: declared(require(package), extra), request.jobs, say, limit)


def scaffold(request: Request, archetype: str, *, update: bool, diff: bool) -> int:
    """Make packages that do not exist, and refresh the tool's files in those that do."""
    if update or diff:
        words = ["--diff"] if diff or request.dry_run else ["--update"]
        return _end(request, _in_foreground(request, request.packages(), "scaffold", [words]))
    extra = {"scaffold": ["--model-archetype", archetype] if archetype else []}
    pipelines = [declared(package, extra) for package in request.packages()]
    return _close(request, _build(request, pipelines, "scaffold", ("scaffold",) * bool(archetype)))


def new(request: Request, flags: Mapping[str, Any]) -> int:
    """Ask what a first model is, where flags leave that open, and make its package."""
    from .new import answers, question

    is_asked = sys.stdin.isatty() and not request.as_json
    name, words = answers(flags, question if is_asked else None, lambda name: request.named(name).packages()[0])
    made = request.named(name)
    (package,) = made.packages()
    return _close(made, _build(made, [declared(package, {"scaffold": words})], "scaffold", ()))


def _build(
    request: Request,
    pipelines: Sequence[Pipeline],
    goal: str,
    force: tuple[str, ...],
    before: Sequence[Result] = (),
) -> list[Result]:
    """Bring a goal up to date; nothing is said again of steps that were built `before`."""
    packages = {package.name: package for package in request.packages()}
    told = {(result.name, outcome.step) for result in before for outcome in result.outcomes}

    screen = screen_for(pipelines, goal, plain=request.plain, as_json=request.as_json)
    failed: list[tuple[Pipeline, Outcome]] = []

    def tell(pipeline: Pipeline, outcome: Outcome) -> None:
        if (pipeline.name, outcome.step) not in told or outcome.step == goal:
            screen.tell(pipeline, outcome)
        if outcome.error:
            failed.append((pipeline, outcome))
        if outcome.step == "download-data" and outcome.action is Action.UP_TO_DATE:  # where it runs, it warns itself
            for name in packages[pipeline.name].unproven():
                screen.say(f"warning: {name}: mutable, without sha256: any content of its source is accepted")

    share = patient(os.environ) | shared_processors(min(request.jobs, len(pipelines)), os.environ)
    environment = clean_environment(os.environ, share)
    builder = Builder(request.jobs, request.dry_run, force, f"invoke {goal}", tell, screen.say, environment=environment)
    builder.restore = request.restore
    builder.processes.begun, builder.processes.shows = screen.begin, not screen.is_live
    try:
        with screen:
            return builder.build_all(pipelines, goal)
    finally:
        for pipeline, outcome in failed:
            say(report.block(outcome, pipeline.name, shlex.join(["invoke", *sys.argv[1:]])))


def _close(request: Request, results: Sequence[Result]) -> int:
    """Print the closing lines or the JSON document of a build, and return its exit code."""
    print(report.document(results) if request.as_json else report.ending(results))
    return max((result.exit_code for result in results), default=0)


def _end(request: Request, results: Sequence[Result]) -> int:
    """Print the JSON document of what has spoken for itself, and return its exit code."""
    if request.as_json:
        print(report.document(results))
    return max((result.exit_code for result in results), default=0)


def _in_foreground(
    request: Request,
    packages: Sequence[Package],
    step: str,
    calls: Sequence[Sequence[str]],
    before: Sequence[Result] = (),
) -> list[Result]:
    """Run a step's own command with more words, once for each of `calls`, where all went well before."""
    from .foreground import run_in_foreground

    if not all(result.ok for result in before):
        return list(before)
    earlier = {result.name: result for result in before}
    results = []
    for package in packages:
        command, known = command_of(package, step), earlier.get(package.name, Result(package.name, ()))
        ran = [run_in_foreground(step, command, package.root, words, as_json=request.as_json) for words in calls]
        seconds = known.seconds + sum(outcome.seconds for outcome in ran)
        results.append(Result(package.name, (*known.outcomes, *ran), seconds))
    return results


def _alone(script: str, words: Sequence[str], *, as_json: bool, **more: object) -> int:
    """Run a command of no package in the foreground, and say what it found, and more."""
    from .foreground import run_in_foreground

    outcome = run_in_foreground(script, tool_command(script), Path.cwd(), words, as_json=as_json)
    if as_json:
        found = {**outcome.found, **more}
        error = {"error": found.pop("error")} if "error" in found else {}
        print(report.document([], ok=not outcome.error, found=found, **error))
    return outcome.error.exit_code if outcome.error else 0


def run(verb: Callable[[], int]) -> int:
    """Run a verb with the one handler of errors."""

    def call() -> int:
        try:
            return verb()
        except BrokenPipeError:  # whoever read the output has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    return run_main(call, PipelineError, is_tool=True)


def say(text: str) -> None:
    """Print a line for a person, at once."""
    print(text, file=sys.stderr, flush=True)
