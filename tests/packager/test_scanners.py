"""Scanners that receivers run before they load anything find nothing in a package, and do not fail on it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from environments.uv import uv_executable

from .conftest import FLAGS, Author

# The scanner, what is installed beside it, and what it exits with: nothing found, and 3 for nothing to scan.
SCANNERS = [
    (("modelscan==0.8.8", "setuptools", "numpy==2.4.6"), "modelscan", {"pickle": 0, "code": 3}),
    (("modelscan==0.8.8", "setuptools", "numpy==2.2.6"), "modelscan", {"pickle": 0, "code": 3}),
    (("picklescan==1.0.5",), "picklescan", {"pickle": 0, "code": 0}),
    (("picklescan==0.0.30",), "picklescan", {"pickle": 0, "code": 0}),
]


@pytest.fixture(scope="module")
def models(good_model: Author, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return a package with a pickled model, and one whose model is made by its code."""
    made = tmp_path_factory.mktemp("code") / "model"
    done = good_model.package_by_hand(*FLAGS, "--serialization", "code", "--out-dir", str(made))
    assert done.returncode == 0
    return {"pickle": good_model.model, "code": made}


@pytest.mark.heavy
@pytest.mark.parametrize(("distributions", "program", "codes"), SCANNERS)
def test_scanner_passes_a_package(
    models: Mapping[str, Path], tmp_path: Path, distributions: tuple[str, ...], program: str, codes: Mapping[str, int]
) -> None:
    uv = uv_executable()
    subprocess.run([uv, "venv", "--quiet", "--no-project", str(tmp_path / "venv")], check=True)
    python = ["--quiet", "--python", str(tmp_path / "venv" / "bin" / "python")]
    subprocess.run([uv, "pip", "install", *python, *distributions], check=True)
    for name, model in models.items():
        command = [str(tmp_path / "venv" / "bin" / program), "-p", str(model)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == codes[name], done.stdout + done.stderr
