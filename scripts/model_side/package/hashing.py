"""Hash large files in a process of its own while the model is proven."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from ..base.files import FileEntry, file_entry


@contextmanager
def hashing(model: Path, names: list[str]) -> Iterator[Callable[[], dict[str, FileEntry]]]:
    """Hash files of a saved model meanwhile.

    Parameters
    ----------
    model : Path
        The MLflow Model.
    names : list of str
        Paths of files in it.

    Yields
    ------
    callable
        It waits for the hashes, and returns them by name; none of a file that has changed since.
    """
    before = {name: (model / name).stat().st_mtime_ns for name in names}
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_hash, args=(model, names, theirs), daemon=True)
    process.start()
    theirs.close()

    def entries() -> dict[str, FileEntry]:
        with suppress(EOFError):  # it was killed: who needs the hashes reads the files
            hashed = ours.recv().items()
            return {name: entry for name, entry in hashed if (model / name).stat().st_mtime_ns == before[name]}
        return {}

    try:
        yield entries
    finally:
        process.kill()
        process.join()


def _hash(model: Path, names: list[str], results: Connection) -> None:
    results.send({name: file_entry(model / name) for name in names})
