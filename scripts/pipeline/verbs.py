"""What the Invoke tasks call: settings and flags in, text on stdout, an exit code out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import report
from .errors import run_main
from .model_steps import CHEAP, COSTLY, ENVIRONMENT, SCAFFOLD, pipeline_for
from .packages import REPOSITORY, Package, names, require
from .processes import run_script
from .runner import Builder
from .step import STATE_DIRECTORY
from .walk import Outcome, Pipeline


@dataclass(frozen=True)
class Request:
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
    force : str or bool
        The step to run whatever is seen; True means the task's own.
    """

    models: tuple[str, ...]
    every: bool
    models_dir: Path
    common: Mapping[str, Any]
    jobs: int = 1
    dry_run: bool = False
    as_json: bool = False
    force: str | bool = ""

    @classmethod
    def of(cls, settings: Mapping[str, Any], flags: Mapping[str, Any]) -> Request:
        """Make a request of invoke.yaml's ``chain`` section and a task's flags."""
        own = flags.get("models_dir")
        return cls(
            models=tuple(dict.fromkeys(flags.get("model") or [settings["model"]])),
            every=bool(flags.get("all")),
            models_dir=Path(own).absolute() if own else (REPOSITORY / settings["models_dir"]).resolve(),
            common={
                "env_manager": flags.get("env_manager") or settings["env_manager"],
                "generate_hashes": bool(settings["generate_hashes"]),
            },
            jobs=int(flags.get("jobs") or settings["jobs"]),
            dry_run=bool(flags.get("dry_run")),
            as_json=bool(flags.get("json")),
            force=flags.get("force") or "",
        )

    def packages(self) -> list[Package]:
        """Return the packages that are meant, whether they exist or not."""
        wanted = names(self.models_dir) if self.every else self.models
        return [Package(name, self.models_dir, **self.common) for name in wanted]

    def pipelines(self, extra: Mapping[str, Sequence[str]] | None = None) -> list[Pipeline]:
        """Return the chains of the packages that are meant.

        Raises
        ------
        UsageError
            If a model does not exist, with the nearest name that does.
        """
        return [pipeline_for(require(package), extra or {}) for package in self.packages()]


def build(request: Request, goal: str, extra: Sequence[str] = ()) -> int:
    """Bring `goal` of each model up to date; `extra` arguments make its command run, for this once."""
    forced = (goal if request.force is True else str(request.force),) if request.force else ()
    return _build(request, request.pipelines({goal: extra}), goal, (*forced, *([goal] if extra else [])))


def scaffold(request: Request, archetype: str, *, update: bool, diff: bool) -> int:
    """Make packages that do not exist, and refresh the tool's files in those that do."""
    flags = ["--diff"] * diff + ["--update"] * update
    if flags:
        return max(
            run_script(SCAFFOLD, "--target", str(each.models_dir), "--model-name", each.name, *flags)
            for each in request.packages()
        )
    extra = {"scaffold": ["--model-archetype", archetype] if archetype else []}
    return _build(request, [pipeline_for(package, extra) for package in request.packages()], "scaffold", ())


def _build(request: Request, pipelines: Sequence[Pipeline], goal: str, force: tuple[str, ...]) -> int:
    def tell(pipeline: Pipeline, outcome: Outcome) -> None:
        if not request.as_json:
            print(report.line(outcome, pipeline.name if len(pipelines) > 1 else ""), flush=True)
        if outcome.error:
            _say(f"error: {outcome.error}")

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
    return max((result.exit_code or int(not result.up_to_date) for result in results), default=0)


def clean(request: Request, *, environment: bool = False, everything: bool = False) -> int:
    """Remove what steps made."""
    from .clean import clean as clean_pipeline

    steps = {*CHEAP, *(COSTLY if everything else ()), *(ENVIRONMENT if environment or everything else ())}
    for pipeline in request.pipelines():
        for text in clean_pipeline(pipeline, steps, state=everything, dry_run=request.dry_run):
            print(text)
    return 0


def explain(request: Request, step: str) -> int:
    """Show every dependency of a step: what the record says, what is there now."""
    from . import show

    facts = [show.facts(pipeline, step) for pipeline in request.pipelines()]
    print(show.as_json(facts) if request.as_json else "\n\n".join(show.as_text(each) for each in facts))
    return 0


def graph(request: Request, svg: str) -> int:
    """Print the chain as Mermaid text and draw it as SVG."""
    from . import picture

    for pipeline, result in zip(
        pipelines := request.pipelines(), Builder(dry_run=True).build_all(pipelines), strict=True
    ):
        print(picture.mermaid(pipeline, result))
        target = Path(svg) if svg else pipeline.root / STATE_DIRECTORY / "graph.svg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(picture.svg(pipeline, result), encoding="utf-8")
        _say(f"drawn: {target}")
    return 0


def run(verb: Callable[[], int]) -> int:
    """Run a verb with the one handler of errors."""
    return run_main(verb)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
