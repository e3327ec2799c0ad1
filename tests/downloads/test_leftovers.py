"""What downloads leave beside their targets makes nothing stale and does not travel; it is told from an author's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain import packages
from chain.steps import steps_for
from downloads.place import beside, keep_as_bad, part_of
from engine.fingerprint import StatCache, see
from model_side.model import declared_data as model_side
from tests.chain.cheap_package import write_package


@dataclass
class Seen:
    """A package, and what its `package` step depends on."""

    package: packages.Package

    @property
    def data(self) -> Path:
        return self.package.root / "model_data"

    def dependencies(self) -> dict[str, str]:
        step = next(step for step in steps_for(self.package) if step.name == "package")
        return dict(see(step, str(self.package.root), StatCache()).dependencies)


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    package = write_package(tmp_path)
    sources = '[[source]]\nuri = "s3://b/w"\npath = "w.bin"\n[[source]]\ncommand = "x"\noutputs = ["in/a+b", "c"]\n'
    (package.root / "model_data.toml").write_text(sources)
    for name in ("w.bin", "in/a+b", "c", "mine.bin"):
        (package.root / "model_data" / name).parent.mkdir(exist_ok=True)
        (package.root / "model_data" / name).write_text(name)
    return Seen(package)


def left_by_downloads(data: Path) -> list[Path]:
    """Make everything that a download may leave beside a target, by the functions that name it."""
    part = part_of(data / "w.bin")
    made = [part, part.with_name(f"{part.name}.json"), part.with_name(f"{part.name}.json.part")]
    made += [beside(data / "in/a+b", what) for what in ("cached", "unpacked", "old", "command")]
    made += [part_of(data / "c") / "inside", data / ".sources.json.part"]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    for text in ("bad", "worse"):
        (data / "aside").write_text(text)
        made.append(keep_as_bad(data / "aside", data / "w.bin"))
    (data / "aside").mkdir()
    (data / "aside" / "member").write_text("bad")
    return [*made, keep_as_bad(data / "aside", data / "in/a+b")]


def test_leftovers_are_no_dependency(seen: Seen) -> None:
    before = seen.dependencies()
    assert "model_data/in/a+b" in before
    assert len(left_by_downloads(seen.data)) == 12
    assert seen.dependencies() == before


@pytest.mark.parametrize(
    "name",
    ["mine.bin.bad", "w.bin.part.txt", "w.bin.part1", "w.bin.x.bad", "aab.bad", "other.part", "in/w.bin.bad", "x"],
)
def test_authors_file_is_a_dependency_when_its_name_is_like_a_leftover(seen: Seen, name: str) -> None:
    (seen.data / name).write_text("mine")
    assert f"model_data/{name}" in seen.dependencies()
    assert model_side.leftovers(seen.package.root) == frozenset()


def test_packager_finds_the_same_leftovers_as_the_pipeline_leaves_out(seen: Seen) -> None:
    made = left_by_downloads(seen.data)
    found = model_side.leftovers(seen.package.root)
    assert found == {path for path in made if path.name not in ("inside", ".sources.json.part")} | {
        seen.data / "c.part"
    }
    assert model_side.LEFTOVER == packages.LEFTOVER
    top = os.path.commonpath([seen.data / "in", seen.data / "in/a+b"])
    assert {path.parent.name for path in model_side.within([Path(top)], found)} == {"in"}
