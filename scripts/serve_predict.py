#!/usr/bin/env python
"""Predict from a payload in an environment that MLflow builds for the model, with `mlflow models predict`.

This is how a receiver runs the model, away from the author's environment, with JSON in and JSON out. The mlflow that
runs it is that of .venv in the working directory, else the one beside this interpreter. The payload is held to the
model's signature first. What MLflow and the model print goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from environments.uv import uv_executable
from model_side.errors import StepError, UsageError, run_main
from model_side.model_files import local_directory, quiet_mlflow, read_model
from model_side.payloads import predictions_from_json, read_payload
from model_side.text_files import require_writable
from pipeline import errors

KEPT_LINES = 2000  # of what MLflow says, to find the author's traceback in
TRACEBACK = "Traceback (most recent call last):"
PROGRAMS = {
    "virtualenv": ("pyenv", "It finds the model's Python: https://github.com/pyenv/pyenv#installation."),
    "conda": ("conda", "Install Miniforge, or set MLFLOW_CONDA_HOME."),
}
TIES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")


def serve_predict(model_uri: str, payload: Path, output: Path, manager: str) -> None:
    """Write the answer of `mlflow models predict` to `output`, whole or not at all."""
    part = output.with_name(f".{output.name}.part")
    kind = "csv" if payload.suffix == ".csv" else "json"
    command = [mlflow_executable(), "models", "predict", "--model-uri", model_uri, "--content-type", kind]
    command += ["--input-path", str(payload), "--output-path", str(part), "--env-manager", manager]
    require_manager(manager, os.environ)
    try:
        part.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as programs:
            code, said = _run(command, _environment(os.environ, Path(programs), manager))
        if code or not part.is_file():
            raise _failure(code, said, model_uri)
        predictions_from_json(part.read_text(encoding="utf-8"), subject="mlflow models predict")
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


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


def _environment(environment: Mapping[str, str], programs: Path, manager: str) -> dict[str, str]:
    """Return the environment for MLflow: without this interpreter, with its uv, and with the package's Python last."""
    kept = {name: value for name, value in environment.items() if name not in TIES}
    own = str(Path(sys.prefix, "bin"))
    path = [part for part in environment.get("PATH", os.defpath).split(os.pathsep) if part != own]
    if manager == "uv":
        (programs / "uv").symlink_to(uv_executable())
    settings = Path(".venv/pyvenv.cfg")
    lines = settings.read_text(encoding="utf-8").splitlines() if settings.is_file() else []
    homes = [line.partition("=")[2].strip() for line in lines if line.startswith("home")]
    return {**kept, "PATH": os.pathsep.join([str(programs), *path, *homes]), "MLFLOW_UV_AUTO_DETECT": "false"}


def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run a command; pass on what it says to stderr, and return its exit code and its last lines."""
    said: deque[str] = deque(maxlen=KEPT_LINES)
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            print(line, end="", file=sys.stderr, flush=True)
    return process.returncode, list(said)


def _failure(code: int, said: Sequence[str], model_uri: str) -> StepError:
    directory = local_directory(model_uri)
    shown = author_part(said, str(directory.resolve())) if directory else ""
    advice = "The traceback above starts in the model's code." if shown else "MLflow's own words are above."
    return StepError("mlflow models predict", f"failed with exit code {code}", advice=advice, author_traceback=shown)


def author_part(lines: Sequence[str], directory: str) -> str:
    """Return the first traceback with a frame in `directory`, from that frame on; empty where there is none."""
    starts = [number for number, line in enumerate(lines) if line.rstrip() == TRACEBACK]
    for start in starts:
        end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith(" ")), len(lines))
        frames = [n for n in range(start, end) if lines[n].startswith(f'  File "{directory}/')]
        if frames:
            return "".join([f"{TRACEBACK}\n", *lines[frames[0] : end + 1]])
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--json-payload-file", type=Path, required=True, help="the payload, JSON or .csv")
    parser.add_argument("--output-path", type=Path, default=Path("test_output.json"), help="default: %(default)s")
    parser.add_argument("--env-manager", choices=["uv", "virtualenv", "conda", "local"], default="uv")
    args = parser.parse_args(argv)
    require_writable(args.output_path)
    quiet_mlflow()
    read_payload(args.json_payload_file, read_model(args.model_uri).signature)
    serve_predict(args.model_uri, args.json_payload_file, args.output_path, args.env_manager)
    return 0


if __name__ == "__main__":
    raise SystemExit(errors.run_main(lambda: run_main(main)))
