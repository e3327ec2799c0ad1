"""Tell by a file's name and header alone that it is not what it should be: a pointer, an error page, a part.

References
----------
Git LFS v1: github.com/git-lfs/git-lfs, docs/spec.md. Zip: PKWARE APPNOTE 6.3.10, 4.3.16. HDF5: File Format
Specification 3.0, II.A. Parquet: github.com/apache/parquet-format, "File format". safetensors:
github.com/huggingface/safetensors, "Format". npy: NumPy's NEP 1.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

_HEAD = 512  # bytes that are read of every file
_UNFINISHED = (".part", ".partial", ".incomplete", ".crdownload", ".aria2")
# Files that may well begin as an HTML page does.
_PAGES = (".html", ".htm", ".xhtml", ".md", ".j2", ".jinja", ".jinja2", ".tmpl", ".template", ".php")
_BEFORE = rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--(?s:.*?)-->\s*)*"  # what may come before the first tag
# What is there in place of a file, by what it begins with.
_STAND_INS = {
    rb"version https://git-lfs\.github\.com/spec/": "a Git LFS pointer, not the file: run `git lfs pull` there",
    rb"/annex/objects/": "a git-annex pointer, not the file: run `git annex get` there",
    _BEFORE + rb"<(?i:!doctype\s+html|html|head)\b": "an HTML page, not the file: get that, or name a page .html",
    _BEFORE + rb"<Error(\s[^>]*)?>\s*<Code>": "an error message of a server, not the file",
}
_STAND_IN = re.compile(b"|".join(b"(?:%s)" % start for start in _STAND_INS))
_MOST_HEADER = 100_000_000  # bytes; the library reads no longer one
_ITEM = re.compile(r"[<>|=]?([a-zA-Z])(\d+)")


class _Format(NamedTuple):
    """A format that says in its header how long a file is.

    Parameters
    ----------
    name : str
    start : bytes
        What its files begin with; empty where they have nothing of their own.
    ends : tuple of str
        How the names of its files end; another file may not be called so.
    size : callable
        Returns the bytes that a file has by its header, or None where that does not tell; EOFError where what it ends
        with is missing, ValueError where it is not of the format.
    """

    name: str
    start: bytes
    ends: tuple[str, ...]
    size: Callable[[BinaryIO, int], int | None]


def damage(path: str | os.PathLike[str], *, name: str = "", member: bool = False) -> str:
    """Return what is wrong with a file, as far as its name and header tell; nothing where they do not.

    Parameters
    ----------
    path : path
        A file that can be read.
    name : str, optional
        What it is called, where that is not its path.
    member : bool
        Whether it is one of a directory, or an example: it may be empty, or a text of any name.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    name = (name or os.fspath(path)).lower()
    if name.endswith(_UNFINISHED):
        return "an unfinished download, by its name: finish it, or rename it"
    head = _head(path)
    if (stand_in := _STAND_IN.match(head)) and not (b"<" in stand_in[0] and name.endswith(_PAGES)):
        return next(words for start, words in _STAND_INS.items() if re.match(start, head))
    if head and not (name.endswith(_ENDS) or head.startswith(_STARTS)):
        return ""  # most files
    kind = next((each for each in _FORMATS if name.endswith(each.ends) or _begins(head, each)), None)
    if not head:
        return "an empty file" if kind or not member else ""
    return _fault(kind, path, member=member) if kind else ""


def _head(path: str | os.PathLike[str]) -> bytes:
    """Return how a file begins; bare descriptors, since there may be ten thousand."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _HEAD)
    finally:
        os.close(descriptor)


def _begins(head: bytes, kind: _Format) -> bool:
    return bool(kind.start) and head.startswith(kind.start)


def _fault(kind: _Format, path: str | os.PathLike[str], *, member: bool) -> str:
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  a path may be a text
        size = os.fstat(stream.fileno()).st_size
        try:
            expected = kind.size(stream, size)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, SyntaxError):
            is_message = not member and _is_text(stream)
            return f"not what its name says: a text with no {kind.name} header" if is_message else ""
        except EOFError:
            return f"cut off: what a {kind.name} file ends with is missing"
    is_whole = expected is None or expected <= size
    return "" if is_whole else f"cut off: expected {expected} bytes by its {kind.name} header, got {size}"


def _is_text(stream: BinaryIO) -> bool:
    """Tell whether a file begins as a message does; else it may be a part of a set that only its library knows."""
    stream.seek(0)
    return bool(re.match(rb"[\s\x20-\x7e]+\Z", stream.read(_HEAD)))


def _of_zip(stream: BinaryIO, size: int) -> None:
    if stream.read(2) != b"PK" and not zipfile.is_zipfile(stream):
        raise ValueError
    if not zipfile.is_zipfile(stream):
        raise EOFError


def _of_npy(stream: BinaryIO, size: int) -> int | None:
    head = stream.read(8)
    if not head.startswith(_NPY):
        raise ValueError
    if len(head) < 8:
        raise EOFError
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    start = 8 + width + length
    if start > size:
        return start
    header = ast.literal_eval(stream.read(length).decode("latin-1"))
    item = _ITEM.match(header["descr"]) if isinstance(header["descr"], str) else None
    if item is None:
        return None
    shape: tuple[int, ...] = header["shape"]
    return start + math.prod(shape) * int(item[2]) * (4 if item[1] == "U" else 1)


def _of_hdf5(stream: BinaryIO, size: int) -> int | None:
    for place in (0, *(512 << power for power in range(12))):  # behind a block of the user's own
        stream.seek(place)
        head = stream.read(96)
        if head.startswith(_HDF5):
            if len(head) < 48:
                raise EOFError
            is_old = head[8] < 2
            width, first = (head[13], 28 if head[8] == 1 else 24) if is_old else (head[9], 12)
            addresses = [head[at : at + width] for at in range(first, first + 4 * width, width)]
            has_driver = is_old and addresses[3] != b"\xff" * width  # one file of several
            return None if has_driver else int.from_bytes(addresses[2], "little")
        if place > size:
            break
    raise ValueError


def _of_parquet(stream: BinaryIO, size: int) -> None:
    start = stream.read(4)
    if start not in (b"PAR1", b"PARE"):
        raise ValueError
    stream.seek(max(size - 8, 0))
    footer = stream.read(8)
    if not footer.endswith(start) or int.from_bytes(footer[:4], "little") + 12 > size:
        raise EOFError


def _of_safetensors(stream: BinaryIO, size: int) -> int:
    length = int.from_bytes(stream.read(8), "little")
    if length > _MOST_HEADER:
        raise ValueError
    if 8 + length > size:
        return 8 + length
    tensors: dict[str, Any] = json.loads(stream.read(length))
    ends: Iterator[int] = (entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__")
    return 8 + length + max(ends, default=0)


_HDF5 = b"\x89HDF\r\n\x1a\n"
_NPY = b"\x93NUMPY"
_FORMATS = (
    _Format("zip", b"PK\x03\x04", (".zip", ".npz", ".keras"), _of_zip),
    _Format("npy", _NPY, (".npy",), _of_npy),
    _Format("HDF5", _HDF5, (".h5", ".hdf5", ".h5ad", ".h5mu", ".loom"), _of_hdf5),
    _Format("Parquet", b"PAR1", (".parquet",), _of_parquet),
    _Format("safetensors", b"", (".safetensors",), _of_safetensors),
)
_STARTS = tuple(kind.start for kind in _FORMATS if kind.start)
_ENDS = tuple(end for kind in _FORMATS for end in kind.ends)
