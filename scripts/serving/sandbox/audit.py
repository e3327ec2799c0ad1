"""What a prediction used beyond the model, its environment and its input."""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .leash import SYSTEM

HOOK = Path(__file__).parent / "watching"
LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "")


@dataclass(frozen=True)
class Outside:
    """What was used from outside, each sorted.

    Parameters
    ----------
    files : tuple of str
        Those in the working directory relative to it, those of the user from ~ on.
    hosts : tuple of str
        Other machines.
    programs : tuple of str
        Names.
    """

    files: tuple[str, ...]
    hosts: tuple[str, ...]
    programs: tuple[str, ...]

    def facts(self) -> dict[str, list[str]]:
        """Return it as serve_report.json says it."""
        return {"files": list(self.files), "network": list(self.hosts), "programs": list(self.programs)}


def watched(variables: Mapping[str, str], log: Path, model: Path) -> dict[str, str]:
    """Return variables with which an interpreter notes in `log` what it uses from the first file of `model` on."""
    return {
        **variables,
        "PYTHONPATH": str(HOOK),
        "PREDICTION_WATCH_LOG": str(log),
        "PREDICTION_WATCH_MODEL": f"{model.absolute()}{os.sep}",
    }


def outside(log: Path, places: Iterable[Path], known: Iterable[Path], since: float) -> Outside:
    """Read what was noted, without what lies in `places` of its environment or the system, or is `known`.

    What came to a temporary place at or after `since`, seconds since 1970, is the prediction's own.
    """
    own = [*map(Path, SYSTEM), *places, HOOK, *(path.absolute() for path in known)]

    def is_own(path: Path) -> bool:
        passing = path.is_relative_to(tempfile.gettempdir()) and path.stat().st_ctime >= since
        return passing or any(path.is_relative_to(place) for place in own)

    lines = [line.split("\t", 1) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    noted = [(what, ast.literal_eval(name)) for what, name in lines]
    files = (Path(name) for what, name in noted if what == "opens")
    strange = {path for path in files if path.exists() and not is_own(path)}
    hosts = {name for what, name in noted if what in ("asks for", "connects to")}
    return Outside(
        tuple(sorted(map(_shown, strange))),
        tuple(sorted(hosts - set(LOCAL))),
        tuple(sorted({Path(name).name for what, name in noted if what == "starts"})),
    )


def inputs(payload: Any) -> Iterator[Path]:
    """Yield the local files and directories that a payload names."""
    if isinstance(payload, dict | list):
        for each in payload.values() if isinstance(payload, dict) else payload:
            yield from inputs(each)
    elif isinstance(payload, str) and payload:
        try:
            parts = urlsplit(payload)
        except ValueError:  # some other text
            return
        path = Path(unquote(parts.path) if parts.scheme else payload)
        if parts.scheme in ("", "file") and path.name:  # not "/" or ".", which would let everything through
            yield path


def _shown(path: Path) -> str:
    for place, name in ((Path.cwd(), ""), (Path.home(), "~")):
        if path.is_relative_to(place):
            return str(Path(name, path.relative_to(place)))
    return str(path)
