"""Run a command in this process's own group, and end the whole group when standard input closes.

Whoever started it, in a session of its own, holds the other end: it closes when that process is killed, too. The first
argument is a JSON list of `Limits`. Offline, the command and all that it starts have no network but a private loopback.
With paths, there are no files but those and the system's; the home directory and the temporary ones are new and empty.
The kernel gives them namespaces of their own, for which no privilege is needed where those of users are allowed.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

# Of the system, not of a person or a project.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run")
_ADDED = ("/opt", "/nix", "/gnu")  # what programs of the system may need beside it
_NEW_USER, _NEW_NETWORK, _NEW_FILES = 0x10000000, 0x40000000, 0x00020000  # linux/sched.h
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 0x1000, 0x4000, 0x40000, 2  # linux/mount.h
_PASSING = ("/tmp", "/var/tmp")
_SET_FLAGS, _UP = 0x8914, 1  # linux/sockios.h, linux/if.h


class Limits(NamedTuple):
    """What a command does without.

    Parameters
    ----------
    offline : bool
        It has no network but a private loopback.
    only : tuple of str
        Paths: the files and directories that it has beside the system's; none means all that there are.
    """

    offline: bool = False
    only: tuple[str, ...] = ()


FREE = Limits()


def leashed(
    command: Sequence[str],
    variables: Mapping[str, str],
    output: int | IO[bytes] = subprocess.PIPE,
    directory: Path | None = None,
    limits: Limits = FREE,
) -> subprocess.Popen[bytes]:
    """Start a command so that it ends, with all that it started, when its `stdin` is closed or this process ends.

    Parameters
    ----------
    command : sequence of str
    variables : mapping of str to str
        All that it is given.
    output : int or file
        Where its output and its errors go.
    directory : Path, optional
        Where it runs; by default here.
    limits : Limits
    """
    return subprocess.Popen(
        [sys.executable, "-I", __file__, json.dumps(limits), *command],
        cwd=directory,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def allows(limits: Limits, command: Sequence[str] = ("true",)) -> bool:
    """Tell whether this system lets a command run so."""
    with leashed(command, os.environ, subprocess.DEVNULL, Path("/"), limits) as process:
        return process.wait() == 0


def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait until a leashed command has ended.

    Parameters
    ----------
    process : Popen

    Returns
    -------
    int
        How many bytes of memory its largest process held at most.
    """
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss * 1024


def main() -> int:
    """Run the command line."""
    (offline, only), words = json.loads(sys.argv[1]), sys.argv[2:]
    if offline or only:
        _leave(_NEW_NETWORK * offline | _NEW_FILES * bool(only))
    if offline:
        _raise_loopback()
    if only:
        _keep_files(only)
    command = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    threading.Thread(target=_hold, daemon=True).start()
    code = command.wait()
    if code < 0:
        _end_by(-code)
    return code


def _end_by(number: int) -> None:
    """End this process by a signal, as its command was, so that whoever waits for it is told."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)


def _leave(namespaces: int) -> None:
    """Go to namespaces of one's own.

    Raises
    ------
    OSError
        If the system does not allow it.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", namespaces)
    except PermissionError:  # without privilege: as the same user in a namespace of users
        _call("unshare", _NEW_USER | namespaces)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _keep_files(directories: Sequence[str]) -> None:
    """Go to a root with the system's directories and the given ones, by all their names, and new temporary ones."""
    here = Path.cwd()
    wanted = {path: os.path.realpath(path) for path in (*SYSTEM, *_ADDED, *directories) if Path(path).exists()}
    wanted |= {path: path for path in wanted.values()}
    links = {path: Path(path).readlink() for path in (*SYSTEM, *_ADDED) if Path(path).is_symlink()}
    _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
    _call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
    old = Path("/tmp/old")
    old.mkdir()
    _call("pivot_root", b"/tmp", os.fsencode(old))
    old = Path("/old")
    for path in sorted(wanted.keys() - links.keys()):
        if os.path.lexists(path):  # in a directory that is there by now
            continue
        _make_like(Path(f"{old}{wanted[path]}"), Path(path))
        _call("mount", os.fsencode(f"{old}{wanted[path]}"), os.fsencode(path), None, _BIND | _RECURSIVE, None)
    for path, target in links.items():
        Path(path).symlink_to(target)
    for path in filter(None, (*_PASSING, os.environ.get("TMPDIR"), os.environ.get("HOME"))):
        if not path.startswith(tuple(f"{each}/" for each in (*SYSTEM, *_ADDED))):  # nothing is made in those
            Path(path).mkdir(parents=True, exist_ok=True)
    os.chdir(here)
    _call("umount2", os.fsencode(old), _DETACH)
    old.rmdir()


def _make_like(model: Path, path: Path) -> None:
    """Make what another file or directory can be mounted on."""
    if model.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library that returns 0.

    Raises
    ------
    OSError
        If it does not.
    """
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _hold() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
