"""Bytecode that was compiled once, kept for every later environment that has the same source in it.

It is kept by the sha256 that the source has in its distribution's RECORD, and the source's time of change. That time is
part of the bytecode, and Python compares it with the source's before it runs that: what does not fit is compiled as
ever. uv hard-links what it installs: a file has the same time in all environments of one uv cache.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .installed import recorded, site_packages
from .settings import user_cache
from .uv import run_uv

VARIABLE = "MODEL_BYTECODE_CACHE"
KEPT_DAYS = 30  # after it was compiled, where no environment has it


def install(
    words: Sequence[str], directory: Path, environment: Path, *, given: str = "", env: Mapping[str, str] | None = None
) -> None:
    """Run a command of uv that installs requirements, in `directory`, so that all that it installs is compiled.

    Parameters
    ----------
    words : sequence of str
    directory, environment : Path
    given, env
        As `run_uv` has them.

    Raises
    ------
    UsageError, StepError
        As `run_uv` says.
    """
    run_uv(words, directory, "requirements.txt", given=given, env=env)
    reuse(environment, os.environ)
    print("compiling all modules to bytecode", file=sys.stderr, flush=True)
    run_uv([*words, "--compile-bytecode", "--quiet"], directory, "requirements.txt", given=given, env=env)
    keep(environment, os.environ)


def reuse(environment: Path, variables: Mapping[str, str]) -> None:
    """Give a new environment what was compiled before, as far as the store can be used: the rest is compiled.

    Parameters
    ----------
    environment : Path
    variables : mapping of str to str
        They say where the store is.
    """
    with suppress(OSError, RuntimeError):  # no such store, or not to be read; no home
        store = _store(environment, variables)
        there = set(os.listdir(store))
        for name, compiled in _places(environment, store.name):
            if name in there:
                _link(f"{store}/{name}", compiled)


def keep(environment: Path, variables: Mapping[str, str]) -> None:
    """Keep what is compiled in an environment, and drop what is in no environment.

    Parameters
    ----------
    environment : Path
    variables : mapping of str to str
        They say where the store is.
    """
    oldest = time.time() - KEPT_DAYS * 86400
    with suppress(OSError, RuntimeError):  # no place, no home, or no hard links to it: nothing is kept
        store = _store(environment, variables)
        store.mkdir(parents=True, exist_ok=True)
        there = set(os.listdir(store))
        for name, compiled in _places(environment, store.name):
            if name not in there:
                with suppress(FileExistsError, FileNotFoundError, NotADirectoryError):
                    os.link(compiled, f"{store}/{name}", follow_symlinks=False)
        for entry in list(os.scandir(store)):
            found = entry.stat()
            if found.st_nlink == 1 and found.st_mtime < oldest:
                os.unlink(entry)


def _link(kept: str, compiled: str) -> None:
    with suppress(OSError):  # no hard links there, or too many
        try:
            os.link(kept, compiled)
        except FileNotFoundError:
            os.mkdir(compiled.rpartition("/")[0])
            os.link(kept, compiled)


def _places(environment: Path, python: str) -> Iterator[tuple[str, str]]:
    """Yield, for each source, the name that its bytecode is kept by, and where Python looks for it."""
    site = str(site_packages(environment))
    end = f".{python.replace('python', 'cpython-').replace('.', '')}.pyc"
    for name, checksum, _ in recorded(environment):
        if name.endswith(".py") and checksum.startswith("sha256=") and not name.startswith(("/", "..")):
            directory, _, module = f"{site}/{name}".rpartition("/")
            with suppress(FileNotFoundError):
                changed = int(os.stat(f"{directory}/{module}").st_mtime)
                compiled = f"{directory}/__pycache__/{module.removesuffix('.py')}{end}"
                yield f"{checksum.removeprefix('sha256=')}-{changed:x}", compiled


def _store(environment: Path, variables: Mapping[str, str]) -> Path:
    return user_cache(variables, VARIABLE, "bytecode") / site_packages(environment).parent.name
