"""Tell what is an address from what is none, before anything is asked."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

from model_side.base.redact import has_credentials

# hf://[kind/]owner/repo, then a revision either there or at the end; only the Hub's own revisions hold a slash there.
HUB = re.compile(
    r"hf://(?P<kind>datasets/|spaces/|models/)?(?P<repo>[^/@]+/[^/@]+)"
    r"(?:@(?P<early>refs/(?:convert|pr)/[^/@]+|[^/@]+)(?:/(?P<inside>[^@]*))?|(?:/(?P<path>.*?))?(?:@(?P<late>[^@]+))?)"
)
HUB_FORM = "hf://owner/repo/file@revision"
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)(://|:(?=10\.))")
_LOCAL = re.compile(r"file:(?://(?:localhost)?(?=/)|(?=/(?!/)))", re.IGNORECASE)
_DOI = re.compile(r"https?://(?:dx\.|www\.)?doi\.org/(?=10\.)", re.IGNORECASE)
# What a browser shows of the Hub: a page about a file or a directory.
_HUB_PAGE = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<repo>(?:datasets/|spaces/)?[^/]+/[^/]+)"
    r"/(?P<what>blob|tree)/(?P<revision>[^/?#]+)(?P<path>[^?#]*)"
)
_CHAIN = re.compile(r"::[a-z][a-z0-9+.-]*://")
_HOSTED = ("ftp", "gcs", "gs", "http", "https", "s3", "s3a", "sftp", "ssh")


def plain(uri: str) -> str:
    """Return an address with its scheme in small letters, and one of this machine or of a DOI in its usual form."""
    scheme, colon, rest = _DOI.sub("doi:", _LOCAL.sub("file://", uri)).partition(":")
    return f"{scheme.lower()}{colon}{rest}"


def address_problem(uri: str) -> str | None:
    """Return why `uri` cannot be an address; None where it can."""
    found = _SCHEME.match(plain(uri))
    if any(unicodedata.category(letter) == "Cc" for letter in uri):
        return f"it holds a control character: {uri!r}"
    if uri != uri.strip():
        return f"it begins or ends with a space: {uri!r}"
    if not found:
        return (
            f"expected a scheme such as https://, s3://, hf:// or file://, got {uri!r}. "
            "A file of this machine is file:///absolute/path"
        )
    if has_credentials(uri):
        return (
            f"it carries credentials: {uri!r}. "
            "Remove them; they belong in the environment or in the protocol's own files, such as ~/.netrc"
        )
    if _CHAIN.search(uri):
        return f"expected one address, got {uri!r}. Give that of the archive, and unpack = true"
    return _problem_of(found["scheme"], plain(uri))


def _problem_of(scheme: str, uri: str) -> str | None:
    if scheme == "file" and not uri.startswith("file:///"):
        return f"expected a path of this machine, file:///absolute/path, got {uri!r}"
    if scheme == "hf" and not HUB.fullmatch(uri):
        return f"expected an address of the Hub, {HUB_FORM}, got {uri!r}"
    if scheme in _HOSTED and not _has_host(uri):
        return f"expected a host or a bucket after ://, got {uri!r}"
    if scheme in ("http", "https") and re.search(r"\?\S*\s", uri):
        return "a space in its query: write %20"
    if page := _HUB_PAGE.match(uri):
        path = page["path"].rstrip("/") + "/" * (page["what"] == "tree" and len(page["path"]) > 1)
        meant = unquote(f"hf://{page['repo']}{path}@{page['revision']}")
        return f"a page of the Hub about what is wanted, got {uri!r}. Write {meant!r}"
    return None


def _has_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.netloc) and (parts.port or 1) > 0
    except ValueError:  # brackets that do not close; a port that is no number
        return False
