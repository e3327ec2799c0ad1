"""The files that a requirements file names with -r and -c, which are read with it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

_INCLUDE = re.compile(r"^[ \t]*(-r|--requirement|-c|--constraint)[ \t=]+([^#\n]+)", re.MULTILINE)


def included(files: Iterable[Path], *, constraints: bool = True) -> Iterator[Path]:
    """Yield each file that these name, and that those name in turn, once and without the first ones.

    Parameters
    ----------
    files : iterable of Path
    constraints : bool
        Whether what is named with -c counts, too.

    Yields
    ------
    Path
        One that is missing, too: it decides, as soon as it is there.
    """
    first = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 - a link keeps its own place
    seen, left = set(first), first
    while left:
        for found in _named(left.pop(), constraints=constraints):
            if found not in seen:
                seen.add(found)
                left.append(found)
                yield found


def _named(file: Path, *, constraints: bool) -> Iterator[Path]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for flag, found in _INCLUDE.findall(text):
        name = os.path.expandvars(found.strip().strip("'\"").replace("\\ ", " "))
        parts = urlsplit(name)
        if parts.scheme in ("", "file") and (constraints or flag in ("-r", "--requirement")):
            yield Path(os.path.normpath(file.parent / (unquote(parts.path) if parts.scheme else name)))
