"""Environment variables of commands, and the settings of a virtual environment."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .errors import UsageError

# For mlflow, before it is imported: no project around the model is read, nothing is sent anywhere, no advice is given,
# no bar is drawn for each file that is copied.
QUIET = {"MLFLOW_UV_AUTO_DETECT": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
QUIET |= {"MLFLOW_LOGGING_LEVEL": "WARNING", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
TOOL_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")
# What any receiver has: the machine's own, the locale, and the settings of uv and MLflow.
_ANYONES = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_(FILE|DIR)|(CUDA|ROCR|HIP)_VISIBLE_DEVICES"
    r"|(?i:https?|all|no)_(?i:proxy)|LANG|LANGUAGE|LC_\w+|UV_\w+|MLFLOW_\w+"
)
# What tells nothing of a person.
_NOBODYS = re.compile(r"(CUDA|ROCR|HIP)_VISIBLE_DEVICES|LANG|LANGUAGE|LC_\w+")
# How many threads libraries take: torch and numpy by the first three, TensorFlow by the last two. Not numba's: its
# set_num_threads refuses more than NUMBA_NUM_THREADS, so a model that asks for all of them would fail, and
# OMP_THREAD_LIMIT, which would divide its OpenMP threads, makes torch answer wrong numbers where a model asks for more.
# Its threads leave the processors to others by `patient`, at the same cost in processor time.
_THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS"),
    *("POLARS_MAX_THREADS", "BLIS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


def clean_environment(environment: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what ties a command to the tool's own interpreter, and with `extra`."""
    kept = {name: value for name, value in environment.items() if name not in TOOL_VARIABLES}
    own = str(Path(sys.prefix, "bin"))
    kept["PATH"] = os.pathsep.join(part for part in environment.get("PATH", "").split(os.pathsep) if part != own)
    return {**kept, **extra}


def receivers_environment(environment: Mapping[str, str], needed: Iterable[str]) -> dict[str, str]:
    """Return what a model's receiver has of these variables: any machine's own, and what the model says it needs.

    Parameters
    ----------
    environment : mapping of str to str
        Those of the caller.
    needed : iterable of str
        Names: `variables_of` tells them.

    Raises
    ------
    UsageError
        If one that is needed is not set.
    """
    names = tuple(needed)
    require_variables(environment, names)
    return {name: value for name, value in environment.items() if name in names or _ANYONES.fullmatch(name)}


def strangers_environment(environment: Mapping[str, str], needed: Iterable[str]) -> dict[str, str]:
    """Return what a stranger's model is given of these variables: the locale, the visible GPUs, and what it needs.

    Raises
    ------
    UsageError
        If one that is needed is not set.
    """
    names = tuple(needed)
    require_variables(environment, names)
    given = {name: value for name, value in environment.items() if name in names or _NOBODYS.fullmatch(name)}
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", **given}


def variables_advice(names: Sequence[str]) -> str:
    """Return what to do about variables that a model looked for where only its receiver's are, nothing where none."""
    if not names:
        return ""
    declare = f'VERIFICATION = {{"environment": {json.dumps([*names])}}} in model_spec.py tells receivers to set it'
    return (
        f" It looked for {', '.join(names)}, which is set here and not where a receiver runs the model: put what it"
        f" holds into MODEL_CONFIG or ARTIFACTS; else {declare}."
    )


def require_variables(environment: Mapping[str, str], needed: Iterable[str]) -> None:
    """Check that the variables are set that a model says it needs.

    Raises
    ------
    UsageError
        If one is not.
    """
    if missing := [name for name in needed if name not in environment]:
        advice = f"Set it, for example `export {missing[0]}=...`, and run it again."
        raise UsageError(f"environment variable {', '.join(missing)}", "not set, and the model needs it", advice=advice)


def patient(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable by which threads of OpenMP that wait for one another leave the processors to others.

    By default they keep them while they wait: two processes with a thread for each processor then hinder each other.

    Parameters
    ----------
    environment : mapping of str to str
        Where it sets the variable, it stays.
    """
    return {"OMP_WAIT_POLICY": environment.get("OMP_WAIT_POLICY", "passive")}


def shared_processors(beside: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which each of so many processes takes its share of the processors.

    Parameters
    ----------
    beside : int
        How many run side by side.
    environment : mapping of str to str
        Where it sets one of these variables, that is its author's decision, which stays.
    """
    own = {name: environment[name] for name in _THREADS if name in environment}
    if beside < 2:
        return own
    share = dict.fromkeys(_THREADS, str(max(1, len(os.sched_getaffinity(0)) // beside)))
    return patient(environment) | (own or share)


def pyvenv(environment: Path) -> dict[str, str]:
    """Return the settings in pyvenv.cfg of a virtual environment.

    Parameters
    ----------
    environment : Path
        Its directory.

    Returns
    -------
    dict of str to str
        By name, such as ``home``, ``version_info`` and ``uv``; empty where there is no such file.
    """
    path = environment / "pyvenv.cfg"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name.strip(): value.strip() for name, equals, value in (line.partition("=") for line in lines) if equals}
