"""What a prediction uses from outside is noted, in its interpreter and in those that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model_side.base.errors import StepError
from model_side.payload.inputs import inputs
from serving.rebuilt import Rebuilt
from serving.recipe import Recipe
from serving.sandbox.audit import Outside, outside, watched
from serving.sandbox.portable import copy_read_only, elsewhere, with_neighbours

SOURCE = """
import contextlib, os, shutil, socket, subprocess, sys
here = sys.argv[1]
open(f"{here}/early.txt").close()
os.environ.get("LACKED_EARLY")
open(f"{here}/model/MLmodel").close()
with contextlib.suppress(OSError):
    socket.getaddrinfo("no-such-host.invalid", 80)
with contextlib.suppress(OSError), socket.socket() as plain:
    plain.settimeout(0.1)
    plain.connect(("127.0.0.1", 1))
with contextlib.suppress(OSError):
    socket.gethostbyname("by-name.invalid")
with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
    plain.sendto(b"x", ("192.0.2.1", 9))
with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as plain:
    plain.connect(f"{here}/home/daemon.sock")
open(f"{here}/scratch/made.txt", "w").close()
for name in ("input.txt", "scratch/t.txt", "home/weights.bin", "work/notes.txt"):
    open(f"{here}/{name}").close()
with contextlib.suppress(OSError):
    open(f"{here}/home/none.cfg")
os.environ.get("LACKED"), "LACKED_TOO" in os.environ, os.getenv("NOWHERE"), os.environb.get(b"LACKED_AS_BYTES")
os.makedirs(f"{here}/scratch/tree/kept/deeper")
list(os.fwalk(f"{here}/scratch/tree"))
shutil.rmtree(f"{here}/scratch/tree")
os.close(os.open(f"{here}/home", os.O_RDONLY | os.O_DIRECTORY))
if len(sys.argv) == 2:
    subprocess.run([sys.executable, "-c", f"open({here!r} + '/work/of-child.txt').close()"], check=True)
"""


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Outside]:
    """Return a function that runs SOURCE as a prediction and tells what it used."""
    names = ("early.txt", "model/MLmodel", "input.txt", "scratch/t.txt", "home/weights.bin", "work/notes.txt")
    names += ("home/daemon.sock",)
    for name in (*names, "work/of-child.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x", encoding="utf-8")
    for name in ("kept", "deeper"):
        (tmp_path / "work" / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")

    def run() -> Outside:
        log, model = tmp_path / "log", tmp_path / "model"
        log.touch()
        since = log.stat().st_ctime
        subprocess.run(
            [sys.executable, "-c", SOURCE, str(tmp_path)], env=watched(dict(os.environ), log, model), check=True
        )
        recipe = Recipe("3.11", (), (), {}, {}, tmp_path)
        places, known = Rebuilt(Path(sys.prefix), recipe, {}).places(), [model, tmp_path / "input.txt"]
        return outside(log, places, known, since, {"LACKED", "LACKED_TOO", "LACKED_AS_BYTES", "LACKED_EARLY", "UNUSED"})

    return run


def test_files_hosts_programs_and_variables_are_noted_and_own_ones_are_not(
    used: Callable[[], Outside], tmp_path: Path
) -> None:
    assert used() == Outside(
        files=(str(tmp_path / "scratch" / "t.txt"), "notes.txt", "of-child.txt", "~/daemon.sock", "~/weights.bin"),
        network=("192.0.2.1", "by-name.invalid", "no-such-host.invalid"),
        programs=(Path(sys.executable).name,),
        variables=("LACKED", "LACKED_AS_BYTES", "LACKED_TOO"),
    )


def test_nothing_is_noted_when_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="utf-8")
    rebuilt = Rebuilt(tmp_path, Recipe("3.11", (), (), {}, {}, tmp_path), {})
    assert outside(tmp_path / "none", rebuilt.places(), [], 0.0) == Outside()


def test_inputs_are_the_local_paths_in_a_payload() -> None:
    payload = {
        "inputs": {
            "uri": ["file:///data/a%20b.h5ad", "c.txt", "https://example.org/d", "/", ".", "//[x"],
            "n": [1.5, None],
        }
    }
    assert list(inputs(payload)) == [Path("/data/a b.h5ad"), Path("c.txt"), Path("//[x")]


def test_copy_elsewhere_is_refused_with_advice_when_it_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").symlink_to("nowhere")
    (tmp_path / "place").mkdir()
    with pytest.raises(StepError, match=r"portable copy of the model: cannot be made.*TMPDIR"):
        copy_read_only(tmp_path / "model", tmp_path / "place")


def test_copy_elsewhere_is_read_only_and_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "model" / "artifacts").mkdir(parents=True)
    (tmp_path / "model" / "artifacts" / "w.bin").write_bytes(b"1")
    with elsewhere() as (place, empty):
        copy_read_only(tmp_path / "model", place)
        assert (place / "artifacts" / "w.bin").read_bytes() == b"1"
        assert not any(path.stat().st_mode & 0o222 for path in (place, *place.rglob("*")))
        assert list(empty.iterdir()) == []
        assert not place.is_relative_to(tmp_path)
    assert not place.parent.exists()
    assert (tmp_path / "model" / "artifacts" / "w.bin").stat().st_mode & 0o200


def test_neighbours_of_an_input_are_its_directory_and_where_its_links_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    store, run, home = (tmp_path / name for name in ("store", "run", "home"))
    for directory in (store, run, home):
        directory.mkdir()
    for name in ("a.bam", "a.bam.bai"):
        (store / name).touch()
        (run / name).symlink_to(store / name)
    (tmp_path / "elsewhere.fa").touch()
    (run / "genome.fa").symlink_to(tmp_path / "elsewhere.fa")
    assert set(with_neighbours(run / "a.bam")) == {
        run,
        run / "a.bam",
        store,
        store / "a.bam",
        store / "a.bam.bai",
        tmp_path / "elsewhere.fa",
    }
    assert set(with_neighbours(store)) == {store}  # a directory is all that it needs


@pytest.mark.parametrize("place", ["home", "work", "."])
def test_neighbours_are_only_files_of_its_name_when_an_input_lies_among_a_persons_other_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    directory = tmp_path / place
    for name in ("a.bam", "a.bai", "a.bam.bai", "ab.bam", "weights.bin"):
        (directory / name).touch()
    found = set(with_neighbours(directory / "a.bam"))
    assert found == {directory / name for name in ("a.bam", "a.bai", "a.bam.bai")}
