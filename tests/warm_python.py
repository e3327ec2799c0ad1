"""Run scripts as `python SCRIPT` does, in forks of a process that has imported mlflow: that is most of a run."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from engine.hosts import Host

WORKER = Path(__file__).resolve().parents[1] / "scripts" / "model_side" / "run" / "worker.py"


def run(script: Path, *words: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Return what ``python script *words`` says and its exit code."""
    request = {"argv": [str(script), *words], "directory": str(cwd), "env": dict(env or os.environ), "name": "warm"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with closing(_host().start(request, out.fileno(), err.fileno())) as job:
            code = job.wait()
        said = [(stream.seek(0), stream.read())[1] for stream in (out, err)]
    return subprocess.CompletedProcess(request["argv"], code, *said)


@functools.cache
def _host() -> Host:
    environment = {**os.environ, "MLFLOW_UV_AUTO_DETECT": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    host = Host([sys.executable, str(WORKER), "mlflow.pyfunc"], Path(tempfile.gettempdir()), environment)
    atexit.register(host.close)
    return host
