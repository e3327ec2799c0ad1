"""Bytecode that was compiled once, kept for every later environment that has the same source in it.

It is kept under the sha256 that the source has in its distribution's RECORD, and the source's time of change. Python
holds that time, which is part of the bytecode, to the source's before it runs it, so what is found here fits, or is
compiled as ever. uv hard-links what it installs: a file has the same time in all environments of one uv cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.machine import user_cache

from .installed import recorded, site_packages
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
    run_uv([*words, "--compile-bytecode"], directory, "requirements.txt", given=given, env=env)
    keep(environment, os.environ)


def reuse(environment: Path, variables: Mapping[str, str]) -> None:
    """Give a new environment what was compiled before, as far as the store can be used: the rest is compiled."""
    with suppress(RuntimeError):  # no home
        for kept, compiled in _places(environment, variables):
            with suppress(OSError):  # nothing kept, or not to be read; no hard links there, or too many
                if kept.exists():
                    compiled.parent.mkdir(exist_ok=True)
                    compiled.hardlink_to(kept)


def keep(environment: Path, variables: Mapping[str, str]) -> None:
    """Keep what is compiled in an environment, and drop what no environment has any more."""
    oldest = time.time() - KEPT_DAYS * 86400
    with suppress(OSError, RuntimeError):  # no place, no home, or no hard links to it: nothing is kept
        store = _store(environment, variables)
        store.mkdir(parents=True, exist_ok=True)
        for kept, compiled in _places(environment, variables):
            with suppress(FileExistsError, FileNotFoundError, NotADirectoryError):
                kept.hardlink_to(compiled)
        for path in store.iterdir():
            found = path.stat()
            if found.st_nlink == 1 and found.st_mtime < oldest:
                path.unlink()


def _places(environment: Path, variables: Mapping[str, str]) -> Iterator[tuple[Path, Path]]:
    """Yield, for each source, where its bytecode is kept and where Python looks for it."""
    store, site = _store(environment, variables), site_packages(environment)
    tag = store.name.replace("python", "cpython-").replace(".", "")
    for name, checksum, _ in recorded(environment):
        if name.endswith(".py") and checksum.startswith("sha256=") and not name.startswith(("/", "..")):
            source = site / name
            with suppress(FileNotFoundError):
                changed = int(source.stat().st_mtime)
                compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
                yield store / f"{checksum.removeprefix('sha256=')}-{changed:x}", compiled


def _store(environment: Path, variables: Mapping[str, str]) -> Path:
    return user_cache(variables, VARIABLE, "bytecode") / site_packages(environment).parent.name
