"""What downloads may have left beside their targets, so that it can be told from an author's when its source has gone.

``.pipeline/leftovers.json`` names the paths whose bytes have begun to come, before the first of them does, and what was
kept as ``.bad`` because its bytes were wrong. What an author edited is kept as ``.bad``, too, and is never in here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.fingerprint import StatCache
from engine.step import STATE_DIRECTORY

from .content import digest, look
from .declaration import DATA_DIRECTORY

_SCHEMA = 1
# Not what a killed run has moved aside: that may hold an author's edit.
_UNFINISHED = r"\.part(?:\.json(?:\.part)?|\.(?:cached|command|unpacked)\.part)?"


@dataclass(frozen=True)
class Leftovers:
    """What may be left, by names relative to model_data/.

    Parameters
    ----------
    begun : collection of str
        Paths beside which something unfinished may be.
    bad : mapping of str to (str, str)
        The path beside which each file or directory was kept aside because its bytes were wrong, and its digest.
    """

    begun: Collection[str] = ()
    bad: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def read_leftovers(package: Path) -> Leftovers:
    """Return what is recorded; nothing where the record is missing or cannot be understood."""
    try:
        document = json.loads(_record(package).read_bytes())
        if document["schema"] != _SCHEMA:
            return Leftovers()
        begun = tuple(str(path) for path in document["begun"])
        return Leftovers(begun, {name: (str(path), str(sha256)) for name, (path, sha256) in document["bad"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Leftovers()


def begin(package: Path, paths: Collection[str]) -> None:
    """Record that bytes of these paths are about to come."""
    known = read_leftovers(package)
    _write(package, Leftovers({*known.begun, *paths}, known.bad))


def settle(package: Path, bad: Mapping[str, tuple[str, str]]) -> None:
    """Record what is left at the end of a run, which has kept `bad` aside; nothing where there is nothing."""
    known, data = read_leftovers(package), package / DATA_DIRECTORY
    begun = [path for path in known.begun if any(unfinished(data, path))]
    there = {name: facts for name, facts in {**known.bad, **bad}.items() if (data / name).exists()}
    _write(package, Leftovers(begun, there))


def unfinished(data: Path, path: str) -> Iterator[str]:
    """Yield what is unfinished beside a path, by names relative to model_data/."""
    target = data / path
    name = re.compile(re.escape(target.name) + _UNFINISHED)
    if target.parent.is_dir():
        found = sorted(beside.name for beside in target.parent.iterdir() if name.fullmatch(beside.name))
        yield from (str(Path(path).with_name(beside)) for beside in found)


def is_still(data: Path, name: str, sha256: str) -> bool:
    """Tell whether what was kept aside is what it was then."""
    return digest(look(data, [name], StatCache()), (name,)) == sha256


def _record(package: Path) -> Path:
    return package / STATE_DIRECTORY / "leftovers.json"


def _write(package: Path, leftovers: Leftovers) -> None:
    path = _record(package)
    if not (leftovers.begun or leftovers.bad):
        path.unlink(missing_ok=True)
        return
    document = {"schema": _SCHEMA, "begun": sorted(leftovers.begun), "bad": dict(sorted(leftovers.bad.items()))}
    aside = path.with_name(f"{path.name}.part")
    with suppress(FileNotFoundError):  # a package that was never built has no state
        aside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        aside.replace(path)
