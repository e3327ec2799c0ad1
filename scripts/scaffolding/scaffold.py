"""Make a package, or bring one up to date with what its template and the tool have become."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import SUFFIX, StepError, UsageError
from model_side.base.found import report_found

from . import render as rendering
from .answers import check_weights, next_steps, write_answers
from .names import check_model_name
from .package_files import MARKER, Change, apply, create, difference, plan, refresh_tool_code, remember, remembered
from .render import Choice, Files, declared, render

_DONE = {
    "write": "as the template has it now",
    "remove": "removed: the template no longer has it",
    "keep": "kept, since you edited it; the template has changed: see --diff and --update",
    "let go": "kept, since you edited it; the template no longer has it, and nothing of the tool reads it",
    "merge": "merged with the template's changes",
}


def scaffold(
    model_name: str,
    target: Path,
    pkg_template: str | None = None,
    model_archetype: str | None = None,
    overlay: Path | None = None,
    *,
    refresh: bool = False,
    update: bool = False,
    diff: bool = False,
    weights: str = "",
    requires: Sequence[str] = (),
) -> None:
    """Make a package, or do with one that exists what is asked for.

    Parameters
    ----------
    model_name : str
    target : Path
        The directory that holds the package, or will.
    pkg_template, model_archetype : str, optional
        By default, as the package was made, else the usual ones.
    overlay : Path, optional
        A directory whose files replace the template's; by default, as the package was made.
    refresh, update, diff : bool
        What is done with a package that exists; the last of them that is true counts.
    weights : str
        Of a new model: a file, a URI, or ``package==version:file`` of a wheel.
    requires : sequence of str
        Lines of a new model's requirements.in.

    Raises
    ------
    UsageError
        If the request does not fit what is there; nothing is touched then.
    StepError
        If the author and the template changed the same lines.
    """
    check_model_name(model_name)
    if weights:
        check_weights(weights)
    if not target.is_dir():
        fault = "not a directory" if target.exists() else "no such directory"
        raise UsageError("--target", fault, got=str(target), advice="Make it, or give another one.")
    root = target / f"{model_name}{SUFFIX}"
    choice = _choice(root, pkg_template, model_archetype, overlay)
    files = render(model_name, choice)
    if root.exists() and (refresh or update or diff):
        changes = plan(root, files, merge=update or diff)
        report_found({"changes": {each.path: "conflict" if each.conflicts else each.action for each in changes}})
        if diff:
            sys.stdout.write(difference(root, changes))
        else:
            _bring(root, files, choice, changes)
        if (update or diff) and not changes:
            print(f"{root.name}: up to date with its template", file=sys.stderr)
    elif os.path.lexists(root):
        advice = "It is kept. --refresh, --update and --diff bring it up to date with the template."
        raise UsageError(str(root), "it exists already", advice=advice)
    elif update or diff:
        raise UsageError(str(root), "no such package", advice="Make it first, without --update and --diff.")
    else:
        create(root, files, choice)
        write_answers(root, weights, requires)
        print(f"{root}: made from {choice.template}, archetype {choice.archetype}", file=sys.stderr)
        if not choice.overlay:
            print(next_steps(root))


def _bring(root: Path, files: Files, choice: Choice, changes: list[Change]) -> None:
    apply(root, changes)
    remember(root, files, choice, [change.path for change in changes if change.action == "keep"])
    for change in changes:
        conflicts = f", with {change.conflicts} conflicts" if change.conflicts else ""
        print(f"{root.name}/{change.path}: {_DONE[change.action]}{conflicts}", file=sys.stderr)
    if refresh_tool_code(root):
        print(f"{root.name}: the tool's own code in it is as the tool has it now", file=sys.stderr)
    for path in files:
        if (root / path).is_file() and MARKER in (root / path).read_bytes():
            advice = "The file has both versions between markers, and yours alone is beside it as .orig: choose."
            raise StepError(f"{root.name}/{path}", "you and the template changed the same lines", advice=advice)


def _choice(root: Path, template: str | None, archetype: str | None, overlay: Path | None) -> Choice:
    """Return what to render: what the flags say, else what the package was made from."""
    made = remembered(root)
    if archetype and archetype != made.get("archetype", archetype):
        fault, advice = "it is of another archetype", "Make a new model for another one."
        raise UsageError(str(root), fault, expected=made["archetype"], got=archetype, advice=advice)
    overlay = _overlay(root, overlay, made.get("overlay"))
    usual = {**Choice()._asdict(), **declared(overlay), **made}
    return Choice(template or usual["template"], archetype or usual["archetype"], overlay)


def _overlay(root: Path, overlay: Path | None, made_with_one: bool | None) -> Path | None:
    """Return the directory whose files replace the template's: never in a package that was made without one."""
    if made_with_one is False:
        return None
    if overlay or not root.is_dir():
        return overlay
    example = rendering.EXAMPLES / root.name.removesuffix(SUFFIX)
    if made_with_one and not example.is_dir():
        expected = f"its files in {example}"
        advice = "Give the directory that it was made with as --overlay."
        raise UsageError(str(root), "it was made with an overlay", expected=expected, got="none", advice=advice)
    return example if example.is_dir() else None
