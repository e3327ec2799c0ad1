"""Read files of any protocol that fsspec knows (s3, gs, az, sftp, ...); its library loads when it is first needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from model_side.redact import redact
from pipeline.errors import StepError, UsageError

from .origins import ChangedError, CutError, Member, Opened, Origin
from .patterns import is_pattern, not_a_pattern, top_of

T = TypeVar("T")

CHUNK = 8 << 20
# What tells two contents of a file apart, as the protocols call it.
_MARKS = (
    "ETag",
    "etag",
    "VersionId",
    "version_id",
    "generation",
    "md5Hash",
    "LastModified",
    "updated",
    "mtime",
    "created",
)
# The bases of what the protocols' libraries raise beside OSError; only those that are loaded can have been raised.
_FAULTS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
    ("paramiko", "SSHException"),
    ("fsspec.exceptions", "FSTimeoutError"),
)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a file system of fsspec.

    Parameters
    ----------
    files : fsspec.AbstractFileSystem
    path : str
        In that file system.
    uri : str
        Its address, for people.
    """

    files: Any
    path: str
    uri: str

    @property
    def shown(self) -> str:
        """Return its address, without credentials."""
        return redact(self.uri)

    @property
    def key(self) -> str:
        """Return what tells it from other files."""
        return self.uri

    def open(self, start: int, end: int | None, validator: str) -> Opened:
        """Read from `start` on, or from the beginning where the file is not the one that `validator` stands for."""
        size, mark = self._state()
        first = start if validator in ("", mark) else 0
        if size is None:
            raise StepError(self.shown, "its size is unknown", advice="It can only be had by a `command` source.")
        return Opened(first, size, mark, True, self._chunks(first, end or size, (size, mark)), lambda: None)

    def _chunks(self, first: int, end: int, state: tuple[int, str]) -> Iterator[bytes]:
        for start in range(first, end, CHUNK):
            stop = min(start + CHUNK, end)
            yield _asked(lambda: self.files.cat_file(self.path, start=start, end=stop), self.shown)  # noqa: B023
        if self._state() != state:
            raise ChangedError(self.shown)

    def _state(self) -> tuple[int | None, str]:
        self.files.invalidate_cache()
        facts = _asked(lambda: self.files.info(self.path), self.shown)
        return facts.get("size"), _mark(facts)


def locate_remote(uri: str) -> Origin | tuple[Member, ...]:
    """Return what `uri` stands for: one file, or the files of a directory (it ends with a slash) or of a pattern.

    Raises
    ------
    StepError
        If it stands for nothing.
    UsageError
        If fsspec does not know the protocol, or needs a library for it that is not installed.
    """
    shown = redact(uri)
    files, path = _file_system(uri, shown)
    if is_pattern(path):
        top, found = top_of(path), _matching(files, path, shown)
    elif uri.endswith("/") or _asked(lambda: files.isdir(path), shown):
        top, found = path.rstrip("/"), _asked(lambda: files.find(path, detail=True), shown)
    else:
        return RemoteFile(files, path, uri)
    members = tuple(_members(files, top, found, uri.partition("://")[0]))
    if not members:
        raise StepError(shown, "no file is there", advice="Check the uri.")
    return members


def _matching(files: Any, pattern: str, shown: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = _asked(lambda: files.glob(pattern, detail=True), shown)
    except ValueError as error:
        raise not_a_pattern(shown, error) from error
    return found


def _file_system(uri: str, shown: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    protocol = uri.partition("://")[0]
    try:
        files, path = _asked(lambda: url_to_fs(uri), shown)
    except ImportError as error:
        need = known_implementations.get(protocol, {}).get("err", str(error))
        raise UsageError(shown, f"{protocol}:// needs a library that is not installed", advice=f"{need}.") from error
    except ValueError as error:
        known = ", ".join(sorted({"doi", "file", "hf", "http", "https", *known_implementations}))
        raise UsageError(shown, "unknown protocol", got=protocol, advice=f"Known: {known}.") from error
    return files, path


def _members(files: Any, top: str, found: Mapping[str, Any], protocol: str) -> Iterator[Member]:
    for path, facts in sorted(found.items()):
        # Object stores keep empty objects as names of directories.
        if facts.get("type") == "file" and not path.endswith("/"):
            name = path[len(top) :].lstrip("/")
            origin = RemoteFile(files, path, f"{protocol}://{path.lstrip('/')}")
            yield Member(name, origin, facts.get("size"), _mark(facts))


def _mark(facts: Mapping[str, Any]) -> str:
    return " ".join(str(facts[name]) for name in _MARKS if facts.get(name) is not None)


def _asked(call: Callable[[], T], shown: str) -> T:
    try:
        return call()
    except FileNotFoundError as error:
        raise StepError(shown, "no such file or directory", advice="Check the uri.") from error
    except PermissionError as error:
        raise _refused(shown, error) from error
    except _faults() as error:
        if "credential" in str(error).lower():
            raise _refused(shown, error) from error
        raise CutError(shown, redact(str(error)) or type(error).__name__) from error


def _refused(shown: str, error: BaseException) -> StepError:
    advice = "Give credentials in the environment or in the protocol's own files."
    return StepError(shown, "access is refused", got=redact(str(error)), advice=advice)


def _faults() -> tuple[type[Exception], ...]:
    loaded = (getattr(sys.modules.get(module), name, None) for module, name in _FAULTS)
    return (OSError, *(fault for fault in loaded if fault is not None))
