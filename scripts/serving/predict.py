"""`mlflow models predict`: in a rebuilt environment, or the manual way's command, handed to MLflow unaltered."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import IO, NamedTuple

from environments.settings import uv_anchored
from environments.uv import uv_executable
from model_side.base.errors import StepError, UsageError, invoke
from model_side.base.found import count
from model_side.base.processes import Figures, advice_on_end, ended_with, held
from model_side.base.read_only import advice_on
from model_side.base.tracebacks import author_stack
from model_side.base.variables import QUIET, clean_environment, pyvenv
from model_side.model.model import local_directory
from model_side.model.settings import TIME_LIMIT
from model_side.payload.text import predictions_from_json

from .rebuilt import Rebuilt
from .sandbox.audit import watched
from .sandbox.leash import FREE, Limits, end, ended, leashed, require_none_left

SUBJECT = "mlflow models predict"
START_SECONDS = 60.0  # for MLflow's own start
_MAKING_SECONDS = 600.0  # for an environment of MLflow's own
WHERE = {"PYTHONFAULTHANDLER": "1"}  # an interpreter that must end says where it is
KEPT_LINES = 2000  # of what MLflow says, to find the author's traceback in
TRACEBACK = "Traceback (most recent call last):"
_MISSING = re.compile(r"^ModuleNotFoundError: No module named '([^']+)'", re.MULTILINE)
PROGRAMS = {
    "virtualenv": ("pyenv", "It finds the model's Python: https://github.com/pyenv/pyenv#installation."),
    "conda": ("conda", "Install Miniforge, or set MLFLOW_CONDA_HOME."),
}


class ExplainedError(StepError):
    """A failure whose cause is told: not what the prediction was made without."""


class Answer(NamedTuple):
    """What MLflow answered, in its response format, and what that cost."""

    text: str
    figures: Figures


class Where(NamedTuple):
    """Where a command predicts.

    Parameters
    ----------
    scratch : Path
        A directory for the answer, which holds nothing else of that name.
    variables : mapping of str to str
        Those of its caller.
    directory : Path, optional
        Where it runs; by default here.
    log : Path, optional
        Where it is noted what the prediction uses.
    limits : Limits
        What it does without, where `leash.allows` that.
    quiet : bool
        Whether what is said there is shown only where it fails.
    seconds : float
        How long it may take to load the model, and again to predict.
    """

    scratch: Path
    variables: Mapping[str, str]
    directory: Path | None = None
    log: Path | None = None
    limits: Limits = FREE
    quiet: bool = False
    seconds: float = TIME_LIMIT


def predict_rebuilt(model: Path, payload: Path, environment: Rebuilt, where: Where) -> Answer:
    """Return the answer of the environment's own mlflow.

    Parameters
    ----------
    model, payload : Path
    environment : Rebuilt
    where : Where

    Raises
    ------
    StepError
        If it fails; with the traceback through the model's code.
    """
    variables = environment.variables(where.variables)
    variables = watched(variables, where.log, model) if where.log else variables
    return _predict(environment.program("mlflow"), "local", str(model), payload.absolute(), variables, where)


def predict_strict(
    model_uri: str, payload: Path, manager: str, limits: Limits = FREE, seconds: float = TIME_LIMIT
) -> Answer:
    """Return the answer of the package's mlflow, in an environment that `manager` makes for it, whose cost counts.

    Parameters
    ----------
    model_uri : str
    payload : Path
    manager : str
    limits : Limits
    seconds : float
        As of `Where`; the environment's making has ten minutes more.

    Raises
    ------
    UsageError
        If the manager's program is missing.
    StepError
        If it fails; with the traceback through the model's code.
    """
    require_manager(manager, os.environ)
    with tempfile.TemporaryDirectory() as scratch:
        variables = _variables(os.environ, Path(scratch), manager)
        where = Where(Path(scratch), {}, limits=limits, seconds=seconds + _MAKING_SECONDS)
        return _predict(mlflow_executable(), manager, model_uri, payload, variables, where)


def mlflow_executable() -> str:
    """Return the path of the package's own mlflow, or of the one beside this interpreter."""
    for path in (Path(".venv/bin/mlflow").absolute(), Path(sys.executable).with_name("mlflow")):
        if path.is_file():
            return str(path)
    raise UsageError("mlflow", "not found in .venv", advice=f"Run {invoke('sync-env')} first.")


def require_manager(manager: str, environment: Mapping[str, str]) -> None:
    """Check that the program of an environment manager is there, before MLflow looks for it.

    Raises
    ------
    UsageError
        With how to get it.
    """
    program, advice = PROGRAMS.get(manager, ("", ""))
    named = manager == "conda" and (environment.get("CONDA_EXE") or environment.get("MLFLOW_CONDA_HOME"))
    if program and not named and not shutil.which(program, path=environment.get("PATH", "")):
        fault = f"not found: --env-manager {manager} needs it"
        raise UsageError(program, fault, advice=f"{advice} Or take --env-manager uv.")


def author_part(lines: Sequence[str], directory: str) -> str:
    """Return the first traceback with a frame in `directory`, from that frame on; empty where there is none."""
    starts = [number for number, line in enumerate(lines) if line.rstrip() == TRACEBACK]
    for start in starts:
        end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
        frames = [n for n in range(start, end) if lines[n].startswith(f'  File "{directory}/')]
        if frames:
            return "".join([f"{TRACEBACK}\n", *lines[frames[0] : end + 1]])
    return ""


def _predict(
    mlflow: str, manager: str, model_uri: str, payload: Path, variables: dict[str, str], where: Where
) -> Answer:
    """Run the command of an mlflow; what it says goes to stderr, at once or where it fails."""
    answer, kind = where.scratch / "answer.json", "csv" if payload.suffix == ".csv" else "json"
    command = [mlflow, "models", "predict", "--model-uri", model_uri, "--content-type", kind]
    command += ["--input-path", str(payload), "--output-path", str(answer), "--env-manager", manager]
    start, longest = time.perf_counter(), START_SECONDS + 2 * where.seconds  # it loads, too
    with leashed(command, {**variables, **WHERE}, directory=where.directory, limits=where.limits) as process:
        clock = threading.Timer(longest, end, [process])
        clock.start()
        said = io.TextIOWrapper(process.stdout or io.BytesIO(), errors="replace")
        lines = deque(said if where.quiet else _passed_on(said), maxlen=KEPT_LINES)
        memory = ended(process)
        clock.cancel()
    count(loads=1, predictions=int(answer.is_file()))
    figures = Figures(time.perf_counter() - start, memory)
    if process.returncode or not answer.is_file():
        failure = _failure(process.returncode, list(lines), model_uri, payload, figures)
        if where.limits.seconds and figures.seconds >= where.limits.seconds:
            fault, advice = f"killed after {where.limits.seconds:g} seconds", "--time-limit allows more."
            failure = ExplainedError(SUBJECT, fault, advice=advice)
        elif clock.finished.is_set() and figures.seconds > longest:
            failure = took_too_long(SUBJECT, where.seconds, payload, model_uri, "".join(lines))
        if where.quiet:  # the traceback is shown once: the author's part of it
            sys.stderr.writelines(takewhile(_not_traceback, lines) if failure.author_traceback else lines)
        raise failure
    require_none_left(lines, SUBJECT)
    text = answer.read_text(encoding="utf-8")
    predictions_from_json(text, subject=SUBJECT)
    return Answer(text, figures)


def _not_traceback(line: str) -> bool:
    return line.rstrip() != TRACEBACK


def took_too_long(subject: str, seconds: float, payload: Path, model_uri: str, said: str) -> StepError:
    """Return the error of a prediction that took longer than its limit, with where it was in the model's code.

    Parameters
    ----------
    subject : str
    seconds : float
        The limit.
    payload : Path
    model_uri : str
    said : str
        What was said, with what Python's faulthandler wrote at the end.
    """
    directory = local_directory(model_uri)
    shown = author_stack(said, [directory]) if directory else ""
    advice = f"Its input: {payload.name}. Make it faster, or raise TIME_LIMIT in model_spec.py or --time-limit."
    return ExplainedError(subject, f"it took longer than {seconds:g} s", advice=advice, author_traceback=shown)


def _passed_on(said: IO[str]) -> Iterator[str]:
    for line in said:
        print(line, end="", file=sys.stderr, flush=True)
        yield line


def _variables(environment: Mapping[str, str], programs: Path, manager: str) -> dict[str, str]:
    """Return the variables for MLflow: without this interpreter, with its uv, and with the package's Python last."""
    kept = clean_environment(environment, {**uv_anchored(environment), **QUIET})
    if manager == "uv":
        (programs / "uv").symlink_to(uv_executable())
    homes = filter(None, [pyvenv(Path(".venv")).get("home")])
    return {**kept, "PATH": os.pathsep.join([str(programs), kept["PATH"], *homes])}


def _failure(code: int, said: Sequence[str], model_uri: str, payload: Path, figures: Figures) -> StepError:
    fault, directory = f"failed with {ended_with(code)}", local_directory(model_uri)
    if code < 0:
        advice = f"{advice_on_end(code)} {held(figures.peak_memory)} Its input: {payload.name}."
        where = author_stack("".join(said), [directory]) if directory else ""
        return ExplainedError(SUBJECT, fault, advice=advice.strip(), author_traceback=where)
    shown = author_part(said, str(directory.resolve())) if directory else ""
    advice = "The traceback above starts in the model's code." if shown else "MLflow's own words are above."
    if missing := _MISSING.findall(shown):
        advice = f"The rebuilt environment has no module {missing[-1]}: name what brings it in requirements.in; one of"
        advice += " your own belongs to model_code/, and is imported from there."
        return ExplainedError(SUBJECT, fault, advice=advice, author_traceback=shown)
    if writes := advice_on(shown):
        return ExplainedError(SUBJECT, fault, advice=f"{advice} {writes}", author_traceback=shown)
    return StepError(SUBJECT, fault, advice=advice, author_traceback=shown)
