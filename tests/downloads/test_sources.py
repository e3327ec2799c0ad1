"""Sources of this machine: files, directories, wheels and commands; and what an author has put in their way."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from downloads.content import digest, look
from engine.fingerprint import StatCache

from .conftest import Model, sha256
from .test_archives import tar_of

WEIGHTS = b"\x00weights" * 500
PIN = sha256(WEIGHTS)


def file_source(tmp_path: Path, path: str = "w.bin", **content: bytes) -> str:
    source = tmp_path / "source #1%.bin"
    source.write_bytes(content.get("content", WEIGHTS))
    return f'uri = "{source.as_uri()}"\npath = "{path}"\nsha256 = "{PIN}"'


def tree(top: Path) -> str:
    """Make a small tree and return the digest of it as a directory."""
    for name, text in {"a.txt": "a", "deep/er/b.txt": "b", "z": ""}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return digest(look(top.parent, [top.name], StatCache()), (top.name,))


def build_wheel(directory: Path) -> None:
    """Write a wheel of a package `tiny_weights` with two weight files."""
    files = {"tiny_weights/__init__.py": b"", "tiny_weights/data/w.bin": WEIGHTS, "tiny_weights/data/v.bin": b"v"}
    info = "tiny_weights-1.2.dist-info"
    files[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.2\n"
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{name},sha256={_record(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    directory.mkdir()
    with zipfile.ZipFile(directory / "tiny_weights-1.2-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


def _record(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve the wheel by the setting that a machine without an index has."""
    build_wheel(tmp_path / "wheels")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return tmp_path / "wheels"


def test_wheel_member_is_installed_when_it_is_a_file(
    model: Model, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.declare(
        f'package = "tiny-weights==1.2"\nmember = "tiny_weights/data/w.bin"\npath = "w.bin"\nsha256 = "{PIN}"'
    )
    monkeypatch.chdir(model.root.parent)
    assert Model(Path(model.root.name), model.cache).actions() == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_wheel_directory_is_found_by_the_packages_own_uv_toml_in_a_project(model: Model, tmp_path: Path) -> None:
    build_wheel(tmp_path / "wheels")
    (model.root / "uv.toml").write_text(f'find-links = ["{tmp_path / "wheels"}"]\n')
    (model.root.parent / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0"\n')
    model.declare('package = "tiny-weights==1.2"\nmember = "tiny_weights/data"\npath = "d"')
    assert model.actions(lock=True) == ["fetched"]
    assert model.files() == {"d/w.bin": WEIGHTS, "d/v.bin": b"v"}


def test_wheel_error_names_what_there_is_when_the_member_is_not(model: Model, wheels: Path) -> None:
    model.declare(f'package = "tiny-weights==1.2"\nmember = "tiny_weights/w.bin"\npath = "w"\nsha256 = "{PIN}"')
    assert "There is tiny_weights/data/w.bin." in model.error()
    assert model.files() == {}


@pytest.mark.parametrize("kind", ["wheel file", "wheel directory", "file", "directory", "pattern", "archive"])
def test_only_what_is_wrong_stays_aside_when_a_sha256_differs(
    model: Model, wheels: Path, tmp_path: Path, kind: str
) -> None:
    tree(tmp_path / "tree")
    (tmp_path / "w.tar").write_bytes(tar_of([("w.bin", WEIGHTS)]))
    wheel = 'package = "tiny-weights==1.2"\nmember = "tiny_weights/data'
    where = {
        "wheel file": f'{wheel}/w.bin"',
        "wheel directory": f'{wheel}"',
        "file": file_source(tmp_path).partition("\n")[0],
        "directory": f'uri = "{(tmp_path / "tree").as_uri()}"',
        "pattern": f'uri = "{(tmp_path / "tree").as_uri()}/*.txt"',
        "archive": f'uri = "{(tmp_path / "w.tar").as_uri()}"\nunpack = true',
    }
    model.declare(f'{where[kind]}\npath = "in/w"\nsha256 = "{"a" * 64}"')
    for _ in range(2):
        assert "is kept as model_data/.downloads/" in model.error()
        assert model.files() == {}
        assert [name for name in model.desk() if not name.startswith("bad/in/w")] == []


def test_nothing_stays_when_the_copy_of_a_directory_fails(model: Model, tmp_path: Path) -> None:
    tree(tmp_path / "tree")
    os.mkfifo(tmp_path / "tree" / "z-pipe")
    model.declare(f'uri = "{(tmp_path / "tree").as_uri()}"\npath = "t"\nmutable = true')
    assert "z-pipe: neither a file nor a directory" in model.error()
    assert (model.files(), model.desk()) == ({}, {})


def test_hand_edits_are_all_kept_aside_when_there_are_several(model: Model, tmp_path: Path) -> None:
    model.declare(file_source(tmp_path))
    for edit in ("none", "one", "two", "one"):
        assert model.actions() == ["fetched"]
        (model.data / "w.bin").write_text(edit)
    assert model.actions() == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}
    assert sorted(model.desk().values()) == [b"none", b"one", b"two"]


def test_wheel_error_is_of_the_configuration_when_the_version_is_not_there(model: Model, wheels: Path) -> None:
    model.declare(f'package = "tiny-weights==9"\nmember = "tiny_weights/data/w.bin"\npath = "w"\nsha256 = "{PIN}"')
    done = model.command_line()
    assert done.returncode == 2
    assert "no index or directory that uv knows has tiny-weights==9" in done.stderr


def test_token_of_an_index_is_not_shown_when_it_cannot_be_reached(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:topsecret1@127.0.0.1:9/simple?sig=topsecret2")
    for variable in ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    model.declare(f'package = "tiny-weights==1.2"\nmember = "w"\npath = "w"\nsha256 = "{PIN}"')
    done = model.command_line()
    assert done.returncode == 1
    assert "127.0.0.1:9/simple" in done.stderr
    assert "a network fault" in done.stderr
    assert "topsecret" not in done.stderr
    assert model.files() == {}


def test_file_uri_brings_a_directory(model: Model, tmp_path: Path) -> None:
    pin = tree(tmp_path / "tree")
    model.declare(f'uri = "{(tmp_path / "tree").as_uri()}"\npath = "t"\nsha256 = "{pin}"')
    assert model.actions() == ["fetched"]
    assert model.files() == {"t/a.txt": b"a", "t/deep/er/b.txt": b"b", "t/z": b""}
    assert model.actions() == ["present"]


def test_directory_is_brought_again_when_a_member_was_altered(model: Model, tmp_path: Path) -> None:
    pin = tree(tmp_path / "tree")
    model.declare(f'uri = "{(tmp_path / "tree").as_uri()}"\npath = "t"\nsha256 = "{pin}"')
    assert model.actions() == ["fetched"]
    (model.data / "t/deep/er/b.txt").write_text("edited")
    assert model.actions() == ["fetched"]
    assert (model.data / "t/deep/er/b.txt").read_text() == "b"
    assert [text for name, text in model.desk().items() if name.endswith("t/deep/er/b.txt")] == [b"edited"]
    assert "model_data/t: it was edited; the edit is kept as model_data/.downloads/" in model.said.getvalue()


@pytest.mark.parametrize("pinned", [True, False])
def test_authors_file_is_never_replaced_when_a_source_wants_its_place(
    model: Model, tmp_path: Path, pinned: bool
) -> None:
    source = file_source(tmp_path)
    model.declare(source if pinned else f"{source.rpartition('sha256')[0]}mutable = true")
    model.data.mkdir()
    (model.data / "w.bin").write_text("mine")
    assert "a file that came from no source" in model.error()
    assert model.files() == {"w.bin": b"mine"}


def test_directory_is_not_replaced_when_an_author_added_a_file(model: Model, tmp_path: Path) -> None:
    tree(tmp_path / "tree")
    model.declare(f'uri = "{(tmp_path / "tree").as_uri()}"\npath = "t"\nmutable = true')
    assert model.actions() == ["fetched"]
    (model.data / "t/mine").write_text("mine")
    assert "it holds files that came from no source: got mine" in model.error(refresh=True)
    assert (model.data / "t/mine").read_text() == "mine"
    assert (model.data / "t/a.txt").read_text() == "a"


def test_file_is_adopted_when_it_has_the_declared_sha256(model: Model, tmp_path: Path) -> None:
    model.declare(file_source(tmp_path))
    (tmp_path / "source #1%.bin").unlink()
    model.data.mkdir()
    (model.data / "w.bin").write_bytes(WEIGHTS)
    assert model.actions() == ["present"]


def test_source_is_refused_when_a_link_leads_out_of_model_data(model: Model, tmp_path: Path) -> None:
    model.declare(file_source(tmp_path, "out/w.bin"))
    (tmp_path / "elsewhere").mkdir()
    model.data.mkdir()
    (model.data / "out").symlink_to(tmp_path / "elsewhere")
    assert "leads out of model_data/" in model.error()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_last_good_file_stays_when_its_successor_is_wrong(model: Model, tmp_path: Path) -> None:
    model.declare(file_source(tmp_path))
    assert model.actions() == ["fetched"]
    declaration = model.root / "model_data.toml"
    declaration.write_text(declaration.read_text().replace(PIN, "c" * 64))
    assert "expected " + "c" * 64 in model.error()
    assert model.files()["w.bin"] == WEIGHTS
