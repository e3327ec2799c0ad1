"""Run a command in this process's own group, and end the whole group when standard input closes.

Whoever started it, in a session of its own, holds the other end: it closes when that process is killed, too. With
--offline in front, the command and all that it starts have no network but this machine's loopback, an own one: the
kernel gives them a network namespace of their own, for which no privilege is needed where user namespaces are allowed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

OFFLINE = "--offline"
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # linux/sched.h
_SET_FLAGS, _UP = 0x8914, 1  # linux/sockios.h, linux/if.h


def leashed(
    command: Sequence[str],
    variables: dict[str, str],
    output: int | IO[bytes],
    errors: int | IO[bytes],
    directory: Path | None = None,
    *,
    offline: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command so that it ends, with all that it started, when its `stdin` is closed or this process ends."""
    return subprocess.Popen(
        [sys.executable, "-I", __file__, *([OFFLINE] if offline else []), *command],
        cwd=directory,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def can_be_offline() -> bool:
    """Tell whether this system lets a command run without network."""
    with leashed(["true"], dict(os.environ), subprocess.DEVNULL, subprocess.DEVNULL, offline=True) as process:
        return process.wait() == 0


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait until a leashed command has ended, and return how many bytes of memory its largest process held at most."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss * 1024


def main() -> int:
    """Run the command line: a command, perhaps with --offline in front."""
    words = sys.argv[1:]
    if words[0] == OFFLINE:
        _leave_network()
        words = words[1:]
    command = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    threading.Thread(target=_hold, daemon=True).start()
    return command.wait() & 0xFF


def _leave_network() -> None:
    """Go to a network namespace that has nothing but its own loopback.

    Raises
    ------
    OSError
        If the system does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _unshare(_NEW_NETWORK)
    except PermissionError:  # without privilege: as the same user in a namespace of users
        _unshare(_NEW_USER | _NEW_NETWORK)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _hold() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
