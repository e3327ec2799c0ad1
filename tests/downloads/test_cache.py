"""The cache that all models and clones share."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from downloads.cache import Cache, cache_directory, cache_lines

from .conftest import Model, sha256
from .server import Hostile

WEIGHTS = b"weights" * 1000
PIN = sha256(WEIGHTS)


def fetched(model: Model, hostile: Hostile) -> Cache:
    """Bring a file, and return the cache that it is in now."""
    model.declare(f'uri = "{hostile.put("/w", WEIGHTS)}?key=topsecret"\npath = "w.bin"\nsha256 = "{PIN}"')
    assert model.actions() == ["fetched"]
    return Cache(model.cache)


def stored(model: Model) -> Path:
    return model.cache / "objects" / PIN[:2] / PIN[2:]


def test_other_model_takes_the_file_without_a_download(model: Model, hostile: Hostile) -> None:
    fetched(model, hostile)
    other = model.another()
    assert other.actions() == ["from cache"]
    assert other.files() == {"w.bin": WEIGHTS}
    assert len(hostile.asked) == 1
    places = [stored(model), model.data / "w.bin", other.data / "w.bin"]
    assert [place.stat().st_nlink for place in places] == [1, 1, 1]  # some libraries refuse weights with more
    assert [bool(place.stat().st_mode & stat.S_IWUSR) for place in places] == [False, True, True]


def test_damaged_object_is_dropped_and_the_file_fetched_again(model: Model, hostile: Hostile) -> None:
    fetched(model, hostile)
    other = model.another()
    stored(model).chmod(0o644)
    stored(model).write_bytes(b"W" + WEIGHTS[1:])
    assert other.actions() == ["fetched"]
    assert other.files() == {"w.bin": WEIGHTS}
    assert stored(model).read_bytes() == WEIGHTS


def test_edit_in_place_reaches_neither_the_cache_nor_another_model(model: Model, hostile: Hostile) -> None:
    fetched(model, hostile)
    other = model.another()
    assert other.actions() == ["from cache"]
    with (model.data / "w.bin").open("r+b") as stream:
        stream.write(b"X")
    assert other.actions() == ["present"]
    assert other.files() == {"w.bin": WEIGHTS}
    assert model.actions() == ["from cache"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_output_of_a_command_has_no_second_link(model: Model) -> None:
    programs = model.root / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "bring").write_text("#!/bin/sh\nmkdir -p model_data/out; printf w > model_data/out/w.bin\n")
    (programs / "bring").chmod(0o755)
    pin = sha256(f"{sha256(b'w')}  w.bin\n".encode())
    model.declare(f'command = "bring"\npath = "out"\nsha256 = "{pin}"')
    other = model.another()
    assert [model.actions(), other.actions()] == [["ran"], ["from cache"]]
    assert [(each.data / "out" / "w.bin").stat().st_nlink for each in (model, other)] == [1, 1]


def test_download_works_when_the_cache_cannot_be_written(model: Model, hostile: Hostile) -> None:
    model.cache.write_text("a file where the directory should be")
    fetched(model, hostile)
    assert model.files() == {"w.bin": WEIGHTS}


def test_mutable_and_local_sources_are_not_kept(model: Model, hostile: Hostile, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"local")
    model.declare(
        f'uri = "{hostile.put("/m", b"moves")}"\npath = "m"\nmutable = true',
        f'uri = "{(tmp_path / "local").as_uri()}"\npath = "l"\nsha256 = "{sha256(b"local")}"',
    )
    assert model.actions() == ["fetched", "fetched"]
    assert Cache(model.cache).contents() == []


def test_report_names_what_is_there_without_credentials(model: Model, hostile: Hostile) -> None:
    contents = fetched(model, hostile).contents()
    line, total = cache_lines(contents, contents[0].used + 3 * 86400)
    assert line.split()[:5] == [PIN[:12], "7.0", "kB", "3", "days"]
    assert "w.bin" in line
    assert total == "1 files, 7.0 kB"
    assert "topsecret" not in line + str(contents)
    assert contents[0].sha256 == PIN


def test_prune_removes_what_was_not_used_for_long(model: Model, hostile: Hostile) -> None:
    cache = fetched(model, hostile)
    assert cache.prune(older_than_seconds=1000) == []
    os.utime(stored(model).with_name(f"{PIN[2:]}.json"), (1, 1))
    (stored(model).parent / "x.part").write_text("left by a killed run")
    assert [cached.sha256 for cached in cache.prune(older_than_seconds=1000)] == [PIN]
    assert [path for path in model.cache.rglob("*") if path.is_file()] == []
    assert model.actions() == ["present"]


def test_cache_is_where_the_environment_says() -> None:
    assert cache_directory({"MODEL_DATA_CACHE": "/a"}) == Path("/a")
    assert cache_directory({"XDG_CACHE_HOME": "/b"}) == Path("/b/mlflow-model-chain/model_data")
    assert cache_directory({"XDG_CACHE_HOME": "relative"}).is_relative_to(Path.home())
