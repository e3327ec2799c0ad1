"""Run a command in this process's own group, and end the whole group when standard input closes.

Whoever started it, in a session of its own, holds the other end: it closes when that process is killed, too. The first
argument is a JSON list of `Limits`. Offline, the command and all that it starts have no network but a private loopback.
With paths, there are no files but those and the system's; the home directory and the temporary ones are new and empty.
What it may only read, it cannot change, as root neither. The kernel gives them namespaces of their own.
"""

from __future__ import annotations

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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from model_side.base.errors import StepError
from model_side.base.namespaces import NEW_FILES, NEW_NETWORK, NEW_USER, bind, change_root, leave, mount_empty, unmount
from model_side.base.processes import adopt_orphans, ask_where, descendants, end_left, left_below, runs_still
from model_side.base.read_only import hold

# Of the system, not of a person or a project.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run")
_ADDED = ("/opt", "/nix", "/gnu")  # what programs of the system may need beside it
PASSING = ("/tmp", "/var/tmp")
# Of the system, for a stranger: no sockets of its services, no disks, no memory that other processes share.
_READ = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/sys/devices", "/sys/class", "/sys/bus", *_ADDED)
_DEVICES = ("null", "zero", "full", "random", "urandom", "dri", "kfd", "nvidia*")
_SETTINGS = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi")  # of the kernel, in /proc
_SET_FLAGS, _UP = 0x8914, 1  # linux/sockios.h, linux/if.h


class Limits(NamedTuple):
    """What a command does without.

    Parameters
    ----------
    offline : bool
        It has no network but a private loopback.
    only : tuple of str
        Paths: the files and directories that it has beside the system's; none means all that there are.
    kept : tuple of str
        Paths that it can only read. Without `only`, as far as the system allows that.
    moved : tuple of pair of str
        Beside `only`: a path, and an existing one at which it is seen, and can only be read.
    confined : bool
        Beside `only`: it cannot undo any of this, as root neither; it sees less of the system, and can only read that;
        and it runs no bytecode that comes with what is moved.
    memory : int
        How many bytes of its own each process may hold; 0 means any number.
    seconds : float
        After which it is killed; 0 means never.
    """

    offline: bool = False
    only: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    confined: bool = False
    memory: int = 0
    seconds: float = 0


FREE = Limits()
GRACE_SECONDS = 5.0
_CUTTING = threading.Lock()
LEFT = "it left processes behind: "  # with their names, the last line of a command that did
_SCRIPTS = str(Path(__file__).parents[2])
_START = f"import sys; sys.path.insert(0, {_SCRIPTS!r}); from serving.sandbox.leash import main; sys.exit(main())"


def leashed(
    command: Sequence[str],
    variables: Mapping[str, str],
    output: int | IO[bytes] = subprocess.PIPE,
    directory: Path | None = None,
    limits: Limits = FREE,
    passed: Sequence[int] = (),
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
    passed : sequence of int
        Descriptors that it is given, beside its output, by their numbers.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _START, json.dumps(limits), *command],
        cwd=directory,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=passed,
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


def end(process: subprocess.Popen[bytes]) -> None:
    """End a leashed command that takes too long; interpreters with faulthandler say where they are."""
    ask_where((each.pid for each in descendants(process.pid)), GRACE_SECONDS)
    runs_still(process.pid, GRACE_SECONDS)
    if process.stdin:
        process.stdin.close()


def require_none_left(said: Iterable[str], subject: str) -> None:
    """Check that a leashed command has left no process behind; the leash has ended what it did.

    Raises
    ------
    StepError
        If it has.
    """
    if found := [line for line in said if line.startswith(LEFT)]:
        advice = "End each child process that the model starts."
        raise StepError(subject, found[-1].strip(), advice=advice)


def main() -> int:
    """Run the command line."""
    limits, words = Limits(*json.loads(sys.argv[1])), sys.argv[2:]
    if limits.offline or limits.only:
        leave(NEW_NETWORK * limits.offline | NEW_FILES * bool(limits.only) | NEW_USER * limits.confined)
    if limits.offline:
        _raise_loopback()
    if limits.only:
        _keep_files(limits)
        if limits.confined:
            _confine(limits)
    elif limits.kept:
        hold(map(Path, limits.kept))
    adopt_orphans()
    command = subprocess.Popen(words, stdin=subprocess.DEVNULL, close_fds=False)
    threading.Thread(target=_hold, daemon=True).start()
    code = _waited(command, limits.seconds)
    with _CUTTING:  # where the leash is cut, this process ends by that
        pass
    if left := left_below(GRACE_SECONDS):
        end_left()
        print(f"{LEFT}{', '.join(left)}", file=sys.stderr, flush=True)
    if code < 0:
        _end_by(-code)
    return code


def _waited(command: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for a command, and kill it when its time is over."""
    try:
        return command.wait(seconds or None)
    except subprocess.TimeoutExpired:
        command.kill()
        return command.wait()


def _confine(limits: Limits) -> None:
    """Hide what a stranger's code must not see, and let go of all privilege by which it could undo that."""
    bytecode = (str(each) for _, path in limits.moved for each in Path(path).rglob("__pycache__"))
    for path in bytecode:
        mount_empty(path)
    for path in (str(Path("/proc", name)) for name in _SETTINGS):
        if Path(path).exists():
            bind(path, path, read_only=True)
    Path("/dev/shm").mkdir()
    Path("/dev/fd").symlink_to("/proc/self/fd")
    leave(NEW_USER | NEW_FILES)
    if limits.memory:
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))


def _end_by(number: int) -> None:
    """End this process by a signal, as its command was, so that whoever waits for it is told."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _keep_files(limits: Limits) -> None:
    """Go to a root with the system's directories and the given ones, by all their names, and new temporary ones."""
    here = Path.cwd()
    system = (*_READ, "/proc", *_devices()) if limits.confined else (*SYSTEM, *_ADDED)
    named = (*system, *limits.only, *limits.kept)
    wanted = {path: os.path.realpath(path) for path in named if Path(path).exists()}
    wanted |= {path: path for path in wanted.values()}
    links = {path: Path(path).readlink() for path in system if Path(path).is_symlink()}
    moved = {path: os.path.realpath(source) for source, path in limits.moved}
    kept = {*limits.kept, *map(os.path.realpath, limits.kept), *(_READ if limits.confined else ())}
    mount_empty("/tmp")
    old = Path("/tmp/old")
    old.mkdir()
    change_root("/tmp", str(old))
    old = Path("/old")
    for path in sorted(wanted.keys() - links.keys()):
        if os.path.lexists(path) and (
            path not in kept or Path(path).is_symlink()
        ):  # in a directory that is there by now
            continue
        _make_like(Path(f"{old}{wanted[path]}"), Path(path))
        bind(f"{old}{wanted[path]}", path, read_only=path in kept)
    for path, source in moved.items():
        bind(f"{old}{source}", path, read_only=True)
    for path, target in links.items():
        Path(path).symlink_to(target)
    for path in filter(None, (*PASSING, os.environ.get("TMPDIR"), os.environ.get("HOME"))):
        if not path.startswith(tuple(f"{each}/" for each in (*SYSTEM, *_ADDED))):  # nothing is made in those
            Path(path).mkdir(parents=True, exist_ok=True)
    os.chdir(here)
    unmount(str(old))
    old.rmdir()


def _devices() -> list[str]:
    return [str(path) for pattern in _DEVICES for path in Path("/dev").glob(pattern)]


def _make_like(model: Path, path: Path) -> None:
    """Make what another file or directory can be mounted on."""
    if model.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    elif not path.exists():  # it may be in a directory that can only be read by now
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _hold() -> None:
    while os.read(0, 1024):
        pass
    with _CUTTING:
        end_left()
        os.killpg(0, signal.SIGKILL)
