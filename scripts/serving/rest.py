"""Ask a server over REST what must be answered and what must be refused, and check who answers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model_side.base.errors import StepError
from model_side.base.found import count
from model_side.base.processes import Figures, peak_memory
from model_side.payload.negatives import Negative, is_known_to_be_coerced, negative_payloads
from model_side.payload.payload import of_rows, why_no_rows

from .answering import listener, require_environment
from .asking import PAIR, SUBJECT, Request, ask, ask_in_rounds, ask_pair, invoked, message_of, questions
from .predict import Answer
from .rebuilt import Rebuilt
from .server import GRACE_SECONDS, OK, LateError, Server

# What is tried over REST: of each kind, the first fault that the model's signature has, by how its name starts.
_WRONG = ("text-", "number-", "not-", "item-", "value-")
KINDS: tuple[tuple[str | tuple[str, ...], ...], ...] = (
    ("no-data",),
    ("missing-", "data-null"),
    (_WRONG,),
    ("unknown-column", "too-wide-", "too-deep-", "unknown-property-", "unknown-key"),
)


def rest_route(server: Server, environment: Rebuilt, request: Request) -> tuple[Answer, dict[str, Any]]:
    """Ask a server that is up, and check who answers.

    Returns
    -------
    Answer
        What one request took, and the server's process up to then.
    dict
        What does not change from run to run: who answered, what was refused, what was not.

    Raises
    ------
    StepError
        If it is not the environment's own, does not answer, or does not answer as it must.
    """
    count(loads=1)  # by the server, which is up
    pid = listener(server.port, server.process.pid)
    interpreter = require_environment(pid, environment)
    together = request.parallel if request.settings["concurrent"] else 0
    try:
        start = time.perf_counter()
        follow = request.settings["rows"]  # whether the answer to other rows is known from that to the payload
        pairs = follow and request.is_slow() and together > 1
        text = ask_pair(server, request) if pairs else ask(server, request)
        figures = Figures(time.perf_counter() - start, peak_memory(pid or "self"))
        is_slow = request.is_slow(figures.seconds)
        together = min(together, PAIR) if is_slow else together
        known, negatives = _negatives(request, server.send("GET", "/version")[1] if is_slow else "")
        statuses = [(each, status_of(server, each, request.seconds)) for each in negatives]
        others = any(each.rows for each in questions(request, together))
        if not (is_slow and follow):
            others = ask_in_rounds(server, request, text, together)
        elif not pairs and together > 1:
            ask_pair(server, request, text)
    except LateError as error:
        server.end_here()
        advice = f"Its input: {request.json_payload_file.name}. Make it faster, or raise TIME_LIMIT or --time-limit."
        raise server.failure(f"{error} {advice}", by_us=True) from error
    except StepError as error:
        gone = listener(server.port, server.process.pid) is None
        raise server.failure(str(error), GRACE_SECONDS if gone else 0.0) from error
    report = {
        "environment": environment.facts(),
        "answered_by": {"interpreter": interpreter, **_versions(environment, server)},
        "refused": {each.name: status for each, status in statuses if status != OK},
        "coerced": {each.name: each.why for each, status in statuses if status == OK},
        "known_to_be_coerced": {each.name: each.why for each in known},
        "equal_answers_at_once": together,
        "other_rows_at_once": others,
    }
    return Answer(text, figures), report


def _negatives(request: Request, mlflow: str) -> tuple[list[Negative], list[Negative]]:
    """Return what must be refused: what that MLflow is known to coerce, and what is sent: one row to a slow model."""
    payload, signature = request.payload, request.files.signature
    one = payload if not mlflow or why_no_rows(payload, signature) else of_rows(payload, signature, [0])
    negatives = of_each_kind(negative_payloads(one, signature))
    known = [each for each in negatives if is_known_to_be_coerced(each, signature, mlflow)]
    return known, [each for each in negatives if each not in known]


def of_each_kind(negatives: Sequence[Negative]) -> list[Negative]:
    """Return one payload of each of the four kinds that catch most: the others are for `payload --negative`."""
    found = (
        next((each for start in starts for each in negatives if each.name.startswith(start)), None) for starts in KINDS
    )
    return [each for each in found if each]


def status_of(server: Server, negative: Negative, seconds: float) -> int:
    """Return the status of the answer to a payload that must be refused.

    Parameters
    ----------
    server : Server
    negative : Negative
    seconds : float
        How long the answer may take.

    Raises
    ------
    StepError
        If the answer is neither a refusal nor predictions, or there is none.
    """
    status, text = invoked(server, json.dumps(negative.payload), "application/json", seconds)
    if status != OK and not 400 <= status < 500:
        got = f"status {status}: {message_of(text)}"
        raise StepError(SUBJECT, f"payload {negative.name} ({negative.why})", expected="a refusal, 4xx", got=got)
    return status


def _versions(environment: Rebuilt, server: Server) -> dict[str, str]:
    """Return what the server says of its mlflow, and its interpreter of itself, in words without a place."""
    code = "import platform, sys; print(sys.prefix, platform.python_version(), sep='\\n')"
    command = [environment.program("python"), "-I", "-c", code]
    prefix, python = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    inside = Path(prefix) == environment.path
    return {
        "sys.prefix": "the rebuilt environment" if inside else prefix,
        "python": python,
        "mlflow": server.send("GET", "/version")[1],
    }
