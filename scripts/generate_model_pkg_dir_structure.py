#!/usr/bin/env python
"""Make a model's package from a template: everything but load_context, _get_input and _forward is written.

A package that exists is kept. --refresh brings the files that nobody edited up to date with the template; --update
merges the template's changes into the edited ones, too; --diff shows what --update would do.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import StepError, UsageError, run_main
from scaffolding.names import check_model_name
from scaffolding.package_files import (
    Change,
    apply,
    create,
    difference,
    plan,
    remember,
    remembered_choice,
    takes_overlay,
)
from scaffolding.render import Choice, archetypes, check_choice, contract, render

SUFFIX = "_mlflow_pkg"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    check_model_name(args.model_name)
    root: Path = args.target / f"{args.model_name}{SUFFIX}"
    choice = _choice(args, root)
    check_choice(choice)
    _check_target(args.target)
    if root.exists() and (args.refresh or args.update or args.diff):
        return _bring_up_to_date(root, args, choice)
    if os.path.lexists(root):
        advice = "It is kept. --refresh, --update and --diff bring it up to date with the template."
        raise UsageError(str(root), "it exists already", advice=advice)
    if args.update or args.diff:
        raise UsageError(str(root), "no such package", advice="Make it first, without --update and --diff.")
    create(root, render(args.model_name, choice), choice)
    print(f"{root}: made from {choice.template}, archetype {choice.archetype}", file=sys.stderr)
    return 0


def _bring_up_to_date(root: Path, args: argparse.Namespace, choice: Choice) -> int:
    files = render(args.model_name, choice)
    changes = plan(root, files, merge=args.update or args.diff)
    if args.diff:
        sys.stdout.write(difference(root, changes))
        return 0
    apply(root, changes)
    remember(root, files, choice, [change.path for change in changes if change.action == "keep"])
    for change in changes:
        print(f"{root.name}/{change.path}: {_said(change)}", file=sys.stderr)
    conflicts = [change.path for change in changes if change.conflicts]
    if conflicts:
        advice = "Both versions stand there between markers, yours alone beside it as .orig: choose."
        raise StepError(f"{root.name}/{conflicts[0]}", "you and the template changed the same lines", advice=advice)
    return 0


def _said(change: Change) -> str:
    return {
        "write": "as the template has it now",
        "remove": "removed: the template no longer has it",
        "keep": "kept, since you edited it; the template has changed: see --diff and --update",
        "merge": "merged with the template's changes",
    }[change.action]


def _choice(args: argparse.Namespace, root: Path) -> Choice:
    """Return what to render: what the flags say, else what the package was made from."""
    remembered = remembered_choice(root)
    if remembered and args.model_archetype not in (None, remembered.archetype):
        raise UsageError(
            str(root),
            "it is of another archetype",
            expected=remembered.archetype,
            got=args.model_archetype,
            advice="Make a new model for another one.",
        )
    made_from = remembered or Choice()
    overlay = args.overlay if takes_overlay(root) else None
    return Choice(args.pkg_template or made_from.template, args.model_archetype or made_from.archetype, overlay)


def _check_target(target: Path) -> None:
    if not target.is_dir():
        fault = "not a directory" if target.exists() else "no such directory"
        raise UsageError("--target", fault, got=str(target), advice="Make it, or give another one.")
    if not os.access(target, os.W_OK | os.X_OK):
        raise UsageError("--target", "not writable", got=str(target), advice="Give another one.")


class _ListArchetypes(argparse.Action):
    """Print a line for each archetype and end, as --help does."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        template = Choice().template
        names = archetypes(template)
        for name in names:
            print(f"{name:<{max(map(len, names))}}  {contract(template, name)}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-name", required=True, help=f"an identifier; the package is <name>{SUFFIX}")
    parser.add_argument("--target", type=Path, required=True, help="the directory that the package is made in")
    parser.add_argument("--pkg-template", help="a directory of model_template/ (default: mlflow_template)")
    parser.add_argument("--model-archetype", help="the input-to-output shape (default: file_uri_to_tensor)")
    parser.add_argument("--overlay", type=Path, help="a directory whose files stand in for the template's")
    parser.add_argument("--refresh", action="store_true", help="bring unedited files up to date, or make the package")
    parser.add_argument("--update", action="store_true", help="merge the template's changes into edited files, too")
    parser.add_argument("--diff", action="store_true", help="show what --update would do, write nothing")
    parser.add_argument("--list-archetypes", action=_ListArchetypes, help="list them, with what each takes and gives")
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
