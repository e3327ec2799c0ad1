"""What is left in model_data/ when its source has gone from model_data.toml."""

from __future__ import annotations

import random
import subprocess
import threading
from pathlib import Path

import pytest

from chain.steps import steps_for
from downloads.desk import desk_name
from downloads.orphans import orphans, remove_orphans
from engine.fingerprint import StatCache, see
from tests.chain.cheap_package import write_package

from .conftest import Model, sha256
from .server import Answer, Hostile, code, cut
from .test_sources import tree


def fill(model: Model, tmp_path: Path) -> str:
    """Bring a file and a directory, and return the declaration of the file."""
    (tmp_path / "w").write_bytes(b"w")
    tree(tmp_path / "tree")
    file = f'uri = "{(tmp_path / "w").as_uri()}"\npath = "w"\nsha256 = "{sha256(b"w")}"'
    model.declare(file, f'uri = "{(tmp_path / "tree").as_uri()}"\npath = "in/t"\nmutable = true')
    assert model.actions() == ["fetched", "fetched"]
    return file


def test_orphans_are_named_and_removed_when_their_source_has_gone(model: Model, tmp_path: Path) -> None:
    file = fill(model, tmp_path)
    assert orphans(model.root) == []
    model.declare(file)
    names = ["in/t/a.txt", "in/t/deep/er/b.txt", "in/t/z"]
    assert orphans(model.root) == names
    assert model.actions() == ["present"]
    assert orphans(model.root) == names
    assert remove_orphans(model.root) == (names, [])
    assert sorted(path.name for path in model.data.iterdir()) == [".downloads", "w"]
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


def leave(model: Model, hostile: Hostile) -> None:
    """Leave everything that a run may leave: an unfinished file, an unfinished directory and wrong bytes."""
    big = random.Random(1).randbytes(6 << 20)
    model.declare(
        f'uri = "{hostile.put("/w", big, cut(5 << 20), code(404))}"\npath = "in/w"\nsha256 = "{sha256(big)}"',
        f'uri = "{hostile.put("/bad", b"other")}"\npath = "b"\nsha256 = "{"a" * 64}"',
    )
    assert [outcome.action for outcome in model.get()] == ["failed", "failed"]
    assert set(model.desk()) == {"part", "part.note", "bad/b"}


LEFT = sorted(
    f".downloads/{desk_name([path])}/{name}" for path, name in (("b", "bad"), ("in/w", "part"), ("in/w", "part.note"))
)


def test_leftovers_of_a_source_that_has_gone_are_orphans(model: Model, hostile: Hostile) -> None:
    leave(model, hostile)
    assert orphans(model.root) == []
    assert model.command_line("--offline").returncode == 1
    assert orphans(model.root) == []
    model.declare()
    assert orphans(model.root) == LEFT
    assert remove_orphans(model.root) == (LEFT, [])
    assert model.files() == {}
    assert not (model.data / "in").exists()
    assert orphans(model.root) == []


def test_leftovers_are_orphans_when_the_run_was_killed(model: Model, hostile: Hostile) -> None:
    running: list[subprocess.Popen[str]] = []
    started, over = threading.Event(), threading.Event()

    def kill(answer: Answer) -> None:
        answer.serve(sent=18 << 20, then=lambda: (started.wait(20), running[0].kill(), over.wait(20)))

    big = random.Random(1).randbytes(20 << 20)
    model.declare(f'uri = "{hostile.put("/w", big, kill)}"\npath = "w"\nsha256 = "{sha256(big)}"')
    running.append(subprocess.Popen(model.command, text=True))
    started.set()
    running[0].wait(20)
    over.set()
    assert "part" in model.desk()
    model.declare()
    assert len(orphans(model.root)) == len(model.desk())
    remove_orphans(model.root)
    assert model.desk() == {}


def test_hand_edit_that_was_kept_aside_is_no_orphan(model: Model, tmp_path: Path) -> None:
    fill(model, tmp_path)
    (model.data / "w").write_text("edited")
    assert model.actions() == ["fetched", "present"]
    model.declare()
    assert not [name for name in orphans(model.root, every=True) if "edited" in name]
    remove_orphans(model.root, every=True)
    assert list(model.desk().values()) == [b"edited"]


def test_leftover_is_no_orphan_when_another_source_has_its_place(model: Model, hostile: Hostile) -> None:
    leave(model, hostile)
    model.declare('uri = "https://host/w"\npath = "in/w"\nmutable = true')
    assert orphans(model.root) == LEFT[:1] if "/bad" in LEFT[0] else LEFT[-1:]


def test_record_of_the_former_version_is_understood(model: Model, tmp_path: Path) -> None:
    model.declare(fill(model, tmp_path), f'uri = "{(tmp_path / "v").as_uri()}"\npath = "v"\nmutable = true')
    (tmp_path / "v").write_text("v")
    record = model.data / ".downloads" / "record.json"
    record.rename(model.data / ".sources.json")
    record.parent.rmdir()
    assert len(orphans(model.root)) == 3
    assert model.actions() == ["present", "fetched"]
    assert not (model.data / ".sources.json").exists()
    assert record.is_file()


@pytest.mark.parametrize("reader", ["package", "verify"])
def test_desks_are_not_a_dependency_of_a_step(tmp_path: Path, reader: str) -> None:
    package = write_package(tmp_path)
    (step,) = [step for step in steps_for(package) if step.name == reader]
    data = package.root / "model_data"

    def dependencies() -> set[str]:
        return {name for name in see(step, str(package.root), StatCache()).dependencies if "model_data/" in name}

    before = dependencies()
    for name in (".downloads/record.json", ".downloads/desk/part", "w.part", "in/.downloads/mine"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("half")
    assert dependencies() - before == {
        "model_data/w.part",
        "model_data/in/",
        "model_data/in/.downloads/",
        "model_data/in/.downloads/mine",
    }
