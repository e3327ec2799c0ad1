"""A model of the tests' own: a table of numbers in, 2048 numbers per row out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
NAME = "transcriptformer"
BODIES = {
    "load_context": 'self.scale = np.float32(np.loadtxt(context.artifacts["checkpoint"] + "/scale.txt"))',
    "_get_input": "return np.loadtxt(uri, ndmin=2)",
    "_forward": 'return (input_obj.mean(axis=1, keepdims=True) * self.scale * np.ones((1, 2048))).astype("float32")',
}


@dataclass
class Package:
    """A package whose three methods are filled in."""

    root: Path

    @property
    def code(self) -> Path:
        """The author's code."""
        return self.root / "model_code" / f"{NAME}_mlflow_model.py"

    def fill_in(self) -> None:
        """Do what an author does: the three methods, the requirements, the data."""
        text = self.code.read_text()
        for name, body in BODIES.items():
            text = text.replace(f'raise NotImplementedError("{name}")', body)
        self.code.write_text(text)
        (self.root / "requirements.in").write_text("numpy\nmlflow\n")
        (self.root / "model_data" / "tf_sapiens").mkdir()
        (self.root / "model_data" / "tf_sapiens" / "scale.txt").write_text("0.5\n")
        (self.root / "tiny.h5ad").write_text("1 2 3\n4 5 6\n")

    def by_hand(self, command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command line as a person types it, in the package's directory, with its environment activated."""
        # As in a shell of the author's: the model environment first, then uv and the system.
        path = [self.root / ".venv" / "bin", REPOSITORY / ".venv" / "bin", *os.environ["PATH"].split(os.pathsep)]
        environment = {**os.environ, "PATH": os.pathsep.join(map(str, path)), "VIRTUAL_ENV": str(self.root / ".venv")}
        done = subprocess.run(
            command, shell=True, cwd=self.root, env=environment, capture_output=True, text=True, check=False, **options
        )
        print(done.stderr)
        assert done.returncode == 0, command
        return done

    def invoke(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a task on this package."""
        command = [sys.executable, "-m", "invoke", *words, "--model", NAME, "--models-dir", str(self.root.parent)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        print(done.stdout, done.stderr)
        return done

    def steps(self, *words: str) -> dict[str, dict[str, Any]]:
        """Run a task with --json and return its steps by name."""
        done = self.invoke(*words, "--json")
        assert done.returncode == 0
        document = json.loads(done.stdout)
        (model,) = document["models"]
        assert model["model"] == NAME
        assert document["ok"] is True
        return {step["step"]: step for step in model["steps"]}

    def ran(self, *words: str) -> list[str]:
        """Run a task and return the names of the steps that ran, or were restored."""
        return [name for name, step in self.steps(*words).items() if step["action"] in ("ran", "restored")]


def new_package(base: Path) -> Package:
    """Return a package in `base`, made and filled in."""
    script = "scripts/generate_model_pkg_dir_structure.py"
    words = ["--model-name", NAME, "--target", str(base)]
    words += ["--pkg-template", "mlflow_template", "--model-archetype", "file_uri_to_tensor"]
    subprocess.run([sys.executable, script, *words], cwd=REPOSITORY, check=True)
    package = Package(base / f"{NAME}_mlflow_pkg")
    package.fill_in()
    return package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return a package that the tests of a module build on, one after the other."""
    return new_package(tmp_path_factory.mktemp("models"))
