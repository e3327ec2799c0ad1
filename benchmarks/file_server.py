"""Serve one file over HTTP/1.1 on loopback with sendfile, so that the server is no client's bottleneck."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CUT_AT = 0.9


class FileServer(ThreadingHTTPServer):
    """The server of one file, by any path. While it is `cut`, what is beyond 90 % of the file is cut off or refused."""

    def __init__(self, path: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.path, self.cut = path, False
        self.address = f"http://127.0.0.1:{self.server_port}/w"

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that has enough just leaves."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        """Send the file, or a range of it."""
        size = self.server.path.stat().st_size
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, end = (int(wanted[1]), int(wanted[2] or size - 1) + 1) if wanted else (0, size)
        last = int(size * CUT_AT) if self.server.cut else size
        if first >= last:
            self._head(410, {"Content-Length": 0})
            return
        partial = {"Content-Range": f"bytes {first}-{end - 1}/{size}"} if wanted else {}
        facts = {"Content-Length": end - first, "Accept-Ranges": "bytes", "ETag": '"one"'}
        self._head(206 if wanted else 200, facts | partial)
        with self.server.path.open("rb") as file:
            self.connection.sendfile(file, first, min(end, last) - first)
        self.close_connection = end > last

    def _head(self, status: int, facts: dict[str, object]) -> None:
        self.send_response(status)
        for name, value in facts.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(path: Path) -> Iterator[FileServer]:
    """Serve a file meanwhile, in threads: sending needs no interpreter, and the measuring waits."""
    with FileServer(path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
