"""Hashes taken while the packager prepares: right, and used for the file that was hashed only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_side.base.files import file_entry
from model_side.package.hashing import LARGE, Hashing, identity


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "weights" / "large.bin"
    path.parent.mkdir()
    path.write_bytes(os.urandom(LARGE))
    (path.parent / "small.bin").write_bytes(b"1")
    return path


@pytest.fixture
def hashing(large: Path) -> Iterator[Hashing]:
    made = Hashing([large.parent, large.with_name("none")])
    yield made
    made.end()


def test_large_file_is_known_and_a_small_one_is_not(large: Path, hashing: Hashing) -> None:
    files = {"a": identity(large), "b": identity(large.with_name("small.bin"))}
    assert hashing.entries(files) == {"a": file_entry(large)}


def test_file_is_known_when_it_has_another_link_since(large: Path, hashing: Hashing) -> None:
    large.with_name("link").hardlink_to(large)
    assert hashing.entries({"link": identity(large.with_name("link"))}) == {"link": file_entry(large)}


def test_file_is_not_known_when_it_changed_since(large: Path, hashing: Hashing) -> None:
    before = identity(large)
    assert hashing.entries({"large": before})
    with large.open("r+b") as stream:
        stream.write(b"1")
    os.utime(large, ns=(0, before.modified + 1))
    assert hashing.entries({"large": identity(large)}) == {}
