"""A page that asks the running model: a form by its signature, the payload as JSON, the answer as picture and table."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError, UsageError
from model_side.model.signature import Field, Param
from model_side.payload.text import predictions_from_json
from serving.serve import served
from serving.server import HOST, OK, Server

from . import MADE
from .facts import MODEL, PAYLOAD, Facts, read_facts
from .picture import pictures, tables
from .report import page, template

JSON, HTML = "application/json", "text/html; charset=utf-8"
MOST_FIELDS = 60
_TEXTS = ("string", "datetime", "binary")  # as JSON holds them
_LARGEST = 1 << 28  # bytes of a request


class Entry(NamedTuple):
    """One entry of the form: what it is called, where in the payload it is, and what is there."""

    label: str
    path: str
    is_text: bool
    value: str


def serve_report(package: Path, port: int, time_limit: float | None) -> None:
    """Serve a verified package's report, and a page that asks its model, until the model's server ends.

    Parameters
    ----------
    package : Path
        Its directory.
    port : int
        On 127.0.0.1; 0 means any that is free.
    time_limit : float, optional
        Seconds for each prediction; by default TIME_LIMIT of model_spec.py.

    Raises
    ------
    UsageError
        If the package is not verified, or the port cannot be used.
    StepError
        When the model's server ends by itself.
    """
    facts = read_facts(package)
    with served(str(facts.root / MODEL), facts.root / PAYLOAD, 0, time_limit) as (server, seconds):
        pages = {"/": ask_page(facts), f"/{MADE['report']}": page(facts)}
        with listening(pages, server, port, seconds) as address:
            print(address, flush=True)
            raise server.ended()


@contextmanager
def listening(pages: dict[str, str], server: Server, port: int, seconds: float) -> Iterator[str]:
    """Serve pages, and pass requests on to a model's server, for as long as a block runs; gives the address."""
    try:
        here = ThreadingHTTPServer((HOST, port), partial(_Handler, pages, server, seconds))
    except OSError as error:
        advice = "Take another with --port, or let one be found."
        raise UsageError(f"port {port}", "cannot be used", got=error.strerror, advice=advice) from error
    here.daemon_threads = True
    threading.Thread(target=here.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{here.server_address[1]}/"
    finally:
        here.shutdown()
        here.server_close()


def ask_page(facts: Facts) -> str:
    """Return the page with the form, filled with the request that the package was verified with."""
    payload, entries = facts.payload(), list(_entries(facts))
    more = len(entries) - MOST_FIELDS
    return template("ask.html.jinja").render(
        name=facts.name, entries=entries[:MOST_FIELDS], more=max(0, more), report=MADE["report"], payload=payload
    )


def _entries(facts: Facts) -> Iterator[Entry]:
    """Yield what the form asks for: the first row of columns, whole tensors, params."""
    payload, signature = facts.payload(), facts.files.signature
    params = payload.get("params") or {}
    for form, value in payload.items():
        if form == "dataframe_split":
            for field in signature.inputs:
                if field.name in value["columns"] and value["data"]:
                    place = value["columns"].index(field.name)
                    yield _entry(field, [form, "data", 0, place], value["data"][0][place])
        elif form != "params" and isinstance(value, dict):
            yield from (_entry(field, [form, field.name], value.get(field.name)) for field in signature.inputs)
        elif form != "params":
            yield Entry(form, json.dumps([form]), is_text=False, value=json.dumps(value))
    yield from (_entry(each, ["params", each.name], params.get(each.name, each.default)) for each in signature.params)


def _entry(field: Field | Param, path: list[Any], value: Any) -> Entry:
    is_text = str(field.type) in _TEXTS and isinstance(value, str)
    text = value if is_text else json.dumps(value, default=str)
    return Entry(f"{field.name} ({field.type})", json.dumps(path), is_text, text)


def shown(status: int, text: str) -> str:
    """Return an answer of the model's server as HTML, with a picture and a table, or what it refused."""
    if status != OK:
        return template("answer.html.jinja").render(refused=f"status {status}: {text}", pictures=[])
    answer = predictions_from_json(text, subject="REST")
    drawn = [*pictures(answer), *tables(answer)]
    return template("answer.html.jinja").render(refused="", pictures=list(dict.fromkeys(map(_frozen, drawn))))


def _frozen(picture: Any) -> Any:
    return picture._replace(head=tuple(picture.head), rows=tuple(map(tuple, picture.rows)))


class _Handler(BaseHTTPRequestHandler):
    """Answers only who asks for this very address: no other page of the browser's can ask the model."""

    def __init__(self, pages: dict[str, str], server: Server, seconds: float, *words: Any) -> None:
        self._pages, self._model, self._seconds = pages, server, seconds
        super().__init__(*words)

    def do_GET(self) -> None:
        """Send a page."""
        text = self._pages.get(self.path) if self._is_ours() else None
        self._answer(*((200, text) if text is not None else (404, "not found")))

    def do_POST(self) -> None:
        """Pass a request on to the model, and send its answer as HTML."""
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/ask" or self.headers.get("Content-Type") != JSON or not self._is_ours() or length > _LARGEST:
            self._answer(404, "not found")
            return
        body = self.rfile.read(length).decode("utf-8", errors="replace")
        try:
            text = shown(*self._model.send("POST", "/invocations", body, JSON, self._seconds))
        except StepError as error:
            text = template("answer.html.jinja").render(refused=str(error), pictures=[])
        self._answer(200, text)

    def _is_ours(self) -> bool:
        port = self.connection.getsockname()[1]
        return self.headers.get("Host") in (f"{HOST}:{port}", f"localhost:{port}")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", HTML)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Say nothing: what the model's server says is on stderr."""
