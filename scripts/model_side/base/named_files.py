"""The local files that a text names: by a path or file://, with the name of a part of the file after ``::``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote


class Named(NamedTuple):
    """What a text names.

    Parameters
    ----------
    path : Path
        Of a file or directory.
    part : str
        What follows it: ``::`` and the name of a part of the file, or nothing.
    """

    path: Path
    part: str = ""


def named_file(text: str, directory: Path = Path()) -> Named | None:
    """Return the local file or directory that a path or URI names, None for any other URI.

    Parameters
    ----------
    text : str
    directory : Path
        What a relative path is relative to.

    Returns
    -------
    Named or None
        The first reading that is there: a name may hold ``::`` itself, and a file:// that no tool made is not encoded.
    """
    scheme, sign, rest = text.partition("://")
    if sign and scheme != "file":
        return None
    path = rest.removeprefix("localhost") if sign else text
    readings = [each for name in ([unquote(path), path] if sign else [path]) for each in _readings(directory, name)]
    return next((each for each in readings if os.path.exists(each.path)), readings[0])  # noqa: PTH110  it never raises


def _readings(directory: Path, name: str) -> Iterator[Named]:
    pieces = name.split("::")
    for end in range(len(pieces), 0, -1):
        yield Named(directory / "::".join(pieces[:end]), "".join(f"::{piece}" for piece in pieces[end:]))
