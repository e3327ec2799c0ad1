"""Changes of an author's files are told as they happen; what nobody asked for is not."""

from __future__ import annotations

from pathlib import Path

from chain.watch import Changes


def test_change_is_told_when_a_file_or_what_a_directory_holds_changes(tmp_path: Path) -> None:
    (tmp_path / "code" / "deep").mkdir(parents=True)
    (tmp_path / "rows").mkdir()
    with Changes(tmp_path, ("code", "spec.py")) as changes:
        (tmp_path / "other.py").write_text("")
        (tmp_path / "code" / "__pycache__").mkdir()
        (tmp_path / "code" / "deep" / "new.py").write_text("1")
        assert changes.wait() == {"code/deep/new.py"}
        (tmp_path / ".spec.py.part").write_text("1")
        (tmp_path / ".spec.py.part").rename(tmp_path / "spec.py")
        assert changes.wait() == {"spec.py"}
        (tmp_path / "code" / "deep" / "new.py").unlink()
        assert changes.wait() == {"code/deep/new.py"}
        changes.follow({"rows", "table.csv"})
        for name in ("rows/a.csv", "table.csv"):
            (tmp_path / name).write_text("1")
            assert changes.wait() == {name}


def test_change_is_told_when_a_directory_came_later_or_was_replaced(tmp_path: Path) -> None:
    with Changes(tmp_path, ("code",)) as changes:
        for number in range(2):
            (tmp_path / "new").mkdir()
            (tmp_path / "new").rename(tmp_path / "code")
            assert changes.wait() == {"code"}
            (tmp_path / "code" / "a.py").write_text(str(number))
            assert changes.wait() == {"code/a.py"}
            (tmp_path / "code").rename(tmp_path / f"old{number}")
            assert "code" in changes.wait()
