"""Take credentials out of text before anybody can read it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

_URL = re.compile(
    r"\b(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://"
    # A password with an unescaped slash has no place in a URL; it is one all the same.
    r"(?P<user>[^\s/?#\"'<>]*@|[^\s/?#\"'<>:@]*:(?!\d*(?:[/?#]|$))[^\s\"'<>@]*@)?"
    r"(?P<place>[^\s?#\"'<>]*)(?P<query>\?[^\s\"'<>]*|#[^\s\"'<>]*=[^\s\"'<>]*)?"
)
# What requests and urllib3 write when they give only the path of a URL.
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>)]*=[^\s\"'<>)]*")
_SECRET_WORD = r"token|secret|passw(?:or)?d|credentials?|(?:access|api|account|sas)[-_]?key|connection_string"
# A flag of a command, or a variable before it.
_ARGUMENT = re.compile(rf"(?<![\w?&-])(?P<name>--[\w-]*(?:{_SECRET_WORD})(?:=|\s+)|\w*(?:{_SECRET_WORD})=)\S+", re.I)
_SECRET_NAME = re.compile(_SECRET_WORD, re.I)
_SHORTEST_SECRET = 6
# Here a name before the @ is part of the place, or tells who is there; it opens nothing.
_WITH_NAMES = ("abfs", "abfss", "adl", "ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs")
# What fsspec reads as org:repo@revision.
_REPOSITORY = re.compile(r"[\w-]+:(?!gh[a-z]_|github_pat_)[\w.-]+@")


def redact(text: str) -> str:
    """Return `text` without passwords and query values in its URLs, secret arguments, and secrets of the environment.

    A whole query goes, not only the parameters that are known to be secret: signed URLs differ between providers.
    """
    text = _URL.sub(_shown, text)
    text = _QUERY.sub("?...", text)
    text = _ARGUMENT.sub(r"\g<name>***", text)
    for secret in _environment_secrets():
        text = text.replace(secret, "***")
    return text


def redacted(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``[[source]]`` table of model_data.toml without the credentials in its address or command."""
    return {key: redact(value) if isinstance(value, str) and key != "path" else value for key, value in source.items()}


def has_credentials(url: str) -> bool:
    """Tell whether a URL carries a password, or a name that may be a token."""
    found = _URL.match(url)
    return bool(found and found["user"] and not _is_name(found))


def _shown(url: re.Match[str]) -> str:
    mark = (url["query"] or "")[:1]
    return f"{url['scheme']}://{(url['user'] or '') * _is_name(url)}{url['place']}{mark and mark + '...'}"


def _is_name(url: re.Match[str]) -> bool:
    scheme, user = url["scheme"].lower(), url["user"] or ""
    return bool(_REPOSITORY.fullmatch(user)) if scheme == "github" else scheme in _WITH_NAMES and ":" not in user


def _environment_secrets() -> list[str]:
    secrets = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    return sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
