"""Look at a package: what is declared, what is recorded, what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.fingerprint import StatCache
from engine.ledger import load_stat_cache
from model_side.base.errors import UsageError

from .command import marker_of
from .content import Files, look
from .declaration import DATA_DIRECTORY, Source, read_declaration
from .record import Entry, read_record


@dataclass
class Scene:
    """What is declared, recorded and there.

    Parameters
    ----------
    package : Path
    sources : tuple of Source
    entries : dict
        The record, by paths.
    stats : StatCache
    found : mapping
        The files in the place of each source, by its paths.
    """

    package: Path
    sources: tuple[Source, ...]
    entries: dict[tuple[str, ...], Entry]
    stats: StatCache
    found: Mapping[tuple[str, ...], Files]

    @property
    def data(self) -> Path:
        """Return the directory of the data."""
        return self.package / DATA_DIRECTORY


def read_scene(package: Path, *, every_byte: bool = False) -> Scene:
    """Look at a package; hash only what the stat cache does not know, or every byte on demand.

    Raises
    ------
    UsageError
        If the declaration is at fault, or something cannot be read.
    """
    if not package.is_dir():
        raise UsageError(str(package), "no such directory", advice="Give the package's directory.")
    sources, data, stats = read_declaration(package), package / DATA_DIRECTORY, load_stat_cache(package)
    if every_byte:
        others = {name: key for name, key in stats.kept().items() if not name.startswith(f"{DATA_DIRECTORY}/")}
        stats = StatCache(others)
    try:
        found = {source.paths: _found(source, data, stats) for source in sources}
    except OSError as error:
        raise UsageError(str(error.filename or data), "it cannot be read", got=error.strerror) from error
    return Scene(package, sources, read_record(data), stats, found)


def _found(source: Source, data: Path, stats: StatCache) -> Files:
    """Look at what is in the place of a source; what a killed command has left does not count."""
    if source.command and marker_of(source, data).exists():
        return {}
    return look(data, source.paths, stats)
