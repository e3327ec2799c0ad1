"""Note what a prediction opens, changes, connects to, starts and lacks, in its interpreter and in those it starts.

Python imports a module of this name at its start when its directory is on PYTHONPATH. Standard library only.
"""

import json
import os
import socket
import sys
from typing import Any

LOG, MODEL, STARTED = "PREDICTION_WATCH_LOG", "PREDICTION_WATCH_MODEL", "PREDICTION_WATCH_STARTED"
CHANGED = "PREDICTION_WATCH_CHANGED"  # the flags of what opens to write; by the event, which arguments are changed
STARTING = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
ASKING = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
REACHING = ("socket.connect", "socket.sendto", "socket.sendmsg")


class Watch:
    """The hook; it notes from the first file of the model on, so that what MLflow's start needs is left out."""

    def __init__(self, log: str, model: str) -> None:
        self._own = tuple(f"{os.path.realpath(path)}/" for path in (sys.prefix, sys.base_prefix))
        self._model = model
        self._writing, self._changed = json.loads(os.environ[CHANGED])
        self._seen: set[str] = set()
        self._file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take one event."""
        if event in self._changed and STARTED in os.environ and self._is_change(event, arguments):
            for number in self._changed[event]:
                self._wrote(arguments[number])
        if event == "open":
            self._opened(arguments[0])
        elif STARTED in os.environ:
            if event in STARTING:
                program = arguments[0] or next(iter(arguments[1] or ()), "")
                self._note("starts", os.fsdecode(program).split()[0])
            elif event in ASKING and arguments[0]:
                self._note("asks for", _text(arguments[0]))
            elif event in REACHING and arguments[1]:
                self._reached(arguments[0].family, arguments[1])

    def lacks(self, variable: bytes) -> None:
        """Take an environment variable that was looked for and is not set."""
        self._note("looks for", os.fsdecode(variable))

    def _reached(self, family: int, address: Any) -> None:
        if family in (socket.AF_INET, socket.AF_INET6):
            self._note("connects to", _text(address[0]))
        elif family == socket.AF_UNIX:
            self._opened(address)

    def _is_change(self, event: str, arguments: tuple[Any, ...]) -> bool:
        return event != "open" or (isinstance(arguments[2], int) and bool(arguments[2] & self._writing))

    def _wrote(self, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            self._note("writes", os.path.abspath(os.fsdecode(path)))  # noqa: PTH100

    def _opened(self, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a descriptor, of what was opened before
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - it must follow no link, and open nothing
        if name.startswith(self._model):
            os.environ[STARTED] = "1"
        elif STARTED in os.environ and not name.startswith(self._own):
            self._note("opens", name)

    def _note(self, what: str, name: str) -> None:
        line = f"{what}\t{name!r}\n"
        if line not in self._seen:
            self._seen.add(line)
            os.write(self._file, line.encode())


class Variables(dict[bytes, bytes]):
    """The process's environment variables, which no audit event is about: those that are not set are noted."""

    def __init__(self, variables: dict[bytes, bytes], watch: Watch) -> None:
        super().__init__(variables)
        self._watch = watch

    def __missing__(self, name: bytes) -> bytes:
        if STARTED.encode() in self:
            self._watch.lacks(name)
        raise KeyError(name)


def _text(host: object) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host)


if LOG in os.environ:
    watch = Watch(os.environ[LOG], os.environ[MODEL])
    sys.addaudithook(watch)
    os.environ._data = os.environb._data = Variables(os.environ._data, watch)  # type: ignore[attr-defined]
