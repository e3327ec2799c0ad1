"""Protocols of fsspec: directories, patterns, resuming, and what is said when a library or a file is missing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from downloads import remote
from downloads.origins import Origin, locate
from downloads.progress import Bar
from downloads.remote import locate_remote
from downloads.transfer import fetch
from model_side.base.errors import ReportedError, StepError, UsageError
from tests.object_store import put

from .conftest import QUICK, Model, sha256

FILES = {"a.bin": b"a" * 3000, "deep/b.bin": b"b" * 10, "deep/c.txt": b"c"}


@pytest.fixture
def memory() -> Iterator[str]:
    """Fill fsspec's file system in memory, and return the address of a directory in it."""
    files = fsspec.filesystem("memory")
    for name, content in FILES.items():
        files.pipe(f"/bucket/dir/{name}", content)
    yield "memory://bucket/dir"
    files.rm("/bucket", recursive=True)


@pytest.mark.parametrize("slash", ["", "/"])
def test_directory_is_brought(model: Model, memory: str, slash: str) -> None:
    model.declare(f'uri = "{memory}{slash}"\npath = "d"')
    assert model.actions(lock=True) == ["fetched"]
    assert model.files() == {f"d/{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("uri", ["memory://none/x", "memory://none/", "memory://none/*.bin"])
def test_error_says_that_nothing_is_there(model: Model, memory: str, uri: str) -> None:
    model.declare(f'uri = "{uri}"\npath = "d"\nsha256 = "{"a" * 64}"')
    assert "is there. Check the uri." in model.error() or "no such file or directory" in model.error()


def test_pattern_is_refused_when_it_is_none(memory: str) -> None:
    with pytest.raises(UsageError, match="not a pattern"):
        locate(f"{memory}/**.bin")


def test_error_says_what_an_address_lacks() -> None:
    with pytest.raises(UsageError, match=r"github://owner/w: it cannot be opened: got .*repo"):
        locate("github://owner/w")


def test_known_protocols_are_named_when_one_is_unknown() -> None:
    with pytest.raises(UsageError, match=r"unknown protocol: got nonsense. Known: .*\bs3\b"):
        locate("nonsense://bucket/key")


def test_transfer_starts_over_when_the_file_changed(memory: str, tmp_path: Path) -> None:
    origin = locate_remote(f"{memory}/a.bin")
    assert isinstance(origin, Origin)
    before = origin.open(0, None, "").validator
    fsspec.filesystem("memory").pipe("/bucket/dir/a.bin", b"other")
    assert origin.open(3, None, before).start == 0
    fact, resumed = fetch(origin, tmp_path / "part", QUICK, Bar("w"), pinned=True)
    assert (fact.sha256, resumed) == (sha256(b"other"), False)


@pytest.fixture
def bucket(bucket: str) -> str:
    """Put the files in the bucket."""
    for name, content in FILES.items():
        fsspec.filesystem("s3").pipe_file(f"{bucket}/dir/{name}", content)
    return bucket


def test_s3_brings_files_directories_and_patterns(model: Model, bucket: str, tmp_path: Path) -> None:
    model.declare(
        f'uri = "{bucket}/dir/a.bin"\npath = "a"\nsha256 = "{sha256(FILES["a.bin"])}"',
        f'uri = "{bucket}/dir/"\npath = "d"\nmutable = true',
        f'uri = "{bucket}/dir/**/*.txt"\npath = "t"\nmutable = true',
    )
    assert model.actions() == ["fetched"] * 3
    expected = {"a": FILES["a.bin"], "t/deep/c.txt": b"c", **{f"d/{name}": text for name, text in FILES.items()}}
    assert model.files() == expected
    written = [path for path in model.root.rglob("*") if path.is_file()]
    assert not [path for path in written if b"topsecret5" in path.read_bytes()]


def test_s3_library_says_nothing_itself(model: Model, bucket: str) -> None:
    model.declare(
        f'uri = "{bucket}/dir/a.bin"\npath = "a"\nsha256 = "{sha256(FILES["a.bin"])}"',
        f'uri = "{bucket}/none"\npath = "n"\nsha256 = "{"a" * 64}"',
    )
    done = model.command_line()
    assert done.returncode == 1
    assert sorted(line.partition(": ")[0] for line in done.stderr.splitlines()) == [
        "error",
        "model_data/a",
        "model_data/n",
    ]


def test_s3_says_what_is_wrong_when_a_key_or_the_bucket_is_missing(bucket: str, tmp_path: Path) -> None:
    for uri in (f"{bucket}/none", "s3://no-such-bucket-here/x"):
        with pytest.raises(ReportedError) as caught:
            fetch(locate_remote(uri), tmp_path / "part", QUICK, Bar("w"), pinned=True)  # type: ignore[arg-type]
        assert isinstance(caught.value, StepError)
        assert "topsecret5" not in str(caught.value)


@pytest.mark.parametrize("place", ["dir/a.bin", "dir/"])
def test_s3_is_read_without_credentials_when_there_are_none(
    model: Model, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name in FILES:
        put(f"{os.environ['AWS_ENDPOINT_URL']}/weights/dir/{name}?acl", **{"x-amz-acl": "public-read"})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    model.declare(f'uri = "{bucket}/{place}"\npath = "w"\nmutable = true')
    done = model.command_line()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"{bucket}/{place}: no credentials are set up: it is read without any") == 1
    assert FILES["a.bin"] in model.files().values()


def test_endpoint_of_s3_that_never_answers_is_asked_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    options = remote.S3_LIMITS
    assert options["connect_timeout"] + options["read_timeout"] <= 20
    monkeypatch.setitem(options, "read_timeout", 0.2)
    monkeypatch.setattr(remote, "SILENCE_SECONDS", 0.1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test-key-id")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        model.declare('uri = "s3://silent/w"\npath = "w"\nmutable = true')
        assert "s3://silent/w: network: Read timeout" in model.error()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
