"""Predict the units of a batch, one after another, in the environment rebuilt from the model alone.

Started with the model's directory, the format of outputs and the number of a socket. A request is JSON: ``payload``,
``part`` (the file to write) and ``alone`` (the input is one file). An answer is JSON as well: first whether the model
is loaded, then one for each request, in order. Whatever the model says goes to this process's own output.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..base.errors import ReportedError
from ..base.files import remove
from ..base.processes import peak_memory
from ..base.read_only import unchanged
from ..base.tracebacks import author_traceback
from ..model.model import disable_tracing, quiet_mlflow, read_model
from ..payload.fingerprints import data_of, fingerprint_of
from ..payload.inputs import existing_inputs

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def main(argv: list[str]) -> None:
    """Load the model, say so, and answer until the other end is closed."""
    directory, form, number = Path(argv[0]), argv[1], int(argv[2])
    quiet_mlflow()
    with Connection(number) as channel:
        try:
            disable_tracing()
            predicted = _loaded(directory, form)
        except ReportedError as error:
            _send(channel, {"error": str(error), "traceback": error.author_traceback})
            return
        _send(channel, {"ready": os.getpid()})
        with suppress(EOFError):
            while True:
                _send(channel, _answer(predicted, json.loads(channel.recv_bytes())))


def _send(channel: Connection, answer: Mapping[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    channel.send_bytes(json.dumps(answer).encode())


def _loaded(directory: Path, form: str) -> Any:
    """Load the model, and return what predicts a payload, writes the output and says what it holds."""
    from ..output.tables import FILES, OUTPUT_DIR, take_files, write_as
    from .in_process import checked, load_in_process

    model = load_in_process(directory, read_model(str(directory)))

    def predicted(payload: Mapping[str, Any], part: Path) -> dict[str, Any]:
        if form == FILES:
            part.mkdir()
            payload = {**payload, "params": {**payload.get("params", {}), OUTPUT_DIR: str(part)}}
        with unchanged("predict", existing_inputs(data_of(payload))):
            output = model.output(payload)
            arrays = checked(output, model.files, payload)
        if form == FILES:
            return take_files(output, model.files.signature, part)
        return write_as(form, output, arrays, part)

    return predicted


def _answer(predicted: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    _reset_peak()
    start = time.perf_counter()
    payload, part = request["payload"], Path(request["part"])
    remove(part)  # a worker that died at it has left some
    try:
        read = fingerprint_of(payload, alone=request["alone"])
        facts = {"fingerprint": read.value, "stamp": read.stamp, "input_bytes": read.size}
        facts |= predicted(payload, part)
    except ReportedError as error:
        remove(part)
        return {"kind": _kind(error), "error": str(error), "traceback": error.author_traceback}
    except OSError as error:
        remove(part)
        # numpy says of a short write how much was written, and no number.
        kind = "disk" if error.errno in (None, *_DISK) else "file"
        return {"kind": kind, "error": str(error), "traceback": author_traceback(error, [])}
    return {**facts, "seconds": round(time.perf_counter() - start, 6), "peak_memory": peak_memory()}


def _kind(error: ReportedError) -> str:
    """Return the kind of a failure, as the table of failures has it: the exception's name where the code raised."""
    cause = error.__cause__
    while cause is not None and type(cause).__name__ == "MlflowException" and (cause.__cause__ or cause.__context__):
        cause = cause.__cause__ or cause.__context__
    return type(cause).__name__ if error.subject == "predict" and cause is not None else error.subject


def _reset_peak() -> None:
    with suppress(OSError):  # an old kernel, or one that does not let us: then it is the worker's most so far
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
