"""Run scripts as `python SCRIPT` does, in a fork of a process that has imported mlflow: that import is most of a run.

The process ends with the one that started it: its standard input closes then.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def run(script: Path, *words: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Return what ``python script *words`` says and its exit code."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as scratch:
        request = {"argv": [str(script), *words], "cwd": str(cwd), "env": dict(env or os.environ), "said": scratch}
        server.stdin.write(f"{json.dumps(request)}\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        out, err = (Path(scratch, name).read_text(errors="replace") for name in ("out", "err"))
    return subprocess.CompletedProcess(request["argv"], code, out, err)


@functools.cache
def _server() -> subprocess.Popen[str]:
    environment = {**os.environ, "MLFLOW_UV_AUTO_DETECT": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, __file__]
    server = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(server.communicate)  # closes its input, so that it ends, and waits for that
    return server


def _child(request: Mapping[str, Any]) -> int:
    for number, name in ((0, os.devnull), (1, f"{request['said']}/out"), (2, f"{request['said']}/err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["argv"]
    sys.path[0] = str(Path(request["argv"][0]).parent.absolute())
    try:
        runpy.run_path(request["argv"][0], run_name="__main__")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _serve() -> None:
    import mlflow.pyfunc  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = _child(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
