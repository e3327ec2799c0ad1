"""The libraries that only some sources need: which are missing is said, and how to install one so that it stays."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from environments.uv import uv_executable

from .conftest import Model, sha256
from .test_sources import build_wheel

REPOSITORY = Path(__file__).parents[2]
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
ADDRESSES = {"s3": "s3://bucket/key", "gcs": "gs://bucket/key", "zstd": "file:///{}/w.tar.zst"}
ZSTD = b"\x28\xb5\x2f\xfd" + bytes(100)


def without(library: str, model: Model, directory: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    """Download where a library is not installed, and return what is said."""
    (directory / f"{library}.py").write_text("raise ImportError")
    (directory / "w.tar.zst").write_bytes(ZSTD)
    monkeypatch.setenv("PYTHONPATH", str(directory))
    model.declare(f'uri = "{uri.format(directory)}"\npath = "w"\nunpack = true\nsha256 = "{sha256(ZSTD)}"')
    done = model.command_line()
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize("extra", ADDRESSES)
def test_extra_is_named_when_its_library_is_missing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    (library,) = (re.split("[>=]", requirement)[0] for requirement in EXTRAS[extra])
    said = without(library, model, tmp_path, monkeypatch, ADDRESSES[extra])
    assert re.search(rf"needs {library}, which is not installed\. .*`make setup EXTRA={extra}`", said)


def test_library_is_named_when_no_extra_has_it(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = without("adlfs", model, tmp_path, monkeypatch, "az://container/key")
    assert "needs adlfs, which is not installed" in said
    assert "`uv pip install`" in said


def make_setup(directory: Path, *arguments: str) -> list[str]:
    """Run `make setup`, and return what is installed now."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "setup", f"PYTHON={sys.executable}", *arguments]
    subprocess.run(command, cwd=directory, env=environment, check=True)
    return [path.name for path in directory.glob(".venv/lib/python*/site-packages/tiny_*") if path.suffix == ""]


@pytest.mark.e2e
def test_setup_installs_an_extra_and_keeps_it_whatever_the_directory_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_wheel(tmp_path / "wheels")
    clone = tmp_path / "a clone #1 100%"
    (clone / "bin").mkdir(parents=True)
    (clone / "bin" / "uv").symlink_to(uv_executable())
    monkeypatch.setenv("PATH", f"{clone / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    shutil.copy(REPOSITORY / "Makefile", clone)
    project = clone / "pyproject.toml"
    project.write_text(
        f'[project]\nname = "tool"\nversion = "1"\nrequires-python = ">={sys.version_info[0]}.{sys.version_info[1]}"\n'
        '[project.optional-dependencies]\nweights = ["tiny-weights"]\nnone = []\n[tool.uv]\npackage = false\n'
    )
    subprocess.run([uv_executable(), "lock", "--quiet", "--python", sys.executable], cwd=clone, check=True)
    assert make_setup(clone) == []
    assert make_setup(clone, "EXTRA=weights none") == ["tiny_weights"]
    os.utime(project, (4e9, 4e9))  # newer than the environment
    assert make_setup(clone) == ["tiny_weights"]
    for place in ("a clone #1 100%", "moved #2"):
        clone = clone.rename(tmp_path / place)
        expected = ["/", f"{clone}/.venv", f"{clone}/.venv"]
        assert {shell: activated(shell, clone) for shell in SHELLS} == dict.fromkeys(SHELLS, expected)


SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh", "ksh", "busybox ash") if shutil.which(shell.split()[0])]


def activated(shell: str, clone: Path) -> list[str]:
    """Activate the environment of a clone in it, and from a subshell elsewhere; return where each shell says it is."""
    words = 'set -eu; . .venv/bin/activate; cd /; pwd; dirname "$(dirname "$(command -v python)")"; deactivate\n'
    words += f'(. "{clone}/.venv/bin/activate"; echo "$VIRTUAL_ENV")'
    command = [*shell.split(), "-c", words]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.splitlines()
