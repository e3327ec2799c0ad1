"""The page that asks a running model: its form, what it passes on, and whom it answers."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from serving.server import Server
from ship.asking import ask_page, listening
from ship.facts import read_facts

from .verified_package import verified_package

ANSWERS = {
    "[1.0]": (200, {"predictions": [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]}),
    "[0.0]": (200, {"predictions": [[0.5] * 9] * 12}),
    "[2.0]": (200, {"predictions": [{"cell": "<b>T</b>"}]}),
    "[3.0]": (400, {"message": "column <count> is missing"}),
}


class Model(BaseHTTPRequestHandler):
    """Answers as MLflow's server does."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = ANSWERS[str(body["inputs"])]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def connection() -> Iterator[HTTPConnection]:
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever).start()
    with (
        subprocess.Popen(["true"]) as process,
        listening({"/": "the page"}, Server(model.server_address[1], process, None), 0, 30) as address,
    ):
        made = HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=30)
        yield made
        made.close()
    model.shutdown()
    model.server_close()


def ask(connection: HTTPConnection, body: str, **headers: str) -> tuple[int, str]:
    connection.request("POST", "/ask", body, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    return response.status, response.read().decode()


class Form(HTMLParser):
    """The entries of a form by where they are in the payload, and what its text area holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}
        self.payload = ""
        self._in_area = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.entries |= {found["data-path"]: found["value"]} if tag == "input" else {}
        self._in_area = tag == "textarea"

    def handle_endtag(self, tag: str) -> None:
        self._in_area = False

    def handle_data(self, data: str) -> None:
        self.payload += data if self._in_area else ""


def test_form_is_made_from_the_signature_and_filled_with_the_packages_request(tmp_path: Path) -> None:
    facts = read_facts(verified_package(tmp_path))
    form = Form(ask_page(facts))
    assert form.entries == {'["dataframe_split", "data", 0, 0]': "1.0", '["params", "scale"]': "1.0"}
    assert json.loads(form.payload) == facts.payload()


def test_form_of_tensors_has_an_entry_for_the_whole(tmp_path: Path) -> None:
    package = verified_package(tmp_path)
    payload: dict[str, Any] = {"inputs": [[1.0, 2.0]]}
    (package / "test_input_payload.json").write_text(json.dumps(payload))
    assert Form(ask_page(read_facts(package))).entries == {'["inputs"]': "[[1.0, 2.0]]", '["params", "scale"]': "1.0"}


def test_answer_is_a_picture_and_a_table_and_a_refusal_is_shown(connection: HTTPConnection) -> None:
    status, text = ask(connection, '{"inputs": [1.0]}')
    assert (status, "<svg" in text, "<td>2.5</td>" in text, "column 1" in text) == (200, True, True, True)
    assert "12 rows, the first 10 shown; the first 8 of 9 columns" in ask(connection, '{"inputs": [0.0]}')[1]
    status, text = ask(connection, '{"inputs": [2.0]}')
    assert (status, text.count("<table>"), "&lt;b&gt;T" in text) == (200, 1, True)
    status, text = ask(connection, '{"inputs": [3.0]}')
    assert (status, "status 400" in text, "column &lt;count&gt; is missing" in text) == (200, True, True)


@pytest.mark.parametrize("header", [{"Host": "elsewhere.example"}, {"Content-Type": "text/plain"}])
def test_other_pages_cannot_ask_the_model(header: dict[str, str], connection: HTTPConnection) -> None:
    assert ask(connection, '{"inputs": [1.0]}', **header)[0] == 404
