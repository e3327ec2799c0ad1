"""Run a command in this process's own group, and end the whole group when standard input closes.

Whoever started it, in a session of its own, holds the other end: it closes when that process is killed, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO


def leashed(
    command: Sequence[str],
    variables: dict[str, str],
    output: int | IO[bytes],
    errors: int | IO[bytes],
    directory: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command so that it ends, with all that it started, when its `stdin` is closed or this process ends."""
    return subprocess.Popen(
        [sys.executable, "-I", __file__, *command],
        cwd=directory,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait until a leashed command has ended, and return how many bytes of memory its largest process held at most."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss * 1024


def main() -> int:
    """Run the command line: a command."""
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_hold, daemon=True).start()
    return command.wait() & 0xFF


def _hold() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
