"""A small model of the tests' own, packaged with the real mlflow of the tool environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generate_model_pkg_dir_structure as scaffold
import pytest

from tests import warm_python

BODIES = {
    "load_context": 'self.scale = float(open(context.artifacts["checkpoint"] + "/scale.txt").read())',
    "_get_input": "return np.loadtxt(uri, ndmin=2)",
    "_forward": 'return (input_obj.sum(axis=1, keepdims=True) * self.scale * np.ones((1, 4))).astype("float32")',
}
FLAGS = ("--checkpoint", "model_data/tf_tiny", "--example-uri", "model_data/tiny.txt", "--output-shape", "[-1,4]")


@dataclass
class Author:
    """A package, and what its author does with it."""

    root: Path

    @property
    def model(self) -> Path:
        """The MLflow Model."""
        return self.root / "mlflow_model_artifacts"

    @property
    def code(self) -> Path:
        """The author's code."""
        return self.root / "model_code" / "tiny_mlflow_model.py"

    def write(self, **bodies: str) -> None:
        """Fill in methods; the template's text gives way to the body."""
        for name, body in bodies.items():
            self.replace(f'raise NotImplementedError("{name}")', body)

    def replace(self, old: str, new: str) -> None:
        """Replace a text in the model's code."""
        text = self.code.read_text()
        assert old in text
        self.code.write_text(text.replace(old, new))

    def declare(self, text: str) -> None:
        """Add lines to model_spec.py."""
        with (self.root / "model_spec.py").open("a") as stream:
            stream.write(f"{text}\n")

    def add(self, text: str) -> None:
        """Add a line or a method to the model's class, before load_context."""
        first = "    def load_context("
        self.replace(first, f"    {text}\n\n{first}")

    def package(self, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the packager, without the seconds that importing mlflow takes."""
        env = {**os.environ, **environment}
        done = warm_python.run(Path("mlflow_packager.py"), *flags, cwd=self.root, env=env)
        print(done.stderr)
        return done

    def package_by_hand(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Run the packager as by hand, in a new process."""
        command = [sys.executable, "mlflow_packager.py", *flags]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        print(done.stderr)
        return done

    def files(self) -> dict[str, bytes]:
        """Return the MLflow Model's files by name."""
        paths = (path for path in self.model.rglob("*") if path.is_file())
        return {path.relative_to(self.model).as_posix(): path.read_bytes() for path in paths}

    def golden(self) -> Any:
        """Return the MLflow Model's golden output."""
        return json.loads((self.model / "golden_output.json").read_text())["predictions"]


def new_package(base: Path, archetype: str = "file_uri_to_tensor") -> Author:
    """Return a new package in `base`: nothing is filled in but the data and the requirements."""
    assert scaffold.main(["--model-name", "tiny", "--target", str(base), "--model-archetype", archetype]) == 0
    author = Author(base / "tiny_mlflow_pkg")
    (author.root / "requirements.txt").write_text("mlflow==3.1.0\nnumpy==2.3.0\n")
    (author.root / "model_data" / "tf_tiny").mkdir()
    (author.root / "model_data" / "tf_tiny" / "scale.txt").write_text("0.5")
    (author.root / "model_data" / "tiny.txt").write_text("1 2 3\n4 5 6\n")
    return author


@pytest.fixture
def scaffolded(tmp_path: Path) -> Author:
    """Return a new package whose methods are still to be written."""
    return new_package(tmp_path)


@pytest.fixture
def author(scaffolded: Author) -> Author:
    """Return a package with its three methods filled in."""
    scaffolded.write(**BODIES)
    return scaffolded


@pytest.fixture(scope="session")
def good_model(tmp_path_factory: pytest.TempPathFactory) -> Author:
    """Return a package with a good MLflow Model; `packaged` is a copy to change."""
    author = new_package(tmp_path_factory.mktemp("good"))
    author.write(**BODIES)
    assert author.package_by_hand(*FLAGS).returncode == 0
    return author


@pytest.fixture
def packaged(good_model: Author, tmp_path: Path) -> Author:
    """Return a package of the test's own with a good MLflow Model in it."""
    copy = tmp_path / "copy" / good_model.root.name
    shutil.copytree(good_model.root, copy)
    return Author(copy)
