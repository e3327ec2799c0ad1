"""Ask a server over REST: the payload, what must be refused, and several at once."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from model_side.base.errors import StepError, listed
from model_side.base.files import remove_files
from model_side.base.found import count
from model_side.base.processes import Figures, peak_memory
from model_side.base.variables import receivers_environment
from model_side.model.model import ModelFiles, read_model
from model_side.model.settings import budget_of, settings_of, time_limit_of, variables_of
from model_side.output.arrays import as_array
from model_side.output.comparison import Comparison, Tolerance, compare
from model_side.payload.negatives import Negative, is_known_to_be_coerced, negative_payloads
from model_side.payload.payload import of_rows, read_payload, why_no_rows
from model_side.payload.text import predictions_from_json

from .answering import listener, require_environment
from .predict import Answer
from .rebuilt import Rebuilt
from .server import GRACE_SECONDS, OK, LateError, Server

SUBJECT = "REST"
_RAISED = "Encountered an unexpected error while evaluating the model"  # as MLflow says that predict raised
PAIR = 2  # requests at once to a slow model
_counting = threading.Lock()
_KEPT = ("expected.json", "got.json")  # in the directory for answers that differ
# What is tried over REST: of each kind, the first fault that the model's signature has, by how its name starts.
_WRONG = ("text-", "number-", "not-", "item-", "value-")
KINDS: tuple[tuple[str | tuple[str, ...], ...], ...] = (
    ("no-data",),
    ("missing-", "data-null"),
    (_WRONG,),
    ("unknown-column", "too-wide-", "too-deep-", "unknown-property-", "unknown-key"),
)


@dataclass(frozen=True)
class Request:
    """What serve_predict.py is asked for; its flags say what each is."""

    model_uri: str
    json_payload_file: Path
    output_path: Path
    env_manager: str | None = None
    strict: bool = False
    rest_output: Path | None = None
    report: Path = Path("serve_report.json")
    parallel: int = 4
    serial: bool = False
    time_limit: float | None = None
    slow: bool = False

    @cached_property
    def files(self) -> ModelFiles:
        """What the model says of itself."""
        return read_model(self.model_uri)

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """The payload, which fits the model's signature."""
        return read_payload(self.json_payload_file, self.files.signature)

    @property
    def settings(self) -> Mapping[str, bool]:
        """What the model is checked against."""
        return settings_of(self.files.metadata)

    @property
    def seconds(self) -> float:
        """How long each prediction may take."""
        return time_limit_of(self.files.metadata, self.time_limit)

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """The environment variables of a receiver, with what the model needs, as they are set here."""
        return receivers_environment(os.environ, variables_of(self.files.metadata))

    def keep(self, *answers: str) -> str:
        """Write two answers that differ beside the output, and say where; those of an earlier run go."""
        target = self.rest_output or self.output_path
        directory = target.with_name(f"{target.stem}.failed")
        remove_files(directory, _KEPT)
        for name, answer in zip(_KEPT, answers, strict=False):
            directory.mkdir(exist_ok=True)
            (directory / name).write_text(answer, encoding="utf-8")
        return f" Both answers are in {directory}."


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
        first = at_once(server, request, min(together, PAIR) or 1) if request.slow else [ask(server, request)]
        figures = Figures(time.perf_counter() - start, peak_memory(pid or "self"))
        is_slow = request.slow or figures.seconds > budget_of(request.files.metadata)
        together = min(together, PAIR) if is_slow else together
        known, negatives = _negatives(request, server.send("GET", "/version")[1] if is_slow else "")
        statuses = [(each, status_of(server, each, request.seconds)) for each in negatives]
        text = first[0] if _all_agree(first, request.files) else ask(server, request)
        require_equal(request, text, first if request.slow else at_once(server, request, together))
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


def ask(server: Server, request: Request, together: int = 1) -> str:
    """Return the answer to a payload that fits.

    Parameters
    ----------
    server : Server
    request : Request
    together : int
        How many are asked at once: each may then take that much longer.

    Raises
    ------
    StepError
        If it is not an answer of MLflow.
    """
    kind = "text/csv" if request.json_payload_file.suffix == ".csv" else "application/json"
    body = request.json_payload_file.read_text(encoding="utf-8")
    status, text = _invoked(server, body, kind, request.seconds * together)
    if status != OK:
        got = f"status {status}: {_message(text)}"
        raise StepError(SUBJECT, "the payload was refused", expected=f"status {OK}", got=got)
    predictions_from_json(text, subject=SUBJECT)
    return text


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
    status, text = _invoked(server, json.dumps(negative.payload), "application/json", seconds)
    if status != OK and not 400 <= status < 500:
        got = f"status {status}: {_message(text)}"
        raise StepError(SUBJECT, f"payload {negative.name} ({negative.why})", expected="a refusal, 4xx", got=got)
    return status


def _invoked(server: Server, body: str, kind: str, seconds: float) -> tuple[int, str]:
    """Ask for a prediction, and count it where MLflow has let it through to the model."""
    status, text = server.send("POST", "/invocations", body, kind, seconds)
    with _counting:
        count(predictions=int(status == OK or _RAISED in text))
    return status, text


def at_once(server: Server, request: Request, together: int) -> list[str]:
    """Return the answers to the same payload, sent several times at once."""
    with ThreadPoolExecutor(max(1, together)) as pool:
        return list(pool.map(lambda _: ask(server, request, together), range(together)))


def _all_agree(answers: Sequence[str], files: ModelFiles) -> bool:
    return all(each == answers[0] or _compared(answers[0], each, files).agrees for each in answers)


def require_equal(request: Request, expected: str, answers: Sequence[str]) -> None:
    """Compare answers that were given at once with the one that was given alone.

    Raises
    ------
    StepError
        If one differs by more than the model's tolerance; with the first differing cells.
    """
    compared = [(answer, _compared(expected, answer, request.files)) for answer in answers if answer != expected]
    wrong = [(answer, found) for answer, found in compared if not found.agrees]
    if wrong:
        answer, found = wrong[0]
        cells = listed(found.lines() or [found.fault])
        fault = f"{len(wrong)} of {len(answers)} answers given at once differ from the one given alone:{cells}\n"
        advice = f"predict must not change what other calls read.{request.keep(expected, answer)}"
        raise StepError(SUBJECT, fault, advice=advice)


def _compared(expected: str, got: str, files: ModelFiles) -> Comparison:
    one, other = (as_array(predictions_from_json(text, subject=SUBJECT), files.signature) for text in (expected, got))
    return compare(one, other, Tolerance.of(files.metadata))


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


def _message(text: str) -> Any:
    try:
        return json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        return text[:500]
