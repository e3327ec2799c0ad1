"""Bring a package's files up to date with what its template has become; what an author edited is kept or merged.

Beside the package's own state lies a copy of each file as it was scaffolded. A file that still equals its copy was not
edited, and follows the template. An edited one is kept; `merge` joins both with the copy as their common base.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.step import STATE_DIRECTORY
from model_side.base.errors import StepError

from .render import Choice, Files

BASE = Path(STATE_DIRECTORY, "scaffold")
CHOICE = Path(STATE_DIRECTORY, "scaffold.json")
TOOLS_OWN = ("mlflow_packager.py", "model_side/")


@dataclass(frozen=True)
class Change:
    """What becomes of one file.

    Parameters
    ----------
    path : str
        Relative to the package.
    action : str
        "write", "remove", "keep" (edited, and the template moved on) or "merge".
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

    Raises
    ------
    OSError
        If it cannot be written; then nothing remains.
    """
    part = Path(tempfile.mkdtemp(prefix=f".{root.name}.part-", dir=root.parent))
    try:
        for path, content in files.items():
            _write(part / path, content)
        remember(part, files, choice)
        part.chmod(0o755)
        part.rename(root)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def remember(root: Path, files: Files, choice: Choice, kept: Collection[str] = ()) -> None:
    """Keep the files as they were scaffolded, and what they were made from; those in `kept` stay as remembered."""
    base = _base(root)
    files = {**files, **{path: base[path] for path in kept if path in base}}
    shutil.rmtree(root / BASE, ignore_errors=True)
    for path, content in files.items():
        _write(root / BASE / path, content)
    document = {"template": choice.template, "archetype": choice.archetype, "overlay": choice.overlay is not None}
    _write(root / CHOICE, json.dumps(document).encode())


def remembered_choice(root: Path) -> Choice | None:
    """Return what the package was made from; None where that is not known."""
    try:
        document = json.loads((root / CHOICE).read_bytes())
        return Choice(document["template"], document["archetype"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def takes_overlay(root: Path) -> bool:
    """Tell whether an overlay's files may stand in for the template's: not in a package that was made without one."""
    try:
        return bool(json.loads((root / CHOICE).read_bytes()).get("overlay", True))
    except (OSError, ValueError, AttributeError):
        return True


def plan(root: Path, files: Files, *, merge: bool) -> list[Change]:
    """Decide what becomes of each file; nothing is written."""
    base = _base(root)
    names = sorted({*files, *base})
    return [change for name in names for change in _plan_file(root / name, name, base, files, merge=merge)]


def _plan_file(path: Path, name: str, base: Files, files: Files, *, merge: bool) -> Iterator[Change]:
    now, then, new = _read(path), base.get(name), files.get(name)
    if now == new or (new == then and now is not None):
        return  # as the template has it, or the template did not move
    if now is None and then is not None and not name.startswith(TOOLS_OWN):
        return  # the author removed it
    if new is None:
        if now == then:
            yield Change(name, "remove")
    elif now is None or now == then:
        yield Change(name, "write", new)
    elif merge and then is not None:
        content, conflicts = _merge(now, then, new)
        yield Change(name, "merge", content, conflicts)
    else:
        yield Change(name, "keep")


def apply(root: Path, changes: list[Change]) -> None:
    """Carry out a plan; before a file with conflicts is written, the author's own is kept as ``.orig``."""
    for change in changes:
        path = root / change.path
        if change.action == "remove":
            path.unlink()
        elif change.action in ("write", "merge"):
            if change.conflicts:
                shutil.copy2(path, path.with_name(f"{path.name}.orig"))
            _write(path, change.content)


def difference(root: Path, changes: list[Change]) -> str:
    """Return a plan as a unified diff."""
    parts: list[str] = []
    for change in changes:
        if change.action != "keep":
            now = (_read(root / change.path) or b"").decode(errors="replace").splitlines(keepends=True)
            new = change.content.decode(errors="replace").splitlines(keepends=True)
            parts += difflib.unified_diff(now, new, f"a/{change.path}", f"b/{change.path}")
    return "".join(parts)


def _merge(now: bytes, then: bytes, new: bytes) -> tuple[bytes, int]:
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch, name) for name in ("yours", "scaffolded", "template")]
        for path, content in zip(paths, (now, then, new), strict=True):
            path.write_bytes(content)
        labels = [word for path in paths for word in ("-L", path.name)]
        done = subprocess.run(["git", "merge-file", "-p", *labels, *map(str, paths)], capture_output=True, check=False)
    if done.returncode < 0 or done.returncode > 127:
        raise StepError("git merge-file", "it failed", got=done.stderr.decode(errors="replace").strip())
    return done.stdout, done.returncode


def _base(root: Path) -> Files:
    top = root / BASE
    paths = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else []
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in paths}


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)  # noqa: PTH105 - beside each other, one rename
