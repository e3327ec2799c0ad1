"""What a registry's server that refuses is said to refuse."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pytest

from model_side.base.errors import ReportedError
from model_side.model.store import require_registry

SAYS = {
    401: "it does not know you: got status 401. Set MLFLOW_TRACKING_USERNAME",
    403: "it does not let you do this: got status 403. Ask who runs it",
    404: "it does not know this request: got status 404. Its MLflow is too old",
}


class Refusing(BaseHTTPRequestHandler):
    """Answers as the server does whose status is the first part of the path."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()
        self.wfile.write(b"not JSON")

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever).start()
    before = mlflow.get_tracking_uri()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    mlflow.set_tracking_uri(before)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", SAYS)
def test_registry_that_refuses_is_told_from_one_that_is_down(status: int, address: str) -> None:
    mlflow.set_tracking_uri(f"{address}/{status}")
    with pytest.raises(ReportedError) as fault:
        require_registry()
    assert f"the registry refuses: {SAYS[status]}" in str(fault.value)


@pytest.mark.heavy
def test_registry_that_accepts_and_gives_no_answer_is_asked_once_for_seconds() -> None:
    before = mlflow.get_tracking_uri()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ReportedError, match=r"the registry gives no answer: .*timeout=8.*Check MLFLOW_TR"):
            require_registry()
        silent.accept()[0].close()
        silent.settimeout(0)
        with pytest.raises(BlockingIOError):  # no second attempt
            silent.accept()
    mlflow.set_tracking_uri(before)
