"""Serve one file over HTTP/1.1 on loopback with sendfile, so that the server is a bottleneck for none of its clients.

python file_server.py FILE      prints its port. Ranges are served. Under /cut/NAME, what is beyond 90 % of the file is
cut off or refused, until /heal/NAME has been asked for.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from pathlib import Path
from typing import BinaryIO

_REQUEST = re.compile(rb"GET (\S+) HTTP/1\.1\r\n(?:.*\r\n)*?\r\n")
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)\r\n", re.IGNORECASE)
CUT_AT = 0.9


class Server:
    """The server of one file."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        self._healed: set[str] = set()

    def serve(self, listening: socket.socket) -> None:
        """Answer whoever connects, each in a thread of its own."""
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=self._answer_all, args=(connection,), daemon=True).start()

    def _answer_all(self, connection: socket.socket) -> None:
        with connection, self._path.open("rb") as file:
            try:
                while self._answer(connection, file):
                    pass
            except ConnectionError:
                return

    def _answer(self, connection: socket.socket, file: BinaryIO) -> bool:
        """Answer one request; tell whether the connection stays open."""
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            received = connection.recv(1 << 16)
            if not received:
                return False
            request += received
        found = _REQUEST.match(request)
        name = found[1].decode() if found else ""
        if name.startswith("/heal/"):
            self._healed.add(name.replace("/heal/", "/cut/"))
        first, end, head = self._head(_RANGE.search(request))
        last = int(self._size * CUT_AT) if name.startswith("/cut/") and name not in self._healed else self._size
        if first >= last or name.startswith("/heal/"):
            connection.sendall(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
            return True
        connection.sendall(head)
        connection.sendfile(file, first, min(end, last) - first)
        return end <= last

    def _head(self, wanted: re.Match[bytes] | None) -> tuple[int, int, bytes]:
        first = int(wanted[1]) if wanted else 0
        end = int(wanted[2]) + 1 if wanted and wanted[2] else self._size
        status = f"206 Partial Content\r\nContent-Range: bytes {first}-{end - 1}/{self._size}" if wanted else "200 OK"
        facts = f'Content-Length: {end - first}\r\nAccept-Ranges: bytes\r\nETag: "one"'
        return first, end, f"HTTP/1.1 {status}\r\n{facts}\r\n\r\n".encode()


def main() -> None:
    """Serve until killed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        Server(Path(sys.argv[1])).serve(listening)


if __name__ == "__main__":
    main()
