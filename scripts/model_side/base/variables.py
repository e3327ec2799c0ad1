"""Environment variables of commands, and the settings of a virtual environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# For mlflow, before it is imported: no project around the model is to be read, and nothing is sent anywhere.
QUIET = {"MLFLOW_UV_AUTO_DETECT": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_TOOL_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")


def clean_environment(environment: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` without what ties a command to the tool's own interpreter, and with `extra`."""
    kept = {name: value for name, value in environment.items() if name not in _TOOL_VARIABLES}
    own = str(Path(sys.prefix, "bin"))
    kept["PATH"] = os.pathsep.join(part for part in environment.get("PATH", "").split(os.pathsep) if part != own)
    return {**kept, **extra}


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
