"""download_data.py as a person runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .conftest import Model, sha256
from .server import Hostile

WEIGHTS = b"weights" * 1000
PIN = sha256(WEIGHTS)


def local(tmp_path: Path, content: bytes = WEIGHTS) -> str:
    path = tmp_path / "source.bin"
    path.write_bytes(content)
    return f'uri = "{path.as_uri()}"\npath = "w.bin"'


def test_download_brings_what_is_missing_and_is_silent_when_all_is_there(model: Model, hostile: Hostile) -> None:
    model.declare(f'uri = "{hostile.put("/w", WEIGHTS)}"\npath = "deep/w.bin"\nsha256 = "{PIN}"')
    done = model.command_line()
    assert (done.returncode, done.stdout) == (0, "")
    assert "model_data/deep/w.bin: fetched, 7.0 kB" in done.stderr
    assert model.files() == {"deep/w.bin": WEIGHTS}
    before = {path: path.stat().st_mtime_ns for path in model.root.rglob("*")}
    done = model.command_line()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in model.root.rglob("*")} == before
    assert len(hostile.asked) == 1


def test_download_does_nothing_when_nothing_is_declared(model: Model) -> None:
    done = model.command_line()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(model.root.iterdir()) == []


def test_wrong_bytes_are_kept_aside_and_both_hashes_shown(model: Model, tmp_path: Path) -> None:
    model.declare(f'{local(tmp_path)}\nsha256 = "{"a" * 64}"')
    done = model.command_line()
    assert done.returncode == 1
    assert f"expected {'a' * 64}, got {PIN}" in done.stderr
    assert (model.files(), model.desk()) == ({}, {"bad/w.bin": WEIGHTS})
    (bad,) = model.data.glob(".downloads/*/bad/w.bin")
    assert f"is kept as model_data/{bad.relative_to(model.data)}. If" in done.stderr


def test_download_stops_and_says_so_when_a_sha256_is_missing(model: Model, tmp_path: Path) -> None:
    model.declare(local(tmp_path))
    done = model.command_line()
    assert done.returncode == 2
    assert "no sha256 for model_data/w.bin" in done.stderr
    assert "--lock" in done.stderr
    assert not model.data.exists()


def test_mutable_source_is_fetched_again_when_refresh_is_asked(model: Model, tmp_path: Path) -> None:
    model.declare(f"{local(tmp_path)}\nmutable = true")
    assert model.command_line().returncode == 0
    local(tmp_path, b"newer")
    assert model.command_line().returncode == 0
    assert model.files() == {"w.bin": WEIGHTS}
    assert model.command_line("--refresh").returncode == 0
    assert model.files() == {"w.bin": b"newer"}


def test_json_has_one_entry_for_each_source(model: Model, tmp_path: Path) -> None:
    missing = (tmp_path / "none.bin").as_uri()
    model.declare(f'{local(tmp_path)}\nsha256 = "{PIN}"', f'uri = "{missing}"\npath = "b"\nsha256 = "{PIN}"')
    done = model.command_line("--json")
    document = json.loads(done.stdout)
    page = Path(__file__).parents[2] / "docs" / "reference.md"
    (shown,) = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    good, bad = document["sources"]
    assert (json.loads(shown).keys(), json.loads(shown)["sources"][0].keys()) == (document.keys(), bad.keys())
    assert (document["package"], document["ok"]) == (model.root.name, False)
    assert done.returncode == 1
    assert (good["paths"], good["action"], good["sha256"], good["bytes"]) == (["w.bin"], "fetched", PIN, 7000)
    assert good["error"] is None
    assert bad["action"] == "failed"
    assert "no such file" in bad["error"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_check_finds_the_byte_that_stat_does_not_show(model: Model, tmp_path: Path) -> None:
    model.declare(f'{local(tmp_path)}\nsha256 = "{PIN}"')
    assert model.command_line().returncode == 0
    assert model.command_line("--check").returncode == 0
    path, changed = model.data / "w.bin", b"W" + WEIGHTS[1:]
    path.write_bytes(changed)
    # A disk that decays changes no time: here the stat cache is told that what is there now is what was fetched.
    status, cache = path.stat(), model.root / ".pipeline" / "stat.json"
    document = json.loads(cache.read_text())
    key = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, f"sha256:{PIN}"]
    document["files"]["model_data/w.bin"] = key
    cache.write_text(json.dumps(document))
    assert model.command_line().returncode == 0
    done = model.command_line("--check")
    assert done.returncode == 1
    assert f"model_data/w.bin: altered since it was fetched: expected {PIN}, got {sha256(changed)}" in done.stderr
    assert model.files() == {"w.bin": changed}
    assert model.command_line().returncode == 0
    assert model.files() == {"w.bin": WEIGHTS}
    assert list(model.desk().values()) == [changed]


def test_check_says_what_is_missing(model: Model, tmp_path: Path) -> None:
    model.declare(f'{local(tmp_path)}\nsha256 = "{PIN}"')
    done = model.command_line("--check")
    assert done.returncode == 1
    assert "model_data/w.bin: missing. `invoke download-data --model" in done.stderr


def test_jobs_are_refused_when_they_are_no_number(model: Model) -> None:
    done = model.command_line("--jobs", "0")
    assert done.returncode == 2
    assert "expected a number from 1, got '0'" in done.stderr
