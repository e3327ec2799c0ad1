"""What is left in model_data/ when its source has gone from model_data.toml."""

from __future__ import annotations

from pathlib import Path

from downloads.orphans import orphans, remove_orphans

from .conftest import Model, sha256
from .test_sources import tree


def fill(model: Model, tmp_path: Path) -> str:
    """Bring a file and a directory, and return the declaration of the file."""
    (tmp_path / "w").write_bytes(b"w")
    tree(tmp_path / "tree")
    file = f'uri = "{(tmp_path / "w").as_uri()}"\npath = "w"\nsha256 = "{sha256(b"w")}"'
    model.declare(file, f'uri = "{(tmp_path / "tree").as_uri()}"\npath = "in/t"\nmutable = true')
    assert model.actions() == ["fetched", "fetched"]
    return file


def test_orphans_are_none_when_all_is_declared(model: Model, tmp_path: Path) -> None:
    fill(model, tmp_path)
    assert orphans(model.root) == []


def test_orphans_are_named_and_removed_when_their_source_has_gone(model: Model, tmp_path: Path) -> None:
    model.declare(fill(model, tmp_path))
    names = ["in/t/a.txt", "in/t/deep/er/b.txt", "in/t/z"]
    assert orphans(model.root) == names
    assert model.actions() == ["present"]
    assert orphans(model.root) == names
    assert remove_orphans(model.root) == (names, [])
    assert sorted(path.name for path in model.data.iterdir()) == [".sources.json", "w"]
    assert orphans(model.root) == []
    assert model.actions() == ["present"]


def test_orphan_stays_when_it_was_edited_and_so_does_an_authors_file(model: Model, tmp_path: Path) -> None:
    model.declare(fill(model, tmp_path))
    (model.data / "in/t/a.txt").write_text("edited")
    (model.data / "in/t/mine").write_text("mine")
    assert remove_orphans(model.root) == (["in/t/deep/er/b.txt", "in/t/z"], ["in/t/a.txt"])
    assert model.files() == {"in/t/a.txt": b"edited", "in/t/mine": b"mine", "w": b"w"}


def test_file_is_no_orphan_when_another_source_declares_its_place(model: Model, tmp_path: Path) -> None:
    fill(model, tmp_path)
    model.declare(f'uri = "{(tmp_path / "w").as_uri()}"\npath = "in/t/a.txt"\nmutable = true')
    assert [name for name in orphans(model.root) if name.startswith("in/t")] == []


def test_declaration_may_be_gone(model: Model, tmp_path: Path) -> None:
    fill(model, tmp_path)
    (model.root / "model_data.toml").unlink()
    assert len(remove_orphans(model.root)[0]) == 4
    assert model.files() == {}
