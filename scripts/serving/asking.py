"""Ask a server over REST for the payload, and for several things at once."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import StepError, listed
from model_side.base.files import remove_files
from model_side.base.found import count
from model_side.base.variables import receivers_environment
from model_side.model.model import ModelFiles, read_model
from model_side.model.settings import budget_of, settings_of, time_limit_of, variables_of
from model_side.output.arrays import Arrays, as_array, taken
from model_side.output.comparison import Comparison, Tolerance, compare
from model_side.payload.payload import of_rows, other_rows, read_payload
from model_side.payload.text import predictions_from_json

from .server import OK, Server

SUBJECT = "REST"
PAIR = 2  # requests at once to a slow model
_RAISED = "Encountered an unexpected error while evaluating the model"  # as MLflow says that predict raised
_ROUNDS_SECONDS = 0.5  # one round of requests finds a buffer that they share once in forty tries
_ROWS_TOLD = 5
_KEPT = ("expected.json", "got.json")  # in the directory for answers that differ
_counting = threading.Lock()


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
    full: bool = False

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

    def is_slow(self, seconds: float = 0.0) -> bool:
        """Tell whether to ask as little as possible, where a prediction took so many seconds."""
        return not self.full and (self.slow or seconds > budget_of(self.files.metadata))

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


class Question(NamedTuple):
    """A request's body.

    Parameters
    ----------
    body : str
    kind : str
        Its content type.
    rows : tuple of int
        The rows of the payload that it asks for, in this order; none where it is the payload itself.
    """

    body: str
    kind: str = "application/json"
    rows: tuple[int, ...] = ()

    @property
    def what(self) -> str:
        """Say what it asks for."""
        numbers = f"{', '.join(map(str, self.rows[:_ROWS_TOLD]))}{', ...' * (len(self.rows) > _ROWS_TOLD)}"
        return f"a request for rows {numbers} of the payload" if self.rows else "the payload"


def questions(request: Request, together: int) -> list[Question]:
    """Return so many questions for other rows each, the payload first, and again where they have no more."""
    payload, signature = request.payload, request.files.signature
    kind = "text/csv" if request.json_payload_file.suffix == ".csv" else "application/json"
    first = Question(request.json_payload_file.read_text(encoding="utf-8"), kind)
    chosen = other_rows(payload, signature)
    others = [Question(json.dumps(of_rows(payload, signature, rows)), rows=tuple(rows)) for rows in chosen]
    return list(islice(cycle([first, *others]), together))


def ask(server: Server, request: Request, question: Question | None = None, together: int = 1) -> str:
    """Return the answer to a question that fits.

    Parameters
    ----------
    server : Server
    request : Request
    question : Question, optional
        By default the payload.
    together : int
        How many are asked at once: each may then take that much longer.

    Raises
    ------
    StepError
        If it is not an answer of MLflow.
    """
    question = question or questions(request, 1)[0]
    status, text = invoked(server, question.body, question.kind, request.seconds * together)
    if status != OK:
        got = f"status {status}: {message_of(text)}"
        raise StepError(SUBJECT, f"{question.what} was refused", expected=f"status {OK}", got=got)
    predictions_from_json(text, subject=SUBJECT)
    return text


def invoked(server: Server, body: str, kind: str, seconds: float) -> tuple[int, str]:
    """Ask for a prediction, and count it where MLflow has let it through to the model."""
    status, text = server.send("POST", "/invocations", body, kind, seconds)
    with _counting:
        count(predictions=int(status == OK or _RAISED in text))
    return status, text


def at_once(server: Server, request: Request, asked: Sequence[Question]) -> list[str]:
    """Return the answers to questions that are sent at once."""
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        return list(pool.map(lambda question: ask(server, request, question, len(asked)), asked))


def ask_pair(server: Server, request: Request, known: str = "") -> str:
    """Ask a slow model two questions at once, and each alone only where the answers do not follow from each other.

    Parameters
    ----------
    server : Server
    request : Request
    known : str
        The answer to the payload alone, where it was asked for.

    Returns
    -------
    str
        The answer to the payload.

    Raises
    ------
    StepError
        If an answer is not the one that is given alone.
    """
    asked = questions(request, PAIR)
    answers = at_once(server, request, asked)
    rows, values = asked[1].rows, _values(known or answers[0], request.files)
    follow = values, taken(values, rows) if rows else values
    if all(_compared(*each, request.files).agrees for each in zip(follow, answers, strict=True)):
        return answers[0]
    alone = {question: ask(server, request, question) for question in {*asked}}
    require_equal(request, [alone[question] for question in asked], answers)
    return alone[asked[0]]


def ask_in_rounds(server: Server, request: Request, first: str, together: int) -> bool:
    """Ask so many questions at once, for half a second where they ask for other rows, and compare with each alone.

    What is refused alone is not asked at once: whether it may be, verify finds out where it asks for rows.

    Parameters
    ----------
    server : Server
    request : Request
    first : str
        The answer to the payload alone.
    together : int

    Returns
    -------
    bool
        Whether they asked for other rows.

    Raises
    ------
    StepError
        If an answer is not the one that is given alone.
    """
    asked = questions(request, together)
    others = dict(_answered_alone(server, request, {*asked[1:]}))
    asked = [each if each in others else asked[0] for each in asked]
    until = time.monotonic() + (_ROUNDS_SECONDS if others else 0.0)
    while asked:
        require_equal(request, [others.get(each, first) for each in asked], at_once(server, request, asked))
        if time.monotonic() >= until:
            break
    return bool(others)


def _answered_alone(server: Server, request: Request, asked: Iterable[Question]) -> Iterator[tuple[Question, str]]:
    for question in asked:
        if question.rows:
            status, text = invoked(server, question.body, question.kind, request.seconds)
            if status == OK:
                yield question, text


def require_equal(request: Request, alone: Sequence[str], answers: Sequence[str]) -> None:
    """Compare answers that were given at once with those that were given alone.

    Raises
    ------
    StepError
        If one differs by more than the model's tolerance; with the first differing cells.
    """
    files, pairs = request.files, zip(alone, answers, strict=True)
    compared = [(*each, _compared(_values(each[0], files), each[1], files)) for each in pairs if each[0] != each[1]]
    wrong = [each for each in compared if not each[2].agrees]
    if wrong:
        expected, answer, found = wrong[0]
        cells = listed(found.lines() or [found.fault])
        fault = f"{len(wrong)} of {len(answers)} answers given at once differ from those given alone:{cells}\n"
        advice = f"predict must not change what other calls read.{request.keep(expected, answer)}"
        raise StepError(SUBJECT, fault, advice=advice)


def _compared(expected: Arrays, got: str, files: ModelFiles) -> Comparison:
    return compare(expected, _values(got, files), Tolerance.of(files.metadata))


def _values(text: str, files: ModelFiles) -> Arrays:
    return as_array(predictions_from_json(text, subject=SUBJECT), files.signature)


def message_of(text: str) -> Any:
    """Return what MLflow says in a refusal."""
    try:
        return json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        return text[:500]
