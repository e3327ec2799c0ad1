"""Write docs/reference/: what the code says of its verbs, flags, entries, keys, files, reasons and exit codes."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = REPOSITORY / "docs" / "reference"
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from invoke import Collection  # noqa: E402

from chain import report  # noqa: E402
from chain.packages import Package  # noqa: E402
from chain.shipping import MADE  # noqa: E402
from chain.steps import steps_for  # noqa: E402
from downloads import declaration  # noqa: E402
from engine.errors import PipelineError  # noqa: E402
from engine.staleness import Reason, Why  # noqa: E402
from engine.walk import Action, Outcome, Result  # noqa: E402
from model_side.base import errors  # noqa: E402
from model_side.package.entries import MEANINGS  # noqa: E402

PACKAGER = REPOSITORY / "model_template" / "mlflow_template" / "mlflow_packager.py"


class _AskedError(Exception):
    """Carries the parser of a command line that was about to read its arguments."""


def table(head: str, rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; `head` names its columns, with bars between."""
    lines = [head, "|".join("---" for _ in head.split("|"))]
    lines += [" | ".join(str(cell).replace("|", "\\|").replace("<", "\\<") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def code(names: Iterable[str]) -> str:
    """Return names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names)


def verbs() -> str:
    """Return the verbs with what each does, and their flags with the verbs that take them."""
    module = ModuleType("tasks")
    # Of its own: Invoke takes the texts out of a task when it is first asked for its arguments.
    vars(module).update(runpy.run_path(str(REPOSITORY / "tasks.py")))
    collection = Collection.from_module(module)
    flags: dict[tuple[str, str], list[str]] = {}
    for name in collection.task_names:
        for argument in collection[name].get_arguments():
            flags.setdefault((f"--{argument.name.replace('_', '-')}", argument.help), []).append(name)
    building = next(names for (flag, _), names in flags.items() if flag == "--force")
    told = [(f"`{name}`", (collection[name].__doc__ or "").splitlines()[0]) for name in collection.task_names]
    known = list(collection.task_names)
    rows = [(f"`{flag}`", _named(names, building, known), meaning) for (flag, meaning), names in sorted(flags.items())]
    return "\n\n".join([
        "`invoke VERB` in the activated tool environment, or `make VERB MODEL=name MODELS_DIR=dir ARGS='...'`.",
        table("verb|what it does", told),
        f"## Flags\n\nThose that build: {code(building)}.",
        table("flag|verbs|meaning", rows),
    ])  # fmt: skip


def _named(verbs: list[str], building: list[str], known: list[str]) -> str:
    if 2 * len(verbs) > len(known):
        return f"all but {code(name for name in known if name not in verbs)}"
    return code(verbs).replace(code(building), "those that build")


def command_lines() -> str:
    """Return each command line with its flags, by its own parser."""
    paths = [*sorted((REPOSITORY / "scripts").glob("*.py")), PACKAGER]
    return "\n\n".join(f"## {path.name}\n\n{_command_line(parser_of(path))}" for path in paths)


def parser_of(script: Path) -> argparse.ArgumentParser:
    """Return the parser that a script makes, without running anything of it."""

    def tell(parser: argparse.ArgumentParser, *_: object) -> None:
        raise _AskedError(parser)

    asking = patch.object(argparse.ArgumentParser, "parse_args", tell)
    with asking, patch.dict(os.environ, MODEL_SIDE=str(REPOSITORY / "scripts")):
        try:
            found: dict[str, Any] = runpy.run_path(str(script))
            found["main"](*([script.parent, found["__doc__"]] if script == PACKAGER else [[]]))
        except _AskedError as asked:
            parser: argparse.ArgumentParser = asked.args[0]
            return parser
    raise LookupError(f"{script}: it reads no arguments")


def _command_line(parser: argparse.ArgumentParser) -> str:
    about = (parser.description or "").split("\n\n")[0].replace("\n", " ")
    return f"{about}\n\n{table('flag|meaning', _flags(parser))}"


def _flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions[1:]:
        meaning = (action.help or "") % {"default": action.default}
        choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
        yield code(action.option_strings), f"{meaning}{choices}{'; required' if action.required else ''}"


def model_spec() -> str:
    """Return the entries of model_spec.py with their defaults."""
    rows = ((f"`{name}`", f"`{default!r}`", meaning) for name, (default, meaning) in MEANINGS.items())
    return table("entry|default|meaning", rows)


def model_data() -> str:
    """Return the keys of a source of model_data.toml."""
    rows = (
        (f"`{key}`", code(kind for kind, keys in declaration.KINDS.items() if key in keys), meaning)
        for key, meaning in declaration.MEANINGS.items()
    )
    return f"One `[[source]]` each: a `uri`, a `package` or a `command`.\n\n{table('key|goes with|meaning', rows)}"


def steps() -> str:
    """Return the steps of a package with the files that they read, write and leave where they fail."""
    package = Package("foo", PAGES)
    rows = (
        (f"`{step.name}`", code(step.dependencies), code(step.targets), code(step.evidence))
        for step in steps_for(package, MADE)
    )
    return table("step|reads, in the package|writes|leaves where it fails", rows)


def archetypes() -> str:
    """Return the contract of each archetype, as the template says it."""
    paths = sorted(PACKAGER.parent.glob("archetypes/*/README.md"))
    return "\n".join(f"#{path.read_text(encoding='utf-8')}" for path in paths).rstrip()


def document() -> str:
    """Return the JSON document of a build whose first step was restored, and whose second failed."""
    why = Reason(Why.DEPENDENCY_CHANGED, "requirements.in", "sha256:…", "sha256:…")
    at = time.mktime((2026, 1, 15, 12, 0, 0, 0, 15, -1))  # the same text in each time zone
    found = {"digest": "sha256:…", "predictions": 1, "loads": 1}
    error = PipelineError("model_spec.py", "…")
    outcomes = (
        Outcome("compile-reqs", Action.RESTORED, (why,), 0.1, made=(at, ("never built",))),
        Outcome("package", Action.FAILED, (Reason(Why.NO_RECORD),), 3.2, error, found=found),
    )
    return report.document([Result("foo", outcomes)])


def results() -> str:
    """Return what a step or a command line can end with: a document, actions, states, reasons, exit codes."""
    kinds = (errors.StepError, errors.UsageError)
    codes = [(0, "Done, or up to date."), *((kind.exit_code, kind.__doc__) for kind in kinds)]
    codes.append((errors.INTERRUPTED, "Interrupted."))
    return "\n\n".join([
        "## Exit codes", table("code|meaning", codes),
        f"## The document of `--json`\n\n```json\n{document()}\n```\n\n[What it says](../reference.md#json)",
        f"## Actions\n\n`action` in `--json`: {code(Action)}.",
        "## Reasons\n\nWhy a step is stale: the closed list; SUBJECT is a path, a parameter, a library or a step.",
        table("`code`|in words", ((f"`{why}`", str(Reason(why, "SUBJECT"))) for why in Why)),
        "## Errors\n\nEach reads `<subject>: <fault>: expected <x>, got <y>. <what to do>`, on stderr, after `error:`.",
    ])  # fmt: skip


WRITTEN = {
    "verbs": ("Verbs and flags", verbs),
    "command-lines": ("The command lines", command_lines),
    "model_spec": ("Entries of model_spec.py", model_spec),
    "model_data": ("Keys of model_data.toml", model_data),
    "steps": ("Steps and files", steps),
    "archetypes": ("Archetypes", archetypes),
    "results": ("Results: JSON, exit codes, reasons, errors", results),
}


def page(name: str) -> str:
    """Return the text of one of the pages."""
    title, body = WRITTEN[name]
    return f"<!-- Written by docs/make_reference.py: change the code, and run it. -->\n# {title}\n\n{body()}\n"


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for each in WRITTEN:
        (PAGES / f"{each}.md").write_text(page(each), encoding="utf-8")
