"""Take credentials out of text before anybody can read it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

_SECRET_WORD = r"token|secret|passw(?:or)?d|credentials?|(?:access|api|account|sas)[-_]?key|connection_string"
_HINTS = ("token", "secret", "pass", "credential", "key", "connection")  # in each of these words
_SHORTEST_SECRET = 6
# Here a name before the @ is part of the place, or tells who is there; it opens nothing.
_WITH_NAMES = ("abfs", "abfss", "adl", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs")


@cache
def _url() -> re.Pattern[str]:  # each is compiled at its first use: 1 ms that a no-op can do without
    return re.compile(
        r"\b(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://"
        # A password with an unescaped slash has no place in a URL; it is one all the same.
        r"(?P<user>[^\s/?#\"'<>]*@|[^\s/?#\"'<>:@]*:(?!\d*(?:[/?#]|$))[^\s\"'<>@]*@)?"
        r"(?P<place>[^\s?#\"'<>]*)(?P<query>\?[^\s\"'<>]*|#[^\s\"'<>]*=[^\s\"'<>]*)?"
    )


@cache
def _query() -> re.Pattern[str]:
    """Return what requests and urllib3 write when they give only the path of a URL."""
    return re.compile(r"(?<=[^\s?])\?[^\s\"'<>)]*=[^\s\"'<>)]*")


@cache
def _argument() -> re.Pattern[str]:
    """Return a flag of a command, or a variable before it."""
    return re.compile(rf"(?<![\w?&-])(?P<name>--[\w-]*(?:{_SECRET_WORD})(?:=|\s+)|\w*(?:{_SECRET_WORD})=)\S+", re.I)


def redact(text: str) -> str:
    """Return `text` without passwords and query values in its URLs, secret arguments, and secrets of the environment.

    A whole query goes, not only the parameters that are known to be secret: signed URLs differ between providers.
    """
    if any(mark in text for mark in "@?#="):
        text = _url().sub(_shown, text)
        text = _query().sub("?...", text)
    if "=" in text or "--" in text:
        text = _argument().sub(r"\g<name>***", text)
    for secret in _environment_secrets():
        text = text.replace(secret, "***")
    return text


def redacted(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``[[source]]`` table of model_data.toml without the credentials in its address or command."""
    return {key: redact(value) if isinstance(value, str) and key != "path" else value for key, value in source.items()}


def has_credentials(url: str) -> bool:
    """Tell whether a URL carries a password, or a name that may be a token."""
    found = _url().match(url)
    return bool(found and found["user"] and not _is_name(found))


def _shown(url: re.Match[str]) -> str:
    mark = (url["query"] or "")[:1]
    return f"{url['scheme']}://{(url['user'] or '') * _is_name(url)}{url['place']}{mark and mark + '...'}"


def _is_name(url: re.Match[str]) -> bool:
    scheme, user = url["scheme"].lower(), url["user"] or ""
    # What fsspec reads as org:repo@revision.
    is_repository = re.compile(r"[\w-]+:(?!gh[a-z]_|github_pat_)[\w.-]+@").fullmatch
    return bool(is_repository(user)) if scheme == "github" else scheme in _WITH_NAMES and ":" not in user


def _environment_secrets() -> list[str]:
    secrets = (value for name, value in os.environ.items() if _is_secret(name))
    return sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)


@cache
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _HINTS) and bool(re.search(_SECRET_WORD, name, re.I))
