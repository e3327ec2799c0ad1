"""Take credentials out of text before anybody can read it."""

from __future__ import annotations

import os
import re

_URL = re.compile(
    r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?:[^\s/?#\"'<>]*@)?(?P<place>[^\s?#\"'<>]*)(?P<query>\?[^\s\"'<>]*)?"
)
# What requests and urllib3 write when they give only the path of a URL.
_PATH_WITH_QUERY = re.compile(r"(?P<path>/[^\s?\"'<>]*)\?[^\s\"'<>)]*=[^\s\"'<>)]*")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(?:ACCESS|API|ACCOUNT|SAS)_?KEY|CONNECTION_STRING")
_SHORTEST_SECRET = 6


def redact(text: str) -> str:
    """Return `text` without user names, passwords and query values in its URLs, and without secrets of the environment.

    A whole query goes, not only the parameters that are known to be secret: signed URLs differ between providers.
    """
    text = _URL.sub(lambda url: url["scheme"] + url["place"] + ("?..." if url["query"] else ""), text)
    text = _PATH_WITH_QUERY.sub(r"\g<path>?...", text)
    for secret in _environment_secrets():
        text = text.replace(secret, "***")
    return text


def has_credentials(url: str) -> bool:
    """Tell whether a URL carries a user name or a password."""
    authority = url.partition("://")[2].partition("/")[0]
    return "@" in authority


def _environment_secrets() -> list[str]:
    secrets = (value for name, value in os.environ.items() if _SECRET_NAME.search(name.upper()))
    return sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
