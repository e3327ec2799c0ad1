"""Write the sha256 of what was fetched into model_data.toml, in place: comments, order and layout stay."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from model_side.base.files import publish
from model_side.model.declared_data import DECLARATION

from .declaration import Source, read_declaration


def fill_in(package: Path, fetched: Iterable[tuple[Source, str]]) -> list[str]:
    """Give each fetched source that declares no sha256 the one that was seen, and return their names.

    The file is read again: a source that its author changed meanwhile is left alone, and so is a mutable one.

    Parameters
    ----------
    package : Path
    fetched : iterable of (Source, str)
        Sources and their digests, empty for those that failed.

    Returns
    -------
    list of str
    """
    seen = {source.origin: sha256 for source, sha256 in fetched if sha256}
    bare = [source for source in read_declaration(package) if not (source.sha256 or source.mutable)]
    wanted = {source.number: seen[source.origin] for source in bare if source.origin in seen}
    if wanted:
        _edit(package / DECLARATION, wanted)
    return [source.name for source in bare if source.number in wanted]


def _edit(path: Path, wanted: dict[int, str]) -> None:
    import tomlkit  # 60 ms: not on the way to a no-op

    text = path.read_bytes().decode("utf-8")
    document = tomlkit.parse(text)
    tables: Any = document["source"]
    for number, sha256 in wanted.items():
        value = tomlkit.string(sha256)
        value.trivia.trail = "\r\n" if "\r\n" in text else "\n"
        _set(tables[number - 1], value)
    place = path.resolve()
    mode = place.stat().st_mode
    publish(tomlkit.dumps(document), place)
    place.chmod(mode)


def _set(table: Any, sha256: object) -> None:
    """Set the value; a new one goes before the blank lines and comments that lead over to the next table."""
    body, trailing = getattr(table.value, "body", []), []
    while "sha256" not in table and body and body[-1][0] is None:
        trailing.append(body.pop()[1])
    table["sha256"] = sha256
    for item in reversed(trailing):
        table.add(item)
