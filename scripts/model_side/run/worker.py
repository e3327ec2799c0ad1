"""Import MLflow, and what the author's code imports, once; run each command in a fork that starts with these imports.

Started by the pipeline in the model environment, with modules to import and the number of a socket to it. A request is
its length (4 bytes, big-endian) together with three file descriptors, then JSON: ``argv`` (a Python script and its
arguments), ``env``, ``directory``, ``name``. The descriptors are the command's stdout, its stderr, and a socket for
what becomes of it: ``pid N``, then ``code N`` (negative: ended by that signal). A request that would not run as in a
fresh process gets no pid; where no process of this kind could run it, it gets ``alone`` and why.

Nothing of the author's is imported here, and a child is forked before anything has predicted: it is as clean as a
process of its own. What is imported ahead is what the model's module imports at the moment, in that order; so code that
lacks an import fails here as it does elsewhere. Nothing is where a file may change what an import does, and no copy is
made of a process in which an import started threads.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import gc
import importlib
import itertools
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

# Run and not imported: no module of ours is in the way of the command's own.
_AHEAD = runpy.run_path(str(Path(__file__).with_name("ahead.py")))
tree_of: Callable[[Path], ast.Module | None] = _AHEAD["tree_of"]
imports_ahead: Callable[[Mapping[Path, ast.Module]], tuple[tuple[str, str], ...]] = _AHEAD["imports_ahead"]


def main() -> int:
    """Serve requests until the pipeline is gone.

    Raises
    ------
    OSError, AttributeError
        Before it takes a request, where the system cannot watch processes: commands then run without a host.
    """
    os.close(os.pidfd_open(os.getpid()))
    sys.path.pop(0)  # this file's neighbours are no top-level modules
    *modules, number = sys.argv[1:]
    requests = socket.socket(fileno=int(number))
    gc.disable()  # an import makes much and drops little: MLflow's takes a fifth less
    for module in modules:
        with suppress(ImportError):  # other releases of a library have other modules
            importlib.import_module(module)
    Worker(requests).serve()
    return 0


class Worker:
    """One warm interpreter.

    Parameters
    ----------
    requests : socket
        A stream socket; its end is this process's end.
    """

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._trees: dict[Path, ast.Module] = {}
        self._ahead: tuple[tuple[str, str], ...] = ()
        self._threads, self._alone = _threads(), ""
        self._children: dict[int, tuple[int, socket.socket]] = {}  # pidfd: pid, where to tell
        self._poll = select.poll()
        self._poll.register(requests, select.POLLIN)
        self._import_ahead()

    def serve(self) -> None:
        """Fork for each request, until the other end of the socket is closed."""
        try:
            while True:
                for number, event in self._poll.poll():
                    if number in self._children:
                        self._reap(number)
                    elif event & select.POLLHUP:
                        return
                    else:
                        self._accept()
        finally:
            for pid, _ in self._children.values():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)

    def _accept(self) -> None:
        """Read a request and fork; the child becomes the command."""
        head, descriptors, _, _ = socket.recv_fds(self._requests, 4, 3)
        body = self._requests.recv(int.from_bytes(head), socket.MSG_WAITALL)
        if len(body) < int.from_bytes(head):
            return  # the pipeline is gone; the socket says so next
        *outputs, tell = descriptors
        told = socket.socket(fileno=tell)
        if not self._import_ahead():
            told.close()
        elif self._alone:
            with told, suppress(BrokenPipeError):
                told.send(f"alone {self._alone}".encode())
        else:
            self._fork(json.loads(body), outputs, told)
        for descriptor in outputs:
            os.close(descriptor)

    def _fork(self, request: Mapping[str, Any], outputs: Sequence[int], told: socket.socket) -> None:
        with warnings.catch_warnings():  # the libraries' own threads are idle, and restart in the child
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            self._let_go(told)
            become(request, outputs)
        told.send(f"pid {pid}".encode())
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, told)
        self._poll.register(pidfd, select.POLLIN)

    def _let_go(self, told: socket.socket) -> None:
        """Close, in a child, what is its parent's."""
        for other in (told, self._requests, *(other for _, other in self._children.values())):
            other.close()
        self._children.clear()
        gc.enable()

    def _reap(self, pidfd: int) -> None:
        pid, told = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with told, suppress(BrokenPipeError):
            told.send(f"code {code}".encode())

    def _tree(self, file: Path) -> ast.Module:
        """Return a file's statements; while its author is in the middle of a line, those that it had before."""
        return tree_of(file) or self._trees.get(file) or ast.Module([], [])

    def _import_ahead(self) -> bool:
        """Import what the author's files import; tell whether no more than that is imported, and in that order."""
        self._trees = {file: self._tree(file) for file in code_files()}
        stated = imports_ahead(self._trees)
        if stated[: len(self._ahead)] != self._ahead:
            return False
        for module, name in stated[len(self._ahead) :]:
            with suppress(Exception):  # the child fails where the author sees it
                __import__(module, fromlist=[name] if name else [])
            if not self._alone and _threads() > self._threads:
                self._alone = f"importing {module} starts threads, which a copy of the process does not have"
        self._ahead = stated
        gc.freeze()
        return True


def become(request: Mapping[str, Any], outputs: Sequence[int]) -> NoReturn:
    """Run a script as ``python script arguments`` does, with these descriptors as stdout and stderr, and end."""
    os.setsid()
    Path("/proc/self/comm").write_text(request["name"])
    for number, descriptor in enumerate(outputs, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    if numpys := sys.modules.get("numpy.random"):  # a new process draws its own numbers; Python's random sees to itself
        numpys.seed()
    os.chdir(request["directory"])
    sys.argv[:] = request["argv"]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    end_process(_run(sys.argv[0]))


def _run(script: str) -> int:
    """Run a script as the main program, and return its exit code."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def end_process(code: int) -> NoReturn:
    """End as an interpreter does: its threads, then its exit hooks, the last registered first, then its streams.

    Only its modules are not taken down: MLflow imports thousands.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(code)


def _threads() -> int:
    """Return how many threads this process has, but for those of OpenBLAS, which ends and starts them around a fork."""
    maps = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    libraries = {line.split(maxsplit=5)[5] for line in maps if "openblas" in line}
    return len([*Path("/proc/self/task").iterdir()]) - sum(map(_blas_threads, libraries))


def _blas_threads(path: str) -> int:
    library = ctypes.CDLL(path)
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_")):
        counts = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
        if counts and getattr(library, f"{prefix}openblas_get_parallel{suffix}")() == 1:  # threads of its own
            return int(counts()) - 1
    return 0


def code_files() -> Iterator[Path]:
    """Yield the author's Python files, also those behind links: they travel."""
    for top, directories, names in os.walk(_AHEAD["CODE"], followlinks=True):
        directories[:] = [name for name in directories if not _leads_back(Path(top, name))]
        yield from (Path(top, name) for name in sorted(names) if name.endswith(".py"))
    yield _AHEAD["SPEC"]


def _leads_back(path: Path) -> bool:
    """Tell whether a path is a link to a directory above it."""
    return path.is_symlink() and any(path.resolve() == above.resolve() for above in path.parents)


if __name__ == "__main__":
    raise SystemExit(main())
