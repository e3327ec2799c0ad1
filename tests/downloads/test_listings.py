"""Directories and patterns of a remote place: what a listing may name, and what a pattern matches, by any protocol."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import fsspec
import pytest

from downloads.content import digest, look
from engine.fingerprint import StatCache

from .conftest import Model, contents
from .server import Hostile

ODD = ["sp ace.bin", "%20.bin", "a#b.bin", "ü.bin", "q?*[1].bin", "back\\slash.bin", ".hidden", "-dash", "a+b&c=d;@e"]


def fill(bucket: str, *names: str) -> None:
    for name in names:
        fsspec.filesystem("s3").pipe_file(f"{bucket}/{name}", name.encode())


def test_names_with_odd_letters_are_brought(model: Model, bucket: str) -> None:
    fill(bucket, *(f"dir/{name}" for name in ODD))
    model.declare('uri = "s3://weights/dir/"\npath = "d"\nmutable = true')
    assert model.actions() == ["fetched"]
    assert model.files() == {f"d/{name}": f"dir/{name}".encode() for name in sorted(ODD)}


REFUSED = {
    "../up": "outside its directory",
    "/up": "outside its directory",
    "b/../../up": "outside its directory",
    ".": "outside its directory",
    "a\nb": "a control character",
    "./a": "two files of one name",
    "a/b": "as a file and as a directory",
}


@pytest.mark.parametrize("name", REFUSED)
def test_listing_is_refused_before_a_byte_is_fetched(model: Model, hub: Hostile, name: str) -> None:
    hub.put("/api/models/o/r/revision/main", json.dumps({"sha": "c"}).encode())
    entries = [{"type": "file", "path": path, "oid": "o", "size": 1} for path in ("a", name)]
    hub.put("/api/models/o/r/tree/c", json.dumps(entries).encode())
    model.declare('uri = "hf://o/r"\npath = "d"\nmutable = true')
    error = model.error()
    assert "the listing is refused" in error
    assert REFUSED[name] in error
    assert "\n" not in error
    assert model.files() == {}


TREE = ["a.bin", "b.txt", "deep/a.bin", "deep/er/c.bin", "deep/er/d.txt", ".h.bin"]
PATTERNS = {
    "*.bin": ["a.bin", ".h.bin"],
    "**/*.bin": ["a.bin", ".h.bin", "deep/a.bin", "deep/er/c.bin"],
    "*/a.bin": ["deep/a.bin"],
    "deep/**": ["a.bin", "er/c.bin", "er/d.txt"],
    "deep/*": ["a.bin"],
    "?.bin": ["a.bin"],
    "[ab].*": ["a.bin", "b.txt"],
    "[!a].*": ["b.txt"],
    "d*/er/*.txt": ["deep/er/d.txt"],
}


def fill_hub(hostile: Hostile) -> None:
    entries = [{"type": "file", "path": f"top/{name}", "oid": "o", "size": 4 + len(name)} for name in TREE]
    hostile.put("/api/models/o/r/revision/main", json.dumps({"sha": "c"}).encode())
    for place in ("top", "top/deep"):
        held = [entry for entry in entries if str(entry["path"]).startswith(f"{place}/")]
        hostile.put(f"/api/models/o/r/tree/c/{place}", json.dumps(held).encode())
    for name in TREE:
        hostile.put(f"/o/r/resolve/c/top/{name}", f"top/{name}".encode())


def test_pattern_matches_the_same_by_every_protocol(model: Model, bucket: str, hub: Hostile, tmp_path: Path) -> None:
    fill_hub(hub)
    here = tmp_path / "a b [1]"
    for name in TREE:
        (here / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "top" / name).write_text(f"top/{name}")
    fill(bucket, *(f"top/{name}" for name in TREE))
    tops = {"hf://o/r/top": "hub", "s3://weights/top": "s3", f"{here.as_uri()}/top": "file"}
    found = {}
    for pattern in PATTERNS:
        sources = [f'uri = "{top}/{pattern}"\npath = "{name}"\nmutable = true' for top, name in tops.items()]
        model.declare(*sources)
        assert model.actions() == ["fetched"] * 3
        for name in tops.values():
            found[pattern, name] = set(contents(model.data / name))
            shutil.rmtree(model.data / name)
    assert found == {(pattern, name): set(PATTERNS[pattern]) for pattern in PATTERNS for name in tops.values()}


def test_digest_of_a_directory_is_what_sha256sum_makes_of_it_whatever_its_names(tmp_path: Path) -> None:
    for name in (*ODD[:-2], "new\nline", "cr\rcr", "sub/n\\n\n"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(name)
    command = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    done = subprocess.run(command, shell=True, cwd=tmp_path / "d", capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == digest(look(tmp_path, ["d"], StatCache()), ("d",))


def test_directory_comes_from_the_cache_whatever_its_names(model: Model, bucket: str) -> None:
    names = [*(f"dir/{name}" for name in ODD), "dir/line\u2028separator"]
    fill(bucket, *names)
    model.declare('uri = "s3://weights/dir/"\npath = "d"')
    (outcome,) = model.get(lock=True)
    shutil.rmtree(model.data)
    model.declare(f'uri = "s3://weights/dir/"\npath = "d"\nsha256 = "{outcome.sha256}"')
    assert model.actions() == ["from cache"]
    assert set(model.files().values()) == {name.encode() for name in names}
