"""Units on actors of a Ray cluster that exists: Ray places them, and tells which were lost with their node.

An actor imports nothing of the model: it gets this tool's code, rebuilds the model's environment on its node, once for
all actors there, and talks to that environment's own interpreter. Outputs come back through Ray's object store.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

from model_side.base.errors import UsageError
from model_side.base.named_files import named_file
from model_side.base.redact import texts
from model_side.model.model import ModelFiles
from model_side.model.settings import variables_of

from .actors import Actors
from .directory import Place
from .node import packed
from .pool import Done
from .request import Request
from .worker import Unit

_SCRIPTS = Path(__file__).parents[1]
_ROOMS = ("batch", "environments", "model_side", "serving")  # what of the tool an actor needs
_AHEAD = 2  # units that an actor has at a time
_CONNECT_SECONDS = 10.0


def require_reachable(address: str) -> None:
    """Check, before any work, that Ray is installed and that something answers at an address.

    Parameters
    ----------
    address : str
        ``auto``, or the cluster's ``host:port``.

    Raises
    ------
    UsageError
        If not, within some seconds.
    """
    if find_spec("ray") is None:
        raise UsageError("--ray", "ray is not installed", advice="`make setup EXTRA=ray` brings it.")
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdigit()):
        raise UsageError("--ray", "not an address", expected="auto or HOST:PORT of the cluster's head", got=address)
    if address != "auto" and (fault := _fault(host, int(port))):
        raise _no_cluster(address, fault)


def connected(address: str) -> None:
    """Connect Ray to a cluster.

    Parameters
    ----------
    address : str
        ``auto``, or the cluster's ``host:port``.

    Raises
    ------
    UsageError
        If there is no cluster, or its version is another, within some seconds.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")
    import ray

    faults: list[Exception] = []

    def connect() -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            faults.append(error)

    thread = Thread(target=connect, daemon=True)  # where something else listens there, Ray asks it for a minute
    thread.start()
    thread.join(_CONNECT_SECONDS)
    if thread.is_alive():
        raise _no_cluster(address, f"none answered in {_CONNECT_SECONDS:g} s")
    for error in faults:
        if isinstance(error, ConnectionError):
            raise _no_cluster(address, _first(error)) from error
        advice = "Install the cluster's version of ray here: the model's own environment may have any Python."
        raise UsageError(f"--ray {address}", "cannot speak to it", got=_first(error), advice=advice) from error


def _no_cluster(address: str, got: str) -> UsageError:
    advice = (
        "Start one with `ray start --head`, or give the address of its head, HOST:6379, as `ray status` there has it."
    )
    return UsageError(f"--ray {address}", "no cluster answers there", got=got, advice=advice)


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _fault(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
            return ""
    except (OSError, OverflowError) as error:
        return str(error)


def run_cluster(
    request: Request, place: Place, model: Path, files: ModelFiles, form: str, units: Iterator[Unit]
) -> Iterator[Done | None]:
    """Predict units on the cluster that Ray is connected to; yield what becomes of each, and None now and then.

    Raises
    ------
    UsageError
        If the cluster cannot be used, or a node does not see the inputs.
    StepError
        If the model cannot be loaded.
    """
    import ray

    first = next(units)
    try:
        cluster = _Cluster(ray, request, place, model.absolute(), files, form)
        cluster.require_visible(first)
        suspects: list[Unit] = []
        count = request.workers or cluster.room()
        yield from Actors(ray, cluster.start, place.parts, _AHEAD, suspects).run(_chained(first, units), count)
        if suspects:
            yield from Actors(ray, cluster.start, place.parts, 1, None).run(iter(suspects), 1)
    finally:
        ray.shutdown()


def _chained(first: Unit, units: Iterator[Unit]) -> Iterator[Unit]:
    yield first
    yield from units


def _actor_class() -> type:
    """Return the class of actors: it travels as a whole, and imports this tool's code where it arrives."""

    class Actor:
        def __init__(self, code: bytes, code_name: str, packed: list[Any], model: str, given: tuple[Any, ...]) -> None:
            import sys
            from pathlib import Path

            def unpacked(content: bytes, name: str) -> Path:
                import os
                import shutil
                import tempfile
                import zipfile
                from io import BytesIO

                place = Path(tempfile.gettempdir(), f"mlflow-model-chain-{os.getuid()}-{name}")
                if not place.is_dir():
                    part = tempfile.mkdtemp(dir=place.parent)
                    zipfile.ZipFile(BytesIO(content)).extractall(part)
                    try:
                        os.rename(part, place)  # noqa: PTH104
                    except OSError:  # another actor of this node was first
                        shutil.rmtree(part)
                return place

            sys.path.insert(0, str(unpacked(code, code_name)))
            from batch.node import started

            directory = Path(model)
            if packed and not directory.is_dir():
                import ray

                directory = unpacked(ray.get(packed[0]), packed[1])
            self.node: Any = started(directory, *given)

        def prepared(self) -> Any:
            return self.node if isinstance(self.node, dict) else None

        def predict(self, number: int, request: Any) -> Any:
            return self.node.predict(number, request)

    return Actor


class _Cluster:
    """A cluster, and what its actors are started with."""

    def __init__(self, ray: Any, request: Request, place: Place, model: Path, files: ModelFiles, form: str) -> None:
        self._ray, self._request, self._place, self._model = ray, request, place, model
        variables = {name: os.environ[name] for name in variables_of(files.metadata)}
        self._given = (form, request.time_limit, variables, max(1, int(self.room())))
        code = packed(_SCRIPTS, _ROOMS)
        self._code, self._code_name = ray.put(code), hashlib.sha256(code).hexdigest()[:16]
        self._packed: list[Any] = []
        resources = {"num_cpus": request.actor_cpus, "num_gpus": request.actor_gpus}
        self._class = ray.remote(**resources)(_actor_class())

    def room(self) -> int:
        """Return how many actors have room on the cluster."""
        total = self._ray.cluster_resources()
        by_cpu = total.get("CPU", 0) / self._request.actor_cpus if self._request.actor_cpus else float("inf")
        by_gpu = total.get("GPU", 0) / self._request.actor_gpus if self._request.actor_gpus else float("inf")
        if min(by_cpu, by_gpu) < 1:
            asked = f"{self._request.actor_cpus:g} CPUs and {self._request.actor_gpus:g} GPUs"
            got = f"{total.get('CPU', 0):g} and {total.get('GPU', 0):g}"
            raise UsageError(f"--ray {self._request.ray}", "no room for one actor", expected=asked, got=got)
        return int(min(by_cpu, by_gpu, 10_000))

    def require_visible(self, unit: Unit) -> None:
        """Check that every node sees the first input; where one does not see the model, it is sent there.

        Raises
        ------
        UsageError
            With the nodes that do not.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        named = [
            str(each.path) for each in map(named_file, _texts(unit.request["payload"])) if each and each.path.exists()
        ]
        paths = [*named, str(self._model)]

        def seen(paths: list[str]) -> list[bool]:
            import os.path

            return [os.path.exists(path) for path in paths]  # noqa: PTH110

        remote = self._ray.remote(num_cpus=0)(seen)
        nodes = [each for each in self._ray.nodes() if each["Alive"]]
        asked = [
            remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)).remote(paths)
            for each in nodes
        ]
        answers = self._ray.get(asked)
        blind = [
            node["NodeManagerAddress"] for node, (*inputs, _) in zip(nodes, answers, strict=True) if not all(inputs)
        ]
        if blind:
            advice = "Put the inputs on a file system that all nodes share, or name them by a URI that the model reads."
            raise UsageError(
                f"--inputs {self._request.inputs}", "nodes do not see it", got=", ".join(blind), advice=advice
            )
        if not all(answer[-1] for answer in answers):
            content = packed(self._model)
            self._packed = [self._ray.put(content), hashlib.sha256(content).hexdigest()[:16]]

    def start(self) -> Any:
        """Return a new actor; the first that it is asked must be `prepared`."""
        return self._class.remote(self._code, self._code_name, self._packed, str(self._model), self._given)


def _texts(payload: Any) -> Iterator[str]:
    return texts({name: value for name, value in payload.items() if name != "params"})
