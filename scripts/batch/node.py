"""One Ray actor's part: a worker in the model's own environment, on the node where the actor is."""

from __future__ import annotations

import io
import os
import socket
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from model_side.base.errors import ReportedError
from model_side.base.variables import receivers_environment, shared_processors
from serving.rebuilt import rebuilt_environment

from .request import require_libraries
from .worker import Crew, Unit, Worker


class Node:
    """A worker, and what it is asked.

    Parameters
    ----------
    model : Path
        The directory of the MLflow Model on this node.
    form : str
        The format of outputs.
    seconds : float
        Time limit of a unit.
    variables : mapping of str to str
        Those that the model needs, as they are where the batch was started.
    beside : int
        How many actors share the processors.
    """

    def __init__(self, model: Path, form: str, seconds: float, variables: Mapping[str, str], beside: int) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="mlflow-model-chain-ray-"))
        environment = rebuilt_environment(model, os.environ)
        require_libraries(form, environment.distributions)
        environment = replace(environment, share=shared_processors(beside, os.environ))
        given = receivers_environment({**os.environ, **variables}, variables)
        self._crew = Crew(model, environment, given, form, self._scratch, seconds, (str(model),))
        self._seconds, self._worker = seconds, self._started()

    def _started(self) -> Worker:
        worker = Worker(self._crew, str(os.getpid()))
        worker.wait_until_ready()
        return worker

    def predict(self, number: int, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the answer to a request, and the output; a worker that died is replaced.

        Parameters
        ----------
        number : int
            Of the unit.
        request : mapping
            Its ``part`` is chosen here.
        """
        part = self._scratch / "part"
        self._worker.send(Unit(number, {**request, "part": str(part)}))
        try:
            if self._worker.channel.poll(max(0.0, self._worker.deadline - time.monotonic())):
                received = self._worker.receive()
                answer = received[1] if received else {}
                answer["node"] = socket.gethostname()
                return answer, b"" if "error" in answer else packed(part) if part.is_dir() else part.read_bytes()
            kind, error = "time limit", f"it took longer than {self._seconds:g} s (--time-limit)"
            self._worker.stop()
        except EOFError:
            kind, error = "died", self._worker.ended()
        answer = {"kind": kind, "error": error, "traceback": self._worker.said()}
        self._worker = self._started()
        return answer, b""


def packed(root: Path, names: Sequence[str] = ("",)) -> bytes:
    """Return files of a directory as a zip; the same files give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as whole:
        for path in sorted(path for name in names for path in (root / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                whole.writestr(zipfile.ZipInfo(path.relative_to(root).as_posix()), path.read_bytes())
    return stream.getvalue()


def unpacked(content: bytes, directory: Path) -> None:
    """Write the files of a zip to a directory."""
    zipfile.ZipFile(io.BytesIO(content)).extractall(directory)


def started(*given: Any) -> Node | dict[str, str]:
    """Return a node's worker, or why there is none."""
    try:
        return Node(*given)
    except ReportedError as error:
        return {"error": str(error), "traceback": error.author_traceback}
