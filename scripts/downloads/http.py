"""Read files over HTTP with requests: proxies, certificates and ~/.netrc as the machine is set up."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import requests
import urllib3
from requests import exceptions
from requests.adapters import HTTPAdapter

from model_side.base.errors import StepError
from model_side.base.redact import redact

from .faults import ChangedError, CutError
from .origins import Opened, Origin

CHUNK = 1 << 20
_CONNECT_SECONDS, _SILENCE_SECONDS = 15, 60
_MAY_PASS = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 120.0
_GUARD = threading.Lock()
# The registered ones that change a body; what else servers write there, such as utf-8 or aws-chunked, does not.
_ENCODINGS = ("aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "zstd")
_ALIASES = ("x-compress", "x-gzip")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class _MachineTrust(HTTPAdapter):
    """Trust the machine's certificate authorities (SSL_CERT_FILE included), not only the ones that requests ships."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=ssl.create_default_context())

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=ssl.create_default_context())


class _Session(requests.Session):
    """Let a token that was given win over ~/.netrc, also where a server redirects to itself."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        given = prepared_request.headers.get("Authorization", "")
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        here, there = str(response.request.url), str(prepared_request.url)
        if given.startswith("Bearer ") and not self.should_strip_auth(here, there):  # type: ignore[no-untyped-call]
            prepared_request.headers["Authorization"] = given


def session() -> requests.Session:
    """Return the session of this process: one pool of connections."""
    with _GUARD:
        return _session()


@cache
def _session() -> requests.Session:
    made = _Session()
    made.headers["Accept-Encoding"] = "identity"
    made.headers["User-Agent"] = "mlflow-model-chain"
    adapter = _MachineTrust(pool_connections=16, pool_maxsize=32)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


def http_file(url: str, headers: Mapping[str, str] | None = None) -> Origin:
    """Return the file behind an http(s) address; further headers may carry a token, and go to its host only."""
    return Origin(url, partial(_open, url, headers or {}))


def _open(url: str, headers: Mapping[str, str], start: int, end: int | None, validator: str) -> Opened:
    sent, shown = dict(headers), redact(url)
    if start or end is not None:
        sent["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        if validator.startswith('"') or validator[-4:] == " GMT":
            sent["If-Range"] = validator
    response = _get(url, sent, shown)
    try:
        return _opened(response, shown, start, ranged="Range" in sent)
    except BaseException:
        response.close()
        raise


def _opened(response: requests.Response, shown: str, start: int, *, ranged: bool) -> Opened:
    _check_status(response, shown, ranged)
    total, first, is_part = _length(response), 0, response.status_code == 206
    if is_part:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start:
            raise StepError(shown, "the server sent another range than it was asked for")
        first, total = start, None if found[3] == "*" else int(found[3])
    encoded = _is_encoded(response, shown)
    if encoded and is_part:
        raise ChangedError(shown)  # the middle of what an encoding made tells nothing
    in_ranges = is_part or (response.headers.get("Accept-Ranges") == "bytes" and not encoded)
    validator = response.headers.get("ETag", "") or response.headers.get("Last-Modified", "")
    chunks = _chunks(response, shown, decode=encoded)
    return Opened(first, None if encoded else total, validator, in_ranges, chunks, response.close)


def get_json(url: str, headers: dict[str, str] | None = None) -> tuple[Any, str]:
    """Return the JSON document at `url`, and the address of its next page (empty for none).

    Raises
    ------
    CutError
        If a later attempt may succeed.
    StepError
        If the answer is not JSON or the server refuses.
    """
    shown = redact(url)
    with _get(url, headers or {}, shown) as response:
        _check_status(response, shown, ranged=False)
        try:
            return response.json(), response.links.get("next", {}).get("url", "")
        except requests.RequestException as error:
            got = response.headers.get("Content-Type", "none")
            raise StepError(shown, "expected a JSON answer", got=got) from error


def _get(url: str, headers: dict[str, str], shown: str) -> requests.Response:
    timeout = (_CONNECT_SECONDS, _SILENCE_SECONDS)
    # Where something authorizes already, requests does not look into ~/.netrc.
    auth = (lambda request: request) if "Authorization" in headers else None
    try:
        return session().get(url, headers=headers, auth=auth, stream=True, timeout=timeout)
    except (exceptions.InvalidURL, exceptions.InvalidSchema, exceptions.MissingSchema) as error:
        raise StepError(shown, "invalid address", got=redact(str(error))) from error
    except exceptions.TooManyRedirects as error:
        raise StepError(shown, "it redirects in circles") from error
    except exceptions.SSLError as error:
        advice = "If you trust who signed it, such as your proxy, name a file of its certificate in SSL_CERT_FILE."
        raise StepError(shown, "network: its certificate is not trusted", got=_cause(error), advice=advice) from error
    except exceptions.ProxyError as error:
        raise CutError(shown, f"the proxy did not answer ({_cause(error)})") from error
    except requests.RequestException as error:
        raise CutError(shown, _cause(error)) from error


def _check_status(response: requests.Response, shown: str, ranged: bool) -> None:
    code = response.status_code
    if code in (200, 206):
        return
    if code == 416 and ranged:
        raise ChangedError(shown)
    said = f"{code} {response.reason or ''}".rstrip()
    if code in _MAY_PASS:
        raise CutError(shown, f"the server answered {said}", _retry_after(response))
    advice = {
        401: "It needs credentials: give them in the environment or in ~/.netrc.",
        403: "Access is refused: check your credentials, or that the licence was accepted.",
        404: "Check the address.",
        407: "The proxy needs credentials: see your proxy settings.",
        410: "It has been removed: find its new address.",
    }
    raise StepError(shown, f"the server answered {said}", advice=advice.get(code, ""))


def _chunks(response: requests.Response, shown: str, *, decode: bool) -> Iterator[bytes]:
    # read1 returns what has arrived; read would gather a full buffer from small pieces: a third of the speed.
    raw: Any = response.raw
    try:
        if decode:
            yield from raw.stream(CHUNK, decode_content=True)
            return
        while chunk := raw.read1(CHUNK):
            yield chunk
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise CutError(shown, _cause(error)) from error


def _is_encoded(response: requests.Response, shown: str) -> bool:
    """Tell whether the body must be decoded, and let the header say no more than how."""
    asked = [name.strip().lower() for name in response.headers.get("Content-Encoding", "").split(",")]
    names = [name for name in asked if name in _ENCODINGS + _ALIASES]
    unknown = [name for name in names if name not in urllib3.HTTPResponse.CONTENT_DECODERS]
    if unknown:
        advice = "It can only be had by a `command` source."
        fault = "its server sends it encoded in a way that cannot be decoded here"
        raise StepError(shown, fault, got=", ".join(unknown), advice=advice)
    response.raw.headers["Content-Encoding"] = ", ".join(names)
    return bool(names)


def _length(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _retry_after(response: requests.Response) -> float:
    """Return how many seconds the server asks to wait, within reason."""
    try:
        return min(urllib3.Retry().parse_retry_after(response.headers.get("Retry-After", "0")), _LONGEST_WAIT)
    except urllib3.exceptions.InvalidHeader:
        return 0.0


def _cause(error: BaseException) -> str:
    """Return the innermost reason: what wraps it repeats the whole address."""
    while inner := getattr(error, "reason", None) or error.__cause__ or error.__context__:
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = redact(str(error)) or type(error).__name__
    return text.partition(": ")[2] or text if text.startswith(("<", "HTTP")) else text
