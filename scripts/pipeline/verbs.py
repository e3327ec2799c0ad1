"""What the Invoke tasks call: settings and flags in, text on stdout, an exit code out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO

from . import report
from .errors import PipelineError, UsageError, run_main
from .model_steps import (
    ASKED,
    CHEAP,
    COSTLY,
    DOWNLOAD,
    ENVIRONMENT,
    MODEL,
    PAYLOAD,
    SCAFFOLD,
    WRITE_PAYLOAD,
    pipeline_for,
)
from .packages import REPOSITORY, Package, names, require
from .processes import become_script, run_script
from .runner import Builder
from .step import STATE_DIRECTORY
from .walk import Outcome, Pipeline


class Request(NamedTuple):
    """One call: which models, with which settings and flags.

    Parameters
    ----------
    models : tuple of str
        Names; the default model of the settings where none is named.
    every : bool
        All models that have a package.
    models_dir : Path
    common : mapping
        Fields of each Package.
    jobs : int
    dry_run, as_json : bool
    force : bool
        Whether the task's own step runs whatever is seen.
    force_step : str
        Another step that runs whatever is seen.
    """

    models: tuple[str, ...]
    every: bool
    models_dir: Path
    common: Mapping[str, Any]
    jobs: int = 1
    dry_run: bool = False
    as_json: bool = False
    force: bool = False
    force_step: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, Any], flags: Mapping[str, Any]) -> Request:
        """Make a request of invoke.yaml's ``chain`` section and a task's flags."""
        own, jobs = flags.get("models_dir"), int(flags.get("jobs") or settings["jobs"])
        manager = flags.get("env_manager") or settings["env_manager"]
        strict = bool(flags.get("strict") or flags.get("env_manager") or settings["strict"])
        if jobs < 1:
            raise UsageError("--jobs", "out of range", expected="at least 1", got=str(jobs))
        return cls(
            models=tuple(dict.fromkeys(flags.get("model") or [settings["model"]])),
            every=bool(flags.get("all")),
            models_dir=Path(own).absolute() if own else (REPOSITORY / settings["models_dir"]).resolve(),
            common={
                "strict": strict,
                "env_manager": manager,
                "generate_hashes": bool(settings["generate_hashes"]),
            },
            jobs=jobs,
            dry_run=bool(flags.get("dry_run")),
            as_json=bool(flags.get("json")),
            force=bool(flags.get("force")),
            force_step=flags.get("force_step") or "",
        )

    def packages(self) -> list[Package]:
        """Return the packages that are meant, whether they exist or not."""
        wanted = names(self.models_dir) if self.every else self.models
        return [Package(name, self.models_dir, **self.common) for name in wanted]

    def pipelines(self, extra: Mapping[str, Sequence[str]] | None = None) -> list[Pipeline]:
        """Return the chains of the packages that are meant; what one package declares wrongly is its own fault alone.

        Raises
        ------
        UsageError
            If a model does not exist, with the nearest name that does.
        """
        return [_declared(package, extra or {}) for package in [require(package) for package in self.packages()]]


def _declared(package: Package, extra: Mapping[str, Sequence[str]]) -> Pipeline:
    try:
        return pipeline_for(package, extra)
    except PipelineError as fault:
        return Pipeline(package.root, (), package.name, fault)


def build(request: Request, goal: str, extra: Sequence[str] = ()) -> int:
    """Bring `goal` of each model up to date; `extra` arguments make its command run, for this once."""
    forced = [goal] * (request.force or bool(extra)) + [request.force_step] * bool(request.force_step)
    return _build(request, request.pipelines({goal: extra}), goal, tuple(forced))


def download(request: Request, *, lock: bool, check: bool, offline: bool) -> int:
    """Bring the declared data.

    A lock writes into model_data.toml, a check brings nothing, and without a network there is no environment for a
    command: none of them is a build.
    """
    if request.dry_run or not (lock or check or offline):
        return build(request, "download-data", ["--offline"] * offline)
    flags = ["--lock"] * lock + ["--check"] * check + ["--offline"] * offline + ["--json"] * request.as_json
    packages = [require(package) for package in request.packages()]
    if not check:
        # A package must be there, and a source that is a command runs in the model environment.
        runs = not offline and any(package.runs_commands() for package in packages)
        goal = "sync-env" if runs else "scaffold"
        code = _build(request._replace(as_json=False), request.pipelines(), goal, ())
        if code:
            return code
    return max(run_script(DOWNLOAD, "--package", str(package.root), *flags) for package in packages)


def payload(request: Request, form: str, *, negative: bool) -> int:
    """Bring the payload up to date; write it in another request format beside it, and payloads that must be refused."""
    if not (form or negative):
        return build(request, "payload")
    again, request = request.force, request._replace(force=False)  # of what is asked for beside the payload
    code = build(request, "payload")
    if code or request.dry_run:
        return code
    return max(_beside_payload(package, form, negative=negative, again=again) for package in request.packages())


def _beside_payload(package: Package, form: str, *, negative: bool, again: bool) -> int:
    model, path = ("--model-uri", str(package.file(MODEL))), package.file(PAYLOAD)
    calls = []
    if form:
        other = path.with_suffix(".csv" if form == "csv" else f".{form}.json")
        calls.append(["--format", form, "--json-payload-filepath", str(other)])
    if negative:
        calls.append(["--negative", str(path.with_suffix(".negative")), "--json-payload-filepath", str(path)])
    return max(run_script(WRITE_PAYLOAD, *model, *words, *["--force"] * again) for words in calls)


def check(model_uri: str, *, manifest_only: bool) -> int:
    """Check an MLflow Model that somebody else packaged."""
    return run_script("check_model", "--model-uri", model_uri, *["--manifest-only"] * manifest_only)


def cache(prune: str, *, as_json: bool) -> int:
    """Show or prune the cache of downloads."""
    return run_script("download_cache", *(["--prune", prune] if prune else []), *["--json"] * as_json)


def serve(request: Request, port: int) -> int:
    """Bring a model and its payload up to date, and become its server."""
    package = _one(request, "a server has one")
    code = _build(request, request.pipelines(), "payload", ())
    if not code:
        become_script("serve_model", *ASKED, "--port", str(port), directory=package.root)
    return code


def _one(request: Request, why: str) -> Package:
    packages = request.packages()
    if len(packages) > 1:
        raise UsageError("--model", "several models", expected=f"one: {why}", got=str(len(packages)))
    return packages[0]


def watch(request: Request) -> NoReturn:
    """Bring the in-process prediction up to date, and again after each edit, until Ctrl-C."""
    from .watching import watch as watch_package

    package = _one(request, "it follows one package")
    watch_package(package, lambda: _declared(require(package), {}), request.jobs, _say)


def scaffold(request: Request, archetype: str, *, update: bool, diff: bool) -> int:
    """Make packages that do not exist, and refresh the tool's files in those that do."""
    if update or diff:
        flags = ["--diff"] if diff or request.dry_run else ["--update"]
        return max(
            run_script(SCAFFOLD, "--target", str(each.models_dir), "--model-name", each.name, *flags)
            for each in request.packages()
        )
    extra = {"scaffold": ["--model-archetype", archetype] if archetype else []}
    return _build(
        request,
        [_declared(package, extra) for package in request.packages()],
        "scaffold",
        ("scaffold",) * bool(archetype),
    )


def archetypes() -> int:
    """List the archetypes with their contracts."""
    return run_script(SCAFFOLD, "--list-archetypes")


def _build(request: Request, pipelines: Sequence[Pipeline], goal: str, force: tuple[str, ...]) -> int:
    packages = {package.name: package for package in request.packages()}

    def tell(pipeline: Pipeline, outcome: Outcome) -> None:
        if not request.as_json:
            _write(sys.stdout, report.line(outcome, pipeline.name if len(pipelines) > 1 else ""))
        if outcome.error:
            _say(f"error: {outcome.error}")
        if outcome.step == "download-data" and outcome.action == "up-to-date":  # where it runs, it warns itself
            for name in packages[pipeline.name].unproven():
                _say(f"warning: {name}: mutable, without sha256: any content of its source is accepted")

    builder = Builder(request.jobs, request.dry_run, force, f"invoke {goal}", tell, _say)
    results = builder.build_all(pipelines, goal)
    print(report.document(results) if request.as_json else f"\n{report.table(results)}")
    return max((result.exit_code for result in results), default=0)


def status(request: Request, *, quiet: bool = False) -> int:
    """Say the state of every step; 0 if all is up to date, else 1."""
    results = Builder(dry_run=True, say=_say).build_all(request.pipelines())
    if request.as_json:
        print(report.document(results))
    elif not quiet:
        print(report.status_text(results))
        for package in request.packages():
            for name in _orphans(package):
                print(
                    f"{package.name}: model_data/{name} is an orphan: no source declares it; `invoke clean` removes it"
                )
    return max((result.exit_code or int(not result.up_to_date) for result in results), default=0)


def _orphans(package: Package, *, every: bool = False) -> list[str]:
    """Return what is in model_data/ that came from a source which is no longer declared, or `every` unfinished file."""
    if not any((package.root / "model_data" / name).exists() for name in (".downloads", ".sources.json")):
        return []
    from downloads.orphans import orphans

    return orphans(package.root, every=every)


def _adopted(package: Package) -> list[str]:
    """Return the targets in model_data/ that are what an author has put there."""
    from downloads.orphans import adopted

    return [f"model_data/{path}" for path in adopted(package.root)]


def _remove_orphans(package: Package, *, every: bool) -> list[str]:
    """Remove the orphans, and return a line for each: removed, or kept because it was edited."""
    from downloads.orphans import remove_orphans

    removed, kept = remove_orphans(package.root, every=every)
    why = "" if every else ": no source declares it"
    lines = [f"{package.name}: removed model_data/{name}{why}" for name in removed]
    return [*lines, *(f"{package.name}: kept model_data/{name}: it was edited, so it may be yours" for name in kept)]


def clean(request: Request, *, environment: bool = False, everything: bool = False) -> int:
    """Remove what steps made."""
    from .clean import clean as clean_pipeline

    steps = {*CHEAP, *(COSTLY if everything else ()), *(ENVIRONMENT if environment or everything else ())}
    for package in request.packages():  # first: what tells an orphan goes with the state
        names = _orphans(package, every=everything)
        lines = [f"{package.name}: would remove model_data/{name}" for name in names]
        if names and not request.dry_run:
            lines = _remove_orphans(package, every=everything)
        print("".join(f"{line}\n" for line in lines), end="")
    for pipeline, package in zip(_usable(request), request.packages(), strict=True):
        authors = _adopted(package)
        for text in clean_pipeline(pipeline, steps, authors=authors, state=everything, dry_run=request.dry_run):
            print(text)
    return 0


def explain(request: Request, step: str) -> int:
    """Show every dependency of a step: what the record says, what is there now."""
    from . import show

    facts = [show.facts(pipeline, step) for pipeline in _usable(request)]
    print(show.as_json(facts) if request.as_json else "\n\n".join(show.as_text(each) for each in facts))
    return 0


def graph(request: Request, svg: str) -> int:
    """Print the chain as Mermaid text and draw it as SVG, unless there is no package yet to keep the picture in."""
    from . import picture

    pipelines = _usable(request)
    if svg and len(pipelines) > 1:
        raise UsageError("--svg", "one file for several models", advice="Name one --model, or leave --svg out.")
    for pipeline in pipelines:
        result = Builder(dry_run=True).build(pipeline)
        print(picture.mermaid(pipeline, result))
        if svg or pipeline.root.is_dir():
            target = Path(svg) if svg else pipeline.root / STATE_DIRECTORY / "graph.svg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(picture.svg(pipeline, result), encoding="utf-8")
            _say(f"drawn: {target}")
    return 0


def _usable(request: Request) -> list[Pipeline]:
    pipelines = request.pipelines()
    for pipeline in pipelines:
        if pipeline.fault:
            raise pipeline.fault
    return pipelines


def run(verb: Callable[[], int], *, as_json: bool = False) -> int:
    """Run a verb with the one handler of errors; a refused request is a JSON document, too, where one is due."""

    def call() -> int:
        try:
            return verb()
        except BrokenPipeError:  # whoever read the output has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except PipelineError as error:
            if as_json:
                print(json.dumps({"ok": False, "error": str(error)}, indent=2, ensure_ascii=False))
            raise

    return run_main(call)


def _say(text: str) -> None:
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    """Write a line in one piece: models are built in threads, and `print` writes the line's end apart."""
    stream.write(text + "\n")
    stream.flush()
