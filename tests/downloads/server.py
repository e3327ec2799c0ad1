"""A local HTTP server that can be as bad as the real ones: what it does next is scripted by the test."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Fault = Callable[["Answer"], None]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    range: str
    if_range: str
    headers: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass
class Hostile:
    """Files by path, and the faults with which the next requests for each are answered."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    asked: list[Asked] = field(default_factory=list)
    etags: bool = True

    def put(self, path: str, content: bytes, *faults: Fault) -> str:
        """Offer a file and return its address."""
        self.files[path] = content
        self.faults[path] = deque(faults)
        return self.address + path

    def ranges(self, path: str) -> list[str]:
        """Return the Range header of each request for a path."""
        return [asked.range for asked in self.asked if asked.path == path]


class Answer(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    hostile: Hostile

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.name = self.path.partition("?")[0]
        asked = Asked(self.name, headers.get("range", ""), headers.get("if-range", ""), headers)
        self.hostile.asked.append(asked)
        faults = self.hostile.faults[self.name]
        fault = faults.popleft() if faults else Answer.serve
        fault(self)

    @property
    def content(self) -> bytes:
        return self.hostile.files[self.name]

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    def wanted(self) -> tuple[int, int] | None:
        """Return the range asked for, where it is to be followed."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not found or (condition and condition != self.etag):
            return None
        return int(found[1]), int(found[2]) + 1 if found[2] else len(self.content)

    def serve(
        self,
        *,
        length: int | None = None,
        sent: int | None = None,
        ranges: bool = True,
        then: Callable[[], None] = lambda: None,
        **headers: str,
    ) -> None:
        """Answer as a good server does, but for what is said otherwise.

        `length` is the Content-Length that is claimed; `sent` is after how many bytes `then` is called and the
        connection cut.
        """
        content, wanted = self.content, self.wanted() if ranges else None
        if wanted and wanted[0] >= len(content):
            self.refuse(416)
            return
        body = content[slice(*wanted)] if wanted else content
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {wanted[0]}-{wanted[1] - 1}/{len(content)}")
        if ranges:
            self.send_header("Accept-Ranges", "bytes")
        if self.hostile.etags:
            self.send_header("ETag", self.etag)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body if sent is None else body[:sent])
        then()
        if sent is not None or length is not None:
            self.close_connection = True

    def refuse(self, code: int, **headers: str) -> None:
        """Answer with an error."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def cut(sent: int) -> Fault:
    """Drop the connection after so many bytes."""
    return lambda answer: answer.serve(sent=sent)


def lie(length: int) -> Fault:
    """Claim another length than is sent."""
    return lambda answer: answer.serve(length=length)


def whole(answer: Answer) -> None:
    """Ignore the Range header."""
    answer.serve(ranges=False)


def code(number: int, **headers: str) -> Fault:
    """Answer with a status code."""
    return lambda answer: answer.refuse(number, **headers)


def redirect(path: str) -> Fault:
    """Send the client to another path of the same server."""
    return lambda answer: answer.refuse(302, Location=path)


def hang_up(answer: Answer) -> None:
    """Close the connection without a word."""
    answer.close_connection = True


def swap(content: bytes, sent: int | None = None) -> Fault:
    """Change the file, then answer."""

    def change(answer: Answer) -> None:
        answer.hostile.files[answer.name] = content
        answer.serve(sent=sent)

    return change


def cut_then_swap(content: bytes, sent: int) -> Fault:
    """Drop the connection after so many bytes, and change the file behind it."""

    def change(answer: Answer) -> None:
        answer.serve(sent=sent)
        answer.hostile.files[answer.name] = content

    return change


def throttled(gate: threading.Event, first: int) -> Fault:
    """Send so many bytes, and the rest when the gate opens."""

    def trickle(answer: Answer) -> None:
        content = answer.content
        answer.send_response(200)
        answer.send_header("Content-Length", str(len(content)))
        answer.send_header("ETag", answer.etag)
        answer.send_header("Accept-Ranges", "bytes")
        answer.end_headers()
        answer.wfile.write(content[:first])
        answer.wfile.flush()
        gate.wait(20)
        answer.wfile.write(content[first:])

    return trickle


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Hostile]:
    """Run a server on a free port of the loopback device; over TLS where it has a certificate with its key."""
    hostile = Hostile()
    with running(type("Handler", (Answer,), {"hostile": hostile}), certificate) as hostile.address:
        yield hostile


@contextmanager
def running(handler: type[BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[str]:
    """Run a server of any kind, and give its address."""
    server = _Quiet(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are expected here."""
