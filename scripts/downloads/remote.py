"""Read files of any protocol that fsspec knows (s3, gs, az, sftp, ...); its library loads when it is first needed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

from model_side.base.errors import StepError, UsageError
from model_side.base.redact import redact

from .faults import ChangedError, CutError, not_installed
from .origins import Member, Opened, Origin, is_pattern, not_a_pattern, top_of

T = TypeVar("T")

CHUNK = 8 << 20
# What tells two contents of a file apart, as the protocols call it.
_MARKS: tuple[str, ...] = ("ETag", "etag", "VersionId", "version_id", "generation", "md5Hash")
_MARKS += ("LastModified", "updated", "mtime", "created")
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
    ("ftplib", "Error"),
)
# What an FTP server answers to a wrong password, and how gcsfs begins.
_NO_ACCESS = ("530", "532", "Forbidden")
# s3fs asks again by itself, for a minute, where nothing answers; here a transfer does that.
S3_LIMITS: dict[str, Any] = {"connect_timeout": 8, "read_timeout": 12, "retries": {"total_max_attempts": 1}}
SILENCE_SECONDS = 5


class Store:
    """A file system of fsspec; unless it is made for it, threads use it one by one, and it connects anew after a fault.

    Parameters
    ----------
    uri : str
        Of something in it; `path` is what that is called there.

    Attributes
    ----------
    is_anonymous : bool
        Whether it is read without credentials, because there are none.

    Raises
    ------
    UsageError
        If fsspec does not know the protocol, lacks a library for it, or misses something in `uri`.
    StepError
        If it cannot be reached.
    """

    def __init__(self, uri: str) -> None:
        self._uri, self._shown, self._turn = uri, redact(uri), threading.Lock()
        self._is_shared = _class_for(uri).async_impl
        self._files: Any = None
        self._has_answered = False
        self.path, self.is_anonymous = "", False
        try:
            self.ask(lambda files: None, self._shown)
        except (ValueError, TypeError) as error:  # a library's, about what the address lacks
            advice = "Correct it, or set up the protocol's library."
            raise UsageError(self._shown, "it cannot be opened", got=redact(str(error)), advice=advice) from error

    def ask(self, call: Callable[[Any], T], shown: str) -> T:
        """Return what `call` gets from the file system.

        Raises
        ------
        CutError
            If a later attempt may succeed.
        StepError
            If none will.
        """
        started = time.monotonic()
        with nullcontext() if self._is_shared else self._turn:
            try:
                answer = _asked(lambda: call(self._connected()), shown)
            except CutError as error:
                self._files = self._files if self._is_shared else None
                if not self._has_answered and time.monotonic() - started >= SILENCE_SECONDS:
                    advice = "Check the address, your network and proxies."
                    raise StepError(shown, error.fault, advice=advice) from error
                raise
            self._has_answered = self._has_answered or answer is not None
            return answer

    def _connected(self) -> Any:
        if self._files is None:
            from fsspec.core import url_to_fs

            options = {"skip_instance_cache": not self._is_shared, **_credentials(self._uri)}
            is_s3 = self._uri.startswith(("s3:", "s3a:"))
            if is_s3:
                self.is_anonymous = import_module("botocore.session").Session().get_credentials() is None
                options |= {"anon": self.is_anonymous, "config_kwargs": S3_LIMITS}
            self._files, self.path = url_to_fs(self._uri, **options)
            if is_s3:
                self._files.retries = 1
        return self._files


def remote_file(store: Store, path: str, uri: str) -> Origin:
    """Return the file that is called `path` in a file system, and `uri` elsewhere."""
    return Origin(uri, partial(_open, store, path, redact(uri)))


def _open(store: Store, path: str, shown: str, start: int, end: int | None, validator: str) -> Opened:
    """Read from `start` on, or from the beginning where the file is not the one that `validator` stands for."""
    size, mark = _state(store, path, shown)
    if size is None:
        raise StepError(shown, "its size is unknown", advice="It can only be had by a `command` source.")
    first = start if validator in ("", mark) else 0
    return Opened(first, size, mark, True, _chunks(store, path, shown, range(first, end or size), (size, mark)))


def _chunks(store: Store, path: str, shown: str, offsets: range, state: tuple[int, str]) -> Iterator[bytes]:
    for start in offsets[::CHUNK]:
        stop = min(start + CHUNK, offsets.stop)
        chunk = store.ask(lambda files: files.cat_file(path, start=start, end=stop), shown)  # noqa: B023
        if stop == offsets.stop and _state(store, path, shown) != state:  # nobody asks for more after the last bytes
            raise ChangedError(shown)
        yield chunk


def _state(store: Store, path: str, shown: str) -> tuple[int | None, str]:
    def info(files: Any) -> dict[str, Any]:
        files.invalidate_cache()
        return dict(files.info(path))

    facts = store.ask(info, shown)
    return facts.get("size"), _mark(facts)


def locate_remote(uri: str, say: Callable[[str], None] = lambda line: None) -> Origin | tuple[Member, ...]:
    """Return what `uri` stands for: one file, or the files of a directory (it ends with a slash) or of a pattern.

    `say` tells a person if it is read without credentials.

    Raises
    ------
    StepError
        If it stands for nothing.
    UsageError
        If fsspec does not know the protocol, or needs a library for it that is not installed.
    """
    shown, store = redact(uri), Store(uri)
    path = store.path
    top, place, found = path.rstrip("/"), uri.rstrip("/"), None
    if is_pattern(path):
        top, place = top_of(path), top_of(uri)
        try:
            found = store.ask(lambda files: dict(files.glob(path, detail=True)), shown)
        except ValueError as error:
            raise not_a_pattern(shown, error) from error
    elif uri.endswith("/") or store.ask(lambda files: _is_directory(files, path), shown):
        found = store.ask(lambda files: dict(files.find(path, detail=True)), shown)
    if store.is_anonymous:
        say(f"{shown}: no credentials are set up: it is read without any, as everybody may read a public bucket")
    if found is None:
        return remote_file(store, path, uri)
    members = tuple(_members(store, top, place, found))
    if not members:
        raise StepError(shown, "no file is there", advice="Check the uri.")
    return members


def _is_directory(files: Any, path: str) -> bool:
    try:
        return bool(files.isdir(path))
    except PermissionError:  # who may not list a bucket may still read a file of it
        return False


def _class_for(uri: str) -> Any:
    from fsspec.registry import get_filesystem_class, known_implementations

    shown, protocol = redact(uri), uri.partition("://")[0]
    try:
        return get_filesystem_class(protocol)
    except ImportError as error:
        facts = known_implementations.get(protocol, {})
        library = getattr(error.__cause__, "name", None) or facts.get("class", "another library").partition(".")[0]
        raise not_installed(shown, f"{protocol}://", library, facts.get("err", str(error))) from error
    except ValueError as error:
        known = ", ".join(sorted({"doi", "file", "hf", "http", "https", *known_implementations}))
        raise UsageError(shown, "unknown protocol", got=protocol, advice=f"Known: {known}.") from error


def _credentials(uri: str) -> dict[str, str]:
    """Return name and password of ~/.netrc for a protocol whose library does not look there."""
    if not uri.startswith("ftp://"):
        return {}
    from requests.utils import get_netrc_auth

    name, password = get_netrc_auth(uri) or ("", "")
    is_meant = name and urlsplit(uri).username in (None, name)
    return {"username": name, "password": password} if is_meant else {}


def _members(store: Store, top: str, place: str, found: Mapping[str, Any]) -> Iterator[Member]:
    for path, facts in sorted(found.items()):
        # Object stores keep empty objects as names of directories.
        if facts.get("type") == "file" and not path.endswith("/"):
            name = path[len(top) :].lstrip("/")
            yield Member(name, remote_file(store, path, f"{place}/{name}"), facts.get("size"), _mark(facts))


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
        if "credential" in str(error).lower() or str(error).startswith(_NO_ACCESS):
            raise _refused(shown, error) from error
        if type(error).__name__ == "error_perm":  # ftplib's, for what is refused for good
            raise StepError(shown, "the server refused", got=_words(error), advice="Check the uri.") from error
        raise CutError(shown, _words(error)) from error


def _refused(shown: str, error: BaseException) -> StepError:
    advice = "Give credentials in the environment or in the protocol's own file, as ~/.netrc or ~/.aws/credentials."
    return StepError(shown, "access is refused", got=_words(error), advice=advice)


def _words(error: BaseException) -> str:
    return redact(" ".join(str(error).split())) or type(error).__name__


def _faults() -> tuple[type[Exception], ...]:
    loaded = (getattr(sys.modules.get(module), name, None) for module, name in _FAULTS)
    return (OSError, EOFError, *(fault for fault in loaded if fault is not None))
