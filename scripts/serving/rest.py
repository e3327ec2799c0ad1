"""Ask a server over REST: the payload, what must be refused, and several at once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from model_side.base.errors import StepError
from model_side.base.processes import Figures, peak_memory
from model_side.model.model import ModelFiles
from model_side.model.settings import settings_of
from model_side.output.arrays import as_array
from model_side.output.comparison import Comparison, Tolerance, compare
from model_side.payload.negatives import Negative, negative_payloads
from model_side.payload.text import predictions_from_json

from .answering import listener, require_environment
from .rebuilt import Rebuilt
from .server import HOST, Server

SUBJECT = "REST"
OK = 200
KEPT = ("expected.json", "got.json")  # in the directory for answers that differ


@dataclass(frozen=True)
class Request:
    """What to ask.

    Parameters
    ----------
    path : Path
        The payload's file; its name tells its kind.
    payload : mapping
        What is in it.
    files : ModelFiles
        Of the model.
    parallel : int
        How many requests at once.
    seconds : float
        How long an answer may take.
    kept : Path, optional
        A directory for answers that differ; it is made.
    """

    path: Path
    payload: Mapping[str, Any]
    files: ModelFiles
    parallel: int
    seconds: float
    kept: Path | None = None

    @property
    def body(self) -> str:
        """Return what is sent."""
        return self.path.read_text(encoding="utf-8")

    @property
    def kind(self) -> str:
        """Return its content type."""
        return "text/csv" if self.path.suffix == ".csv" else "application/json"


@dataclass(frozen=True)
class Rest:
    """What came of it.

    Parameters
    ----------
    answer : str
        The server's answer, as it came.
    report : mapping
        What does not change from run to run: who answered, what was refused, what was not.
    coerced : tuple of Negative
        Payloads that must be refused, and were answered.
    figures : Figures
        What one request took, and the server's process up to then.
    """

    answer: str
    report: Mapping[str, Any]
    coerced: tuple[Negative, ...]
    figures: Figures


def rest_route(server: Server, environment: Rebuilt, request: Request) -> Rest:
    """Ask a server that is up, and check who answers.

    Raises
    ------
    StepError
        If it is not the environment's own, does not answer, or does not answer as it must.
    """
    pid = listener(server.port, server.process.pid)
    interpreter = require_environment(pid, environment)
    together = request.parallel if settings_of(request.files.metadata)["concurrent"] else 0
    try:
        start = time.perf_counter()
        answer = ask(server.port, request)
        figures = Figures(time.perf_counter() - start, peak_memory(pid or "self"))
        negatives = negative_payloads(request.payload, request.files.signature)
        statuses = {each.name: status_of(server.port, each, request.seconds) for each in negatives}
        require_equal(server.port, request, answer, together)
    except StepError as error:
        raise server.failure(str(error)) from error
    coerced = tuple(each for each in negatives if statuses[each.name] == OK)
    report = {
        "environment": environment.facts(),
        "answered_by": {"interpreter": interpreter, **_versions(environment, server.port)},
        "refused": {name: status for name, status in statuses.items() if status != OK},
        "coerced": {each.name: each.why for each in coerced},
        "equal_answers_at_once": together,
    }
    return Rest(answer, report, coerced, figures)


def ask(port: int, request: Request) -> str:
    """Return the answer to a payload that fits.

    Raises
    ------
    StepError
        If it is not an answer of MLflow.
    """
    status, text = _post(port, request.body, request.kind, request.seconds)
    if status != OK:
        got = f"status {status}: {_message(text)}"
        raise StepError(SUBJECT, "the payload was refused", expected=f"status {OK}", got=got)
    predictions_from_json(text, subject=SUBJECT)
    return text


def status_of(port: int, negative: Negative, seconds: float) -> int:
    """Return the status of the answer to a payload that must be refused.

    Raises
    ------
    StepError
        If the answer is neither a refusal nor predictions, or there is none.
    """
    status, text = _post(port, json.dumps(negative.payload), "application/json", seconds)
    if status != OK and not 400 <= status < 500:
        got = f"status {status}: {_message(text)}"
        raise StepError(SUBJECT, f"payload {negative.name} ({negative.why})", expected="a refusal, 4xx", got=got)
    return status


def require_equal(port: int, request: Request, expected: str, together: int) -> None:
    """Send the same payload several times at once, and hold the answers to the first one.

    Raises
    ------
    StepError
        If one differs by more than the model's tolerance; with the first differing cells.
    """
    if not together:
        return
    with ThreadPoolExecutor(together) as pool:
        answers = list(pool.map(lambda _: ask(port, request), range(together)))
    compared = [(answer, _compared(expected, answer, request.files)) for answer in answers if answer != expected]
    wrong = [(answer, found) for answer, found in compared if not found.agrees]
    if wrong:
        answer, found = wrong[0]
        cells = "".join(f"\n  {line}" for line in found.lines() or [found.fault])
        fault = f"{len(wrong)} of {together} answers given at once differ from the one given alone:{cells}\n"
        where = _keep(request.kept, expected, answer)
        raise StepError(SUBJECT, fault, advice=f"predict must not change what other calls read.{where}")


def _keep(directory: Path | None, expected: str, got: str) -> str:
    if directory is None:
        return ""
    directory.mkdir(exist_ok=True)
    for name, answer in zip(KEPT, (expected, got), strict=True):
        (directory / name).write_text(answer, encoding="utf-8")
    return f" Both answers are in {directory}."


def _post(port: int, body: str, kind: str, seconds: float) -> tuple[int, str]:
    return _send(port, "POST", "/invocations", body, kind, seconds)


def _send(
    port: int, method: str, place: str, body: str = "", kind: str = "application/json", seconds: float = 60
) -> tuple[int, str]:
    """Return the status and the text of an answer."""
    connection = HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, place, body.encode(), {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", errors="replace")
    except (OSError, HTTPException) as error:
        raise StepError(SUBJECT, "the server did not answer", got=repr(error)) from error
    finally:
        connection.close()


def _compared(expected: str, got: str, files: ModelFiles) -> Comparison:
    one, other = (as_array(predictions_from_json(text, subject=SUBJECT), files.signature) for text in (expected, got))
    return compare(one, other, Tolerance.of(files.metadata))


def _versions(environment: Rebuilt, port: int) -> dict[str, str]:
    """Return what the server says of its mlflow, and its interpreter of itself, in words without a place."""
    code = "import json, platform, sys; print(json.dumps([sys.prefix, platform.python_version()]))"
    command = [environment.program("python"), "-I", "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    prefix, python = json.loads(done.stdout)
    inside = Path(prefix) == environment.path
    return {
        "sys.prefix": "the rebuilt environment" if inside else prefix,
        "python": python,
        "mlflow": _send(port, "GET", "/version")[1],
    }


def _message(text: str) -> Any:
    try:
        return json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        return text[:500]
