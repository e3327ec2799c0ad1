"""`mlflow models predict`: in a rebuilt environment, or the manual way's command, handed to MLflow unaltered."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from environments.settings import uv_anchored
from environments.uv import uv_executable
from model_side.base.errors import StepError, UsageError
from model_side.base.processes import Figures, clean_environment
from model_side.model.model import local_directory
from model_side.payload.text import predictions_from_json

from .rebuilt import Rebuilt
from .sandbox.audit import watched
from .sandbox.leash import Limits, ended, leashed

SUBJECT = "mlflow models predict"
KEPT_LINES = 2000  # of what MLflow says, to find the author's traceback in
TRACEBACK = "Traceback (most recent call last):"
PROGRAMS = {
    "virtualenv": ("pyenv", "It finds the model's Python: https://github.com/pyenv/pyenv#installation."),
    "conda": ("conda", "Install Miniforge, or set MLFLOW_CONDA_HOME."),
}


def predict_rebuilt(
    model: Path,
    payload: Path,
    part: Path,
    environment: Rebuilt,
    log: Path | None = None,
    directory: Path | None = None,
    limits: Limits | None = None,
) -> Figures:
    """Write the answer of the environment's own mlflow to `part`, and return what the command cost.

    Parameters
    ----------
    model, payload, part : Path
    environment : Rebuilt
    log : Path, optional
        Where it is noted what the prediction uses.
    directory : Path, optional
        Where it runs; by default here.
    limits : Limits, optional
        What it does without, where `leash.allows` that.
    """
    command = _command(environment.program("mlflow"), str(model), payload.absolute(), part.absolute(), "local")
    variables = environment.variables(os.environ)
    variables = watched(variables, log, model) if log else variables
    return _predict(command, variables, str(model), part, directory, limits)


def predict_strict(model_uri: str, payload: Path, part: Path, manager: str) -> Figures:
    """Write the answer of the package's mlflow to `part`, in an environment that `manager` makes for it.

    Returns
    -------
    Figures
        What the command cost, the environment included.

    Raises
    ------
    UsageError
        If the manager's program is missing.
    """
    require_manager(manager, os.environ)
    command = _command(mlflow_executable(), model_uri, payload, part, manager)
    with tempfile.TemporaryDirectory() as programs:
        return _predict(command, _variables(os.environ, Path(programs), manager), model_uri, part)


def mlflow_executable() -> str:
    """Return the path of the package's own mlflow, or of the one beside this interpreter."""
    for path in (Path(".venv/bin/mlflow").absolute(), Path(sys.executable).with_name("mlflow")):
        if path.is_file():
            return str(path)
    raise UsageError("mlflow", "not found in .venv", advice="Run `invoke sync-env` first.")


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


def _command(mlflow: str, model_uri: str, payload: Path, part: Path, manager: str) -> list[str]:
    kind = "csv" if payload.suffix == ".csv" else "json"
    command = [mlflow, "models", "predict", "--model-uri", model_uri, "--content-type", kind]
    return [*command, "--input-path", str(payload), "--output-path", str(part), "--env-manager", manager]


def _predict(
    command: Sequence[str],
    variables: Mapping[str, str],
    model_uri: str,
    part: Path,
    directory: Path | None = None,
    limits: Limits | None = None,
) -> Figures:
    part.unlink(missing_ok=True)
    start = time.perf_counter()
    code, said, memory = _run(command, variables, directory, limits)
    seconds = time.perf_counter() - start
    if code or not part.is_file():
        raise _failure(code, said, model_uri)
    predictions_from_json(part.read_text(encoding="utf-8"), subject=SUBJECT)
    return Figures(seconds, memory)


def _variables(environment: Mapping[str, str], programs: Path, manager: str) -> dict[str, str]:
    """Return the variables for MLflow: without this interpreter, with its uv, and with the package's Python last."""
    kept = clean_environment(environment, {**uv_anchored(environment), "MLFLOW_UV_AUTO_DETECT": "false"})
    if manager == "uv":
        (programs / "uv").symlink_to(uv_executable())
    settings = Path(".venv/pyvenv.cfg")
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.is_file() else []
    homes = [line.partition("=")[2].strip() for line in lines if line.startswith("home")]
    return {**kept, "PATH": os.pathsep.join([str(programs), kept["PATH"], *homes])}


def _run(
    command: Sequence[str], environment: Mapping[str, str], directory: Path | None, limits: Limits | None
) -> tuple[int, list[str], int]:
    """Run a command; pass on what it says to stderr, and return its exit code, its last lines and its peak memory."""
    said: deque[str] = deque(maxlen=KEPT_LINES)
    streams = (subprocess.PIPE, subprocess.STDOUT)
    with leashed(command, dict(environment), *streams, directory, limits) as process:
        for line in io.TextIOWrapper(process.stdout or io.BytesIO(), errors="replace"):
            said.append(line)
            print(line, end="", file=sys.stderr, flush=True)
        memory = ended(process)
    return process.returncode, list(said), memory


def _failure(code: int, said: Sequence[str], model_uri: str) -> StepError:
    directory = local_directory(model_uri)
    shown = author_part(said, str(directory.resolve())) if directory else ""
    advice = "The traceback above starts in the model's code." if shown else "MLflow's own words are above."
    return StepError(SUBJECT, f"failed with exit code {code}", advice=advice, author_traceback=shown)
