"""One call of a verb: which models, with which settings and flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import PipelineError, UsageError
from engine.walk import Pipeline

from .packages import REPOSITORY, Package, examples, names, require
from .steps import RUN_THE_MODEL, pipeline_for


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
    plain : bool
        Whether a terminal gets plain lines, too.
    force : bool
        Whether the task's own step runs even where it is up to date.
    force_step : str
        Another step that runs even where it is up to date.
    time_limit : int
        Seconds for each prediction; 0 where the model says it.
    restore : bool
        Whether a former result is brought back where one was made from what there is now.
    """

    models: tuple[str, ...]
    every: bool
    models_dir: Path
    common: Mapping[str, Any]
    jobs: int = 1
    dry_run: bool = False
    as_json: bool = False
    plain: bool = False
    force: bool = False
    force_step: str = ""
    time_limit: int = 0
    restore: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any], flags: Mapping[str, Any]) -> Request:
        """Make a request of invoke.yaml's ``chain`` section and a task's flags."""
        own, jobs = flags.get("models_dir"), int(flags.get("jobs") or settings["jobs"])
        bundled = bool(flags.get("all_examples"))
        usual = REPOSITORY / settings["models_dir"] / ("examples" if bundled else "")
        manager = flags.get("env_manager") or settings["env_manager"]
        if (limit := int(flags.get("time_limit") or 0)) < 0:
            raise UsageError("--time-limit", "out of range", expected="seconds above 0", got=str(limit))
        strict = bool(flags.get("strict") or flags.get("env_manager") or settings["strict"])
        if jobs < 1:
            raise UsageError("--jobs", "out of range", expected="at least 1", got=str(jobs))
        _check_names("--model", flags.get("model") or ())
        return cls(
            models=tuple(examples() if bundled else dict.fromkeys(flags.get("model") or [settings["model"]])),
            every=bool(flags.get("all")),
            models_dir=Path(own).absolute() if own else usual.resolve(),
            common={
                "strict": strict,
                "env_manager": manager,
                "generate_hashes": bool(settings["generate_hashes"]),
                "serial": _serial(str(settings["serial"])),
            },
            jobs=jobs,
            dry_run=bool(flags.get("dry_run")),
            as_json=bool(flags.get("json")),
            plain=bool(flags.get("plain")),
            force=bool(flags.get("force")),
            force_step=flags.get("force_step") or "",
            time_limit=limit,
            restore=not flags.get("no_restore"),
        )

    def named(self, name: str) -> Request:
        """Return the same request about one model, which may be new."""
        _check_names("--name", [name])
        return self._replace(models=(name,), every=False)

    def packages(self) -> list[Package]:
        """Return the packages that are meant, whether they exist or not."""
        wanted = names(self.models_dir) if self.every else self.models
        return [Package(name, self.models_dir, **self.common) for name in wanted]

    def limit(self) -> list[str]:
        """Return the arguments for a command that runs the model."""
        return ["--time-limit", str(self.time_limit)] if self.time_limit else []

    def extra(self, own: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[str]]:
        """Return the arguments that steps get for this run alone: the time limit before their own."""
        given = {name: list(words) for name, words in (own or {}).items()}
        return given | {name: [*self.limit(), *given.get(name, ())] for name in RUN_THE_MODEL}

    def pipelines(self, extra: Mapping[str, Sequence[str]] | None = None) -> list[Pipeline]:
        """Return the chains of the packages that are meant; what one package declares wrongly is its own fault alone.

        Raises
        ------
        UsageError
            If a model does not exist, with the nearest name that does.
        """
        words = self.extra(extra)
        return [declared(package, words) for package in [require(package) for package in self.packages()]]


def _check_names(flag: str, names: Sequence[str]) -> None:
    for name in names:
        if name.split() != [name] or "/" in name:  # the words of a command are told apart by spaces
            expected = "letters, digits and underscores"
            raise UsageError(flag, "not the name of a model", expected=expected, got=repr(name))


def _serial(setting: str) -> bool | None:
    """Return what the setting `serial` says; None where what the model's proof cost decides."""
    meanings = {"auto": None, "true": True, "false": False}
    if setting.lower() not in meanings:
        raise UsageError("invoke.yaml: serial", "not a setting", expected="auto, true or false", got=repr(setting))
    return meanings[setting.lower()]


def declared(package: Package, extra: Mapping[str, Sequence[str]]) -> Pipeline:
    """Return the chain of a package; where its own files declare it wrongly, one without steps that says why."""
    try:
        return pipeline_for(package, extra)
    except PipelineError as fault:
        return Pipeline(package.root, (), package.name, fault)
