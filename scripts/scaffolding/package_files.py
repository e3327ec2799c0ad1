"""Bring a package's files up to date with what its template has become; what an author edited is kept or merged.

Beside the package's own state lies a copy of each file as it was scaffolded. A file that still equals its copy was not
edited, and follows the template. An edited one is kept; `merge` joins both with the copy as their common base.

The tool's own code, which mlflow_packager.py runs by hand, is hidden there, too. Nobody edits it: it is just replaced.
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.step import STATE_DIRECTORY
from model_side.base.errors import StepError
from model_side.base.files import publish_directory

from .render import SCRIPTS, Choice, Files, files_in

BASE = Path(STATE_DIRECTORY, "scaffold")
MADE = Path(STATE_DIRECTORY, "scaffold.json")
TOOL_CODE = Path(STATE_DIRECTORY, "model_side")
OLD_TOOL_CODE = "model_side/"  # where it lay before it was hidden
PACKAGER = "mlflow_packager.py"
MARKER = b"<<<<<<< yours\n"  # of git merge-file, where both changed the same lines
TOOLS_OWN = (PACKAGER, "model_code/__init__.py")  # they come back where they were removed


class Change(NamedTuple):
    """What becomes of one file.

    Parameters
    ----------
    path : str
        Relative to the package.
    action : str
        "write", "remove", "keep" (edited, and the template moved on), "let go" (edited, and the template no longer has
        it) or "merge".
    content : bytes
        What is written, for "write" and "merge".
    conflicts : int
        Places where the author and the template changed the same lines.
    """

    path: str
    action: str
    content: bytes = b""
    conflicts: int = 0


def create(root: Path, files: Files, choice: Choice) -> None:
    """Make a new package at `root`, whole or not at all.

    Parameters
    ----------
    root : Path
        It must not exist; its parent must.
    files : mapping of str to bytes
        By their paths in the package.
    choice : Choice

    Raises
    ------
    OSError
        If it cannot be written; then nothing remains.
    """
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.part-", dir=root.parent) as scratch:
        part = Path(scratch, root.name)
        _write_all(part, files)
        remember(part, files, choice)
        refresh_tool_code(part)
        part.rename(root)


def refresh_tool_code(root: Path) -> bool:
    """Let a package's copy of the tool's own code be what the tool has now; tell whether it was not.

    Parameters
    ----------
    root : Path
        The package.
    """
    code, place = files_in(SCRIPTS / TOOL_CODE.name), root / TOOL_CODE
    if code == files_in(place):
        return False
    new = place.with_name(f"{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    _write_all(new, code)
    publish_directory(new, place)
    return True


def remember(root: Path, files: Files, choice: Choice, kept: Collection[str] = ()) -> None:
    """Keep the files as they were scaffolded, and what they were made from.

    Parameters
    ----------
    root : Path
        The package.
    files : mapping of str to bytes
        By their paths in the package.
    choice : Choice
    kept : collection of str
        Those that stay as they are remembered.
    """
    base = files_in(root / BASE)
    shutil.rmtree(root / BASE, ignore_errors=True)
    _write_all(root / BASE, {**files, **{path: base[path] for path in kept if path in base}})
    made = {"template": choice.template, "archetype": choice.archetype, "overlay": choice.overlay is not None}
    _write(root / MADE, json.dumps(made).encode())


def remembered(root: Path) -> dict[str, Any]:
    """Return what a package was made from.

    Parameters
    ----------
    root : Path
        The package, or where one will be.

    Returns
    -------
    dict of str to object
        template, archetype, and whether there was an overlay; without what is not known.
    """
    try:
        return dict(json.loads((root / MADE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def plan(root: Path, files: Files, *, merge: bool) -> list[Change]:
    """Decide what becomes of each file; nothing is written.

    Parameters
    ----------
    root : Path
        The package.
    files : mapping of str to bytes
        As the template has them now, by their paths in the package.
    merge : bool
        Whether edited files take the template's changes, too.
    """
    base = files_in(root / BASE)
    names = sorted({*files, *base})
    changes = [change for name in names for change in _plan_file(root / name, name, base, files, merge=merge)]
    if Change(PACKAGER, "keep") in changes:  # an older one, edited: it runs the tool's code beside it
        return [change for change in changes if not change.path.startswith(OLD_TOOL_CODE)]
    return changes


def _plan_file(path: Path, name: str, base: Files, files: Files, *, merge: bool) -> Iterator[Change]:
    now, then, new = _read(path), base.get(name), files.get(name)
    if now == new or (new == then and now is not None):
        return  # as the template has it, or the template did not move
    if now is None and then is not None and not name.startswith(TOOLS_OWN):
        return  # the author removed it
    if new is None:
        yield Change(name, "remove" if now == then else "let go")
    elif now is None or now == then:
        yield Change(name, "write", new)
    elif merge and then is not None:
        content, conflicts = _merge(now, then, new)
        yield Change(name, "merge", content, conflicts)
    else:
        yield Change(name, "keep")


def apply(root: Path, changes: list[Change]) -> None:
    """Carry out a plan; before a file with conflicts is written, the author's own is kept as ``.orig``.

    Parameters
    ----------
    root : Path
        The package.
    changes : list of Change
    """
    for change in changes:
        path = root / change.path
        if change.action == "remove":
            _remove(path, root)
        elif change.action in ("write", "merge"):
            if change.conflicts:
                shutil.copy2(path, _free(path))
            _write(path, change.content)


def difference(root: Path, changes: list[Change]) -> str:
    """Return a plan as a unified diff.

    Parameters
    ----------
    root : Path
        The package.
    changes : list of Change
    """
    parts: list[str] = []
    for change in changes:
        if change.action not in ("keep", "let go"):
            now = (_read(root / change.path) or b"").decode(errors="replace").splitlines(keepends=True)
            new = change.content.decode(errors="replace").splitlines(keepends=True)
            parts += difflib.unified_diff(now, new, f"a/{change.path}", f"b/{change.path}")
    return "".join(parts)


def _free(path: Path) -> Path:
    """Return the first name for a copy of a file that nothing has."""
    names = itertools.chain(["orig"], (f"{number}.orig" for number in itertools.count(2)))
    return next(each for name in names if not os.path.lexists(each := path.with_name(f"{path.name}.{name}")))


def _merge(now: bytes, then: bytes, new: bytes) -> tuple[bytes, int]:
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in {"yours": now, "scaffolded": then, "template": new}.items():
            Path(scratch, name).write_bytes(content)
        command = ["git", "merge-file", "-p", "yours", "scaffolded", "template"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, check=False)
    if done.returncode < 0 or done.returncode > 127:
        raise StepError("git merge-file", "it failed", got=done.stderr.decode(errors="replace").strip())
    return done.stdout, done.returncode


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _remove(path: Path, root: Path) -> None:
    """Remove a file, and each directory of the package that then holds nothing but bytecode."""
    path.unlink()
    for directory in path.relative_to(root).parents[:-1]:
        if any(each.name != "__pycache__" for each in (root / directory).iterdir()):
            return
        shutil.rmtree(root / directory)


def _write_all(directory: Path, files: Files) -> None:
    for path, content in files.items():
        _write(directory / path, content)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)  # noqa: PTH105 - beside each other, one rename
