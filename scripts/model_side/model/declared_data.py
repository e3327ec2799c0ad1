"""What model_data.toml declares; and what downloads may leave beside it in model_data/, which no artifact holds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.errors import UsageError

# What a download calls what it keeps beside its target for a while: the unfinished, and the bad.
LEFTOVER = r"(?:\.part(?:\.json|\..+\.part)?|(?:\.[0-9]+)?\.bad)"


def declared_sources(package: Path) -> list[dict[str, Any]]:
    """Return the ``[[source]]`` tables of model_data.toml.

    Raises
    ------
    UsageError
        If it is not valid TOML.
    """
    import tomllib  # 2 ms: a package without downloads does not need it

    declaration = package / "model_data.toml"
    if not declaration.is_file():
        return []
    try:
        found = tomllib.loads(declaration.read_text(encoding="utf-8")).get("source", [])
    except ValueError as error:  # of TOML, and of the bytes of a text
        raise UsageError(declaration.name, "not valid TOML", got=str(error), advice="Mend it.") from error
    return [dict(source) for source in found]


def leftovers(package: Path) -> frozenset[Path]:
    """Return what downloads have left in model_data/ beside their targets, as absolute paths."""
    return frozenset(path for source in declared_sources(package) for target in _targets(source, package)
                     for path in _beside(target))  # fmt: skip


def within(artifacts: Collection[Path], left: Collection[Path]) -> list[Path]:
    """Return those leftovers that lie in an artifact."""
    return sorted(path for path in left if any(artifact in path.parents for artifact in artifacts))


def _targets(source: dict[str, Any], package: Path) -> list[Path]:
    paths = source.get("outputs") or [source.get("path")]
    return [package / "model_data" / path for path in paths if path and isinstance(path, str)]


def _beside(target: Path) -> Iterator[Path]:
    name = re.compile(re.escape(target.name) + LEFTOVER)
    if target.parent.is_dir():
        yield from (path for path in target.parent.iterdir() if name.fullmatch(path.name))


def named_files(command: str, root: Path) -> list[str]:
    """Return the files inside `root` that a command names, such as a script of the author's, but no data."""
    words = [word.strip("'\"") for word in command.split()]
    inside = [word for word in words if PurePosixPath(word).parts[:1] not in ((), ("/",), ("model_data",))]
    return [word for word in inside if ".." not in PurePosixPath(word).parts and (root / word).is_file()]
