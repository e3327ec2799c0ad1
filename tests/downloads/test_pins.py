"""--lock writes what was seen into model_data.toml and leaves everything else as its author wrote it."""

from __future__ import annotations

from pathlib import Path

from .conftest import Model, sha256

BEFORE = """# the weights
[[source]]  # first
uri = "{uri}"   # where
path = "a"            # there

# about the second
[[source]]
sha256 = ""  # not yet
uri = "{uri}"
path = 'b'

[[source]]
uri = "{uri}"
path = "c"
mutable = true  # stays without
"""
AFTER = BEFORE.replace("# there\n", '# there\nsha256 = "{pin}"\n').replace('sha256 = ""', 'sha256 = "{pin}"')


def write(model: Model, tmp_path: Path) -> tuple[Path, str]:
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    declaration = model.root / "model_data.toml"
    declaration.write_text(BEFORE.format(uri=source.as_uri()))
    return declaration, AFTER.format(uri=source.as_uri(), pin=sha256(b"weights"))


def test_lock_fills_in_every_sha256_and_keeps_comments_and_layout(model: Model, tmp_path: Path) -> None:
    declaration, after = write(model, tmp_path)
    declaration.chmod(0o664)
    done = model.command_line("--lock")
    assert done.returncode == 0
    assert "sha256 of model_data/a filled in" in done.stderr
    assert declaration.read_text() == after
    assert declaration.stat().st_mode & 0o777 == 0o664
    assert sorted(path.name for path in model.root.iterdir()) == [".pipeline", "model_data", "model_data.toml"]
    (tmp_path / "source").unlink()
    assert model.actions() == ["present"] * 3


def test_lock_fills_in_from_the_record_when_all_is_there_already(model: Model, tmp_path: Path) -> None:
    declaration, after = write(model, tmp_path)
    assert model.command_line("--lock").returncode == 0
    write(model, tmp_path)
    assert model.command_line("--lock").returncode == 0
    assert declaration.read_text() == after


def test_lock_keeps_the_line_endings_and_a_link(model: Model, tmp_path: Path) -> None:
    declaration, after = write(model, tmp_path)
    elsewhere = tmp_path / "shared.toml"
    elsewhere.write_bytes(declaration.read_bytes().replace(b"\n", b"\r\n"))
    declaration.unlink()
    declaration.symlink_to(elsewhere)
    assert model.command_line("--lock").returncode == 0
    assert declaration.is_symlink()
    assert elsewhere.read_bytes() == after.encode().replace(b"\n", b"\r\n")


def test_lock_fills_in_the_others_when_one_source_fails(model: Model, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"weights")
    good, bad = (tmp_path / "good").as_uri(), (tmp_path / "bad").as_uri()
    model.declare(f'uri = "{bad}"\npath = "bad"', f'uri = "{good}"\npath = "good"')
    assert model.command_line("--lock").returncode == 1
    text = (model.root / "model_data.toml").read_text()
    assert text.count("sha256 = ") == 1
    assert sha256(b"weights") in text


def test_lock_changes_nothing_when_a_sha256_is_wrong(model: Model, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"weights")
    model.declare(f'uri = "{(tmp_path / "good").as_uri()}"\npath = "good"\nsha256 = "{"b" * 64}"')
    before = (model.root / "model_data.toml").read_bytes()
    assert model.command_line("--lock").returncode == 1
    assert (model.root / "model_data.toml").read_bytes() == before
