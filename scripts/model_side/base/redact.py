"""Texts: find them in a document, and take credentials out of them before anybody can read them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

_SECRET_WORD = r"token|secret|passw(?:or)?d|credentials?|(?:access|api|account|sas)[-_]?key|connection_string"
_HINTS = ("token", "secret", "pass", "credential", "key", "connection")  # in each of these words
_SHORTEST_SECRET = 6
# Here a name before the @ is part of the place, or tells who is there; it opens nothing.
_WITH_NAMES = ("abfs", "abfss", "adl", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs")


# Patterns are texts: `re` compiles each at its first use, which a no-op does not reach.
_URL = (
    r"\b(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://"
    # A password with an unescaped slash has no place in a URL; it is one all the same.
    r"(?P<user>[^\s/?#\"'<>]*@|[^\s/?#\"'<>:@]*:(?!\d*(?:[/?#]|$))[^\s\"'<>@]*@)?"
    r"(?P<place>[^\s?#\"'<>]*)(?P<query>\?[^\s\"'<>]*|#[^\s\"'<>]*=[^\s\"'<>]*)?"
)
_QUERY = r"(?<=[^\s?])\?[^\s\"'<>)]*=[^\s\"'<>)]*"  # requests and urllib3 may write the path of a URL alone
_ARGUMENT = rf"(?i)(?<![\w?&-])(?P<name>--[\w-]*(?:{_SECRET_WORD})(?:=|\s+)|\w*(?:{_SECRET_WORD})=)\S+"  # or a variable
# What fsspec reads as org:repo@revision.
_REPOSITORY = r"[\w-]+:(?!gh[a-z]_|github_pat_)[\w.-]+@"


def redact(text: str) -> str:
    """Return `text` without passwords and query values in its URLs, secret arguments, and secrets of the environment.

    A whole query goes, not only the parameters that are known to be secret: signed URLs differ between providers.
    """
    if any(mark in text for mark in "@?#="):
        text = re.sub(_URL, _shown, text)
        text = re.sub(_QUERY, "?...", text)
    if "=" in text or "--" in text:
        text = re.sub(_ARGUMENT, r"\g<name>***", text)
    for secret in _environment_secrets():
        text = text.replace(secret, "***")
    return text


def redacted(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``[[source]]`` table of model_data.toml without the credentials in its address or command."""
    return {key: redact(value) if isinstance(value, str) and key != "path" else value for key, value in source.items()}


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON or TOML value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def has_credentials(url: str) -> bool:
    """Tell whether a URL carries a password, or a name that may be a token."""
    match = re.match(_URL, url)
    return bool(match and match["user"] and not _is_name(match))


def _shown(url: re.Match[str]) -> str:
    mark = (url["query"] or "")[:1]
    return f"{url['scheme']}://{(url['user'] or '') * _is_name(url)}{url['place']}{mark and mark + '...'}"


def _is_name(url: re.Match[str]) -> bool:
    scheme, user = url["scheme"].lower(), url["user"] or ""
    return bool(re.fullmatch(_REPOSITORY, user)) if scheme == "github" else scheme in _WITH_NAMES and ":" not in user


def _environment_secrets() -> list[str]:
    secrets = (value for name, value in os.environ.items() if _is_secret(name))
    return sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)


@cache
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _HINTS) and bool(re.search(_SECRET_WORD, name, re.I))
