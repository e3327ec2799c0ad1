"""What addresses stand for: one file that can be opened at any offset, or the files of a directory or a pattern.

Patterns are the same for every protocol: fsspec's, where a * stops at a slash and ** does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from model_side.base.errors import UsageError
from model_side.base.files import FileEntry
from model_side.base.redact import redact

from .progress import Bar

_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Opened:
    """An answer to a request for the bytes of a file.

    Parameters
    ----------
    start : int
        Offset of the first byte of `chunks`: what was asked for, or 0 where the whole file comes.
    total : int or None
        Size of the whole file in bytes, where known.
    validator : str
        What changes when the content does: an ETag, a time, a version; empty where there is none.
    in_ranges : bool
        Whether parts of the file can be asked for.
    chunks : iterator of bytes
    close : callable
    """

    start: int
    total: int | None
    validator: str
    in_ranges: bool
    chunks: Iterator[bytes]
    close: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Origin:
    """One remote file.

    Parameters
    ----------
    uri : str
        It tells the file from others, and may hold credentials.
    open : callable of int, int or None, str
        Asks for the bytes from a first to before an end, of the content that a validator stands for. It raises CutError
        if a later attempt may succeed, StepError if none will.
    """

    uri: str
    open: Callable[[int, int | None, str], Opened] = field(repr=False)

    @property
    def shown(self) -> str:
        """Return its address, without credentials."""
        return redact(self.uri)


@dataclass(frozen=True)
class Member:
    """One file of a remote directory.

    Parameters
    ----------
    name : str
        Relative to the directory.
    origin : Origin
    size : int or None
        Bytes.
    mark : str
        What changes when the content does, as the listing says it.
    """

    name: str
    origin: Origin
    size: int | None
    mark: str = ""


# Copies a file, or the files of a directory, of this machine, and returns what they are by name; '' is the file itself.
Copy = Callable[[Path, Bar], dict[str, FileEntry]]


def locate(uri: str, say: Callable[[str], None] = lambda line: None) -> Origin | tuple[Member, ...] | Copy:
    """Return what `uri` stands for; asks the network where it must, and loads libraries where it needs them.

    Parameters
    ----------
    uri : str
    say : callable
        Tells a person how it is read, where that is not as usual.

    Raises
    ------
    StepError
        If it stands for nothing.
    UsageError
        If a library for its protocol is not installed.
    """
    scheme = uri.partition(":")[0]
    if scheme == "file":
        from .local import locate_local

        return locate_local(uri)
    if scheme in ("http", "https"):
        from .http import http_file

        return http_file(uri)
    if scheme == "hf":
        from .repositories import locate_on_hub

        return locate_on_hub(uri)
    if scheme == "doi":
        from .repositories import locate_doi

        return locate_doi(uri)
    from .remote import locate_remote

    return locate_remote(uri, say)


def is_pattern(path: str) -> bool:
    """Tell whether a path holds letters that stand for others."""
    return bool(_MAGIC.search(path))


def top_of(pattern: str) -> str:
    """Return the directory before the first letter that stands for others, without a slash at its end."""
    return _MAGIC.split(pattern, 1)[0].rpartition("/")[0]


def matching(pattern: str, shown: str) -> Callable[[str], bool]:
    """Return what tells whether a path is one that the pattern of the address `shown` means.

    Raises
    ------
    UsageError
        If it is no pattern.
    """
    from fsspec.utils import glob_translate

    try:
        expression = re.compile(glob_translate(pattern))
    except (ValueError, re.error) as error:
        raise not_a_pattern(shown, error) from error
    return lambda path: expression.match(path) is not None


def not_a_pattern(shown: str, error: Exception) -> UsageError:
    """Return the error for a pattern that is none."""
    return UsageError(shown, "not a pattern", got=str(error), advice="Correct it.")
