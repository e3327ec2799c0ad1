"""The verbs that look at packages, or remove what steps made."""

from __future__ import annotations

from engine.runner import Builder
from engine.walk import Action, Outcome, Pipeline, Result
from model_side.base.errors import invoke
from model_side.model.added import authors_own

from . import report
from .orphans import adopted, orphans, remove_orphans
from .request import Request
from .steps import CHEAP, COSTLY, ENVIRONMENT, MODEL
from .verbs import say


def status(request: Request, *, quiet: bool = False) -> int:
    """Say the state of every step; 0 if all is up to date, else 1."""
    results = Builder(dry_run=True, say=say).build_all(request.pipelines())
    if request.as_json:
        print(report.document(results))
    elif not quiet:
        print(report.status_text(results))
        for package in request.packages():
            for name in orphans(package):
                remedy = f"{invoke('clean', package.root)} removes it"
                print(f"{package.name}: model_data/{name} is an orphan: no source declares it; {remedy}")
    return max((result.exit_code or int(not result.up_to_date) for result in results), default=0)


def clean(request: Request, *, environment: bool = False, everything: bool = False) -> int:
    """Remove what steps made."""
    from engine.clean import clean as clean_pipeline

    steps = {*CHEAP, *(COSTLY if everything else ()), *(ENVIRONMENT if environment or everything else ())}
    lines: dict[str, list[str]] = {package.name: [] for package in request.packages()}
    for package in request.packages():  # first: what tells an orphan goes with the state
        if orphans(package, every=everything):
            lines[package.name] += remove_orphans(package, every=everything, dry_run=request.dry_run)
    for pipeline, package in zip(_usable(request), request.packages(), strict=True):
        authors = adopted(package)
        if own := authors_own(package.root / MODEL):
            authors[MODEL] = f"it holds {', '.join(own)}, which no step has made"
        lines[package.name] += clean_pipeline(
            pipeline, steps, authors=authors, state=everything, dry_run=request.dry_run
        )
    if request.as_json:
        action = Action.WOULD_RUN if request.dry_run else Action.RAN
        cleaned = [Result(name, (Outcome("clean", action, found={"lines": each}),)) for name, each in lines.items()]
        print(report.document(cleaned))
    else:
        print("\n".join(line for name, each in lines.items() for line in each or [f"{name}: nothing to remove"]))
    return 0


def explain(request: Request, step: str) -> int:
    """Show every dependency of a step: what the record says, what is there now."""
    from . import show

    results = [show.explain(pipeline, step) for pipeline in _usable(request, step)]
    print(report.document(results) if request.as_json else "\n\n".join(map(show.as_text, results)))
    return 0


def graph(request: Request) -> int:
    """Print the chain as Mermaid text."""
    from . import picture

    for pipeline in _usable(request):
        print(picture.mermaid(pipeline, Builder(dry_run=True).build_all([pipeline])[0]))
    return 0


def _usable(request: Request, step: str = "") -> list[Pipeline]:
    pipelines = request.pipelines({step: ()})
    for pipeline in pipelines:
        if pipeline.fault:
            raise pipeline.fault
    return pipelines
