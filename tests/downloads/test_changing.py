"""Files that change while they are read: what comes is one content, the old or the new, never some of both."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from downloads.origins import Origin, locate
from downloads.progress import Bar
from downloads.transfer import fetch

from .conftest import QUICK, Model, sha256

MB = 1 << 20
OLD, NEW = random.Random(1).randbytes(20 * MB), random.Random(2).randbytes(20 * MB)


def changed_after_the_first_bytes(origin: Origin, part: Path, change: Callable[[], object]) -> tuple[str, bytes]:
    """Fetch a file that changes as soon as some bytes of it are here; return the digest, and what is there."""
    changes = iter([change])

    class Told(Bar):
        def moved(self) -> None:
            for pending in changes:
                pending()

    bar = Told("w")
    fact, _ = fetch(origin, part, QUICK, bar, pinned=False)
    return fact.sha256, part.read_bytes()


@pytest.mark.parametrize("new", [NEW, NEW[: 3 * MB], NEW + OLD], ids=["same-size", "shorter", "longer"])
def test_remote_file_is_read_anew_when_it_changes(tmp_path: Path, new: bytes) -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/changing/w", OLD)
    origin = locate("memory://changing/w")
    assert isinstance(origin, Origin)
    try:
        found = changed_after_the_first_bytes(origin, tmp_path / "part", lambda: files.pipe("/changing/w", new))
        assert found == (sha256(new), new)
    finally:
        files.rm("/changing", recursive=True)


@pytest.mark.parametrize("place", ["", "/w"], ids=["directory", "file"])
def test_what_is_on_this_machine_is_refused_when_it_changes(model: Model, tmp_path: Path, place: str) -> None:
    tree, over = tmp_path / "tree", threading.Event()
    tree.mkdir()
    (tree / "w").write_bytes(OLD * 3)

    def touch() -> None:
        count = 0
        while not over.is_set():
            count += 1
            os.utime(tree / "w", ns=(count, count))

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        model.declare(f'uri = "{tree.as_uri()}{place}"\npath = "t"\nmutable = true')
        assert "it changes while it is read" in model.error()
    finally:
        over.set()
        thread.join()
    assert model.files() == {}
    assert model.actions() == ["fetched"]
