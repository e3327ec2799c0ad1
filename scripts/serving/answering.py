"""Which process answers on a port, and from which environment its libraries come, as the kernel tells."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from model_side.base.errors import StepError

from .rebuilt import Rebuilt

_LISTENING = "0A"
_LIBRARIES = re.compile(r"\s(/.*/(?:site|dist)-packages)/", re.MULTILINE)


def listener(port: int, session: int) -> int | None:
    """Return the process of a session that listens on a port of 127.0.0.1, None if there is none."""
    sockets = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    # A socket's local address, its state and, at last, its inode.
    listening = (words[9] for words in sockets if words[1] == f"0100007F:{port:04X}" and words[3] == _LISTENING)
    wanted = {Path(f"socket:[{inode}]") for inode in listening}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) == session and not wanted.isdisjoint(_opened(entry)):
                return int(entry.name)
    return None


def _opened(process: Path) -> Iterator[Path]:
    """Yield what a process has open, but for what it closes meanwhile: a server does, after each answer."""
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            yield descriptor.readlink()


def require_environment(pid: int | None, environment: Rebuilt) -> str:
    """Check that a process runs in an environment: its interpreter, and every library that it has loaded.

    Returns
    -------
    str
        The interpreter, relative to the environment.

    Raises
    ------
    StepError
        If it does not.
    """
    if pid is None:
        raise StepError("mlflow models serve", "another process answers on its port", advice="Run it again.")
    interpreter = Path(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]))
    places = set(_LIBRARIES.findall(Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")))
    foreign = sorted(place for place in places if not Path(place).is_relative_to(environment.path))
    if foreign or not places or not interpreter.is_relative_to(environment.path):
        got = ", ".join(foreign) or f"{interpreter}, with libraries of {', '.join(sorted(places)) or 'no environment'}"
        raise StepError(
            "mlflow models serve",
            "the answer comes from a wrong environment",
            expected=str(environment.path),
            got=got,
            advice="Nothing of it is kept. Look for what puts another Python on PATH.",
        )
    return interpreter.relative_to(environment.path).as_posix()
