"""Note what reading model_spec.py reads beside it, so that the pipeline sees it change."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import source_from_cache
from pathlib import Path

from ..base.found import FOUND_VARIABLE, report_inputs
from ..base.opened import opened_in

# Of the system, which the author's answer does not depend on, or which is never twice the same.
_SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var")
_DECLARED = ("model_spec.py", "model_code", "model_data")  # the pipeline looks at these in any case
_CHAIN = ("requirements.in", "requirements.txt", "constraints.txt", "overrides.txt", "uv.toml", "model_data.toml")
_TOOL = str(Path(__file__).parents[2])
_OPENING, _LISTING = ("open", "sqlite3.connect"), ("os.listdir", "os.scandir")
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@contextmanager
def reported_reads(package: Path) -> Iterator[None]:
    """Report to the pipeline, if one runs this, which files are opened and which directories are listed meanwhile.

    Hidden files, the system's and the interpreter's own are left out, and what is written. What C code opens by itself
    is seen inside the package.

    Parameters
    ----------
    package : Path
        The package's directory, absolute.
    """
    if not os.environ.get(FOUND_VARIABLE):
        yield
        return
    reads, began = _Reads(package), time.time()
    with opened_in([*_directories(package)]) as opened:
        sys.addaudithook(reads.note)  # it cannot be taken away; this process ends soon
        yield
        reads.ended = True
        # Others may open files in this moment, too: those of the chain itself do not count.
        reads.add(path for path in opened() if path.name not in _CHAIN and path.stat().st_ctime < began)
    report_inputs(reads.names())


def _directories(place: Path) -> Iterator[Path]:
    """Yield the directories of a package in which a spec's files may lie."""
    yield place
    for path in place.iterdir():
        is_own = path.is_dir() and not path.is_symlink() and not path.name.startswith((".", "__", "mlflow_model_"))
        if is_own and path.name not in _DECLARED:
            yield from _directories(path)


class _Reads:
    """What this process reads, by Python's audit events."""

    def __init__(self, package: Path) -> None:
        self._package = str(package)
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._written: set[str] = set()
        self.ended = False

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        """Take note of an audit event."""
        if self.ended or event not in (*_OPENING, *_LISTING) or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  in a hook, and links stay
        if event in _LISTING:
            if not sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):
                self._directories.add(path)
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            self._written.add(path)
        else:
            self._files.add(path)

    def add(self, paths: Iterable[Path]) -> None:
        """Take note of files that were opened by other code."""
        self._files.update(map(str, paths))

    def names(self) -> list[str]:
        """Return what counts, relative to the package."""
        files = {_source(path) for path in self._files - self._written}
        there = {path for path in files if self._is_inside(path) or Path(path).is_file()}
        listed = {path for path in self._directories if self._is_inside(path) and Path(path).is_dir()}
        return sorted(name for name in map(self._name, there | listed) if name)

    def _is_inside(self, path: str) -> bool:
        return path.startswith(f"{self._package}{os.sep}")

    def _name(self, path: str) -> str:
        """Return the name of a file relative to the package; nothing where it does not count."""
        name = os.path.relpath(path, self._package)
        parts = Path(name).parts
        if parts[0] in _DECLARED or any(part.startswith(".") and part != ".." for part in parts):
            return ""
        near = path.startswith(f"{Path(self._package).parent}{os.sep}")
        others = (*_SYSTEM, _TOOL, sys.prefix, sys.base_prefix, tempfile.gettempdir())
        return name if near or not any(path.startswith(f"{other}{os.sep}") for other in others) else ""


def _source(path: str) -> str:
    """Return the source of a module's bytecode, any other path as it is."""
    with suppress(ValueError):
        return source_from_cache(path)
    return path
