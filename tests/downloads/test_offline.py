"""--offline: no network, no name looked up, no command run; it says at once what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import generate_model_pkg_dir_structure as scaffold
import pytest

from .conftest import SCRIPT, Model, sha256
from .server import Hostile
from .test_records import FILES, fill_hub
from .test_verbs import invoke

WEIGHTS = b"weights" * 1000
PIN = sha256(WEIGHTS)
# Any of these is an attempt at the network, or at a command that may make one.
WATCHED = f"""
import runpy, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.posix_spawn"):
        print("REACHED OUT:", event, arguments, file=sys.stderr)
sys.path.insert(0, {str(SCRIPT.parent)!r})
sys.addaudithook(watch)
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""


def offline(model: Model, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run it with --offline, and see that it reaches out for nothing."""
    command = [sys.executable, "-c", WATCHED, "--package", str(model.root), "--offline", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "REACHED OUT" not in done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_everything_that_is_missing_is_named_at_once(model: Model, tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(WEIGHTS)
    pinned = f'sha256 = "{PIN}"'
    model.declare(
        f'uri = "https://host.invalid/w"\npath = "http"\n{pinned}',
        'uri = "hf://o/r/"\npath = "hub"\nmutable = true',
        f'uri = "s3://bucket/w"\npath = "s3"\n{pinned}',
        f'uri = "doi:10.5281/zenodo.1"\npath = "doi"\n{pinned}',
        f'package = "tiny==1"\nmember = "w"\npath = "wheel"\n{pinned}',
        'command = "touch model_data/made"\npath = "made"',
        f'uri = "{(tmp_path / "here").as_uri()}"\npath = "local"\n{pinned}',
    )
    done = offline(model)
    assert done.returncode == 1
    names = ", ".join(f"model_data/{name}" for name in ("http", "hub", "s3", "doi", "wheel", "made"))
    assert f"error: {names}: missing, and --offline" in done.stderr
    assert not (model.data / "made").exists()


@pytest.mark.parametrize("damage", [b"x", None], ids=["damaged", "gone"])
def test_cached_file_is_missing_when_it_is_not_sound(model: Model, hostile: Hostile, damage: bytes | None) -> None:
    model.declare(f'uri = "{hostile.put("/w", WEIGHTS)}"\npath = "w"\nsha256 = "{PIN}"')
    assert model.actions() == ["fetched"]
    (model.data / "w").unlink()
    (cached,) = model.cache.glob(f"objects/*/{PIN[2:]}")
    cached.unlink()
    if damage:
        cached.write_bytes(damage)
    done = offline(model)
    assert done.returncode == 1
    assert "model_data/w: missing, and --offline" in done.stderr
    assert len(hostile.asked) == 1
    assert model.files() == {}


def test_cached_directory_is_missing_when_a_file_of_it_is(model: Model, hub: Hostile) -> None:
    fill_hub(hub)
    model.declare('uri = "hf://owner/repo"\npath = "d"')
    assert model.command_line("--lock").returncode == 0
    shutil.rmtree(model.data)
    assert "from cache" in offline(model).stderr
    shutil.rmtree(model.data)
    member = sha256(FILES["config.json"])
    (model.cache / "objects" / member[:2] / member[2:]).unlink()
    done = offline(model)
    assert "model_data/d: missing, and --offline" in done.stderr
    assert model.files() == {}


def test_output_of_a_command_comes_from_the_cache(model: Model, hostile: Hostile) -> None:
    model.declare(f'uri = "{hostile.put("/w", WEIGHTS)}"\npath = "w"\nsha256 = "{PIN}"')
    assert model.actions() == ["fetched"]
    model.declare(f'command = "touch model_data/made"\npath = "made"\nsha256 = "{PIN}"')
    assert "model_data/made: from cache" in offline(model).stderr
    assert model.files()["made"] == WEIGHTS


def test_archive_is_missing_when_only_the_list_of_a_directory_has_its_digest(model: Model, tmp_path: Path) -> None:
    text = b""
    (model.cache / "lists").mkdir(parents=True)
    (model.cache / "lists" / sha256(text)).write_bytes(text)
    model.declare(f'uri = "https://host.invalid/w.zip"\npath = "d"\nunpack = true\nsha256 = "{sha256(text)}"')
    assert "model_data/d: missing, and --offline" in offline(model).stderr


def test_refreshing_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(WEIGHTS)
    model.declare(f'uri = "{(tmp_path / "w").as_uri()}"\npath = "w"\nmutable = true')
    assert offline(model).returncode == 0
    done = offline(model, "--refresh")
    assert done.returncode == 2
    assert "--refresh" in done.stderr


def test_environment_is_not_built_for_a_command(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert scaffold.main(["--model-name", "foo", "--target", str(tmp_path / "models")]) == 0
    root = tmp_path / "models" / "foo_mlflow_pkg"
    (root / "model_data.toml").write_text('[[source]]\ncommand = "touch model_data/made"\npath = "made"\n')
    for flags in (["--offline"], ["--offline", "--lock"]):
        done = invoke(root, "download-data", *flags)
        assert done.returncode == 1
        assert "model_data/made: missing, and --offline" in done.stderr
        assert "compile-reqs" not in done.stdout
    assert not (root / "requirements.txt").exists()
