"""Measure what packaging 2 GB costs beside MLflow's own `save_model` of the same model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from measuring import REPOSITORY, Figure, Run, alternate, ratio, run, settled, write_noise

BIG_BYTES = 2_000_000_000
MODEL = '''"""A model whose weights are mapped, not read."""

import mlflow.pyfunc
import numpy as np


class Big(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.weights = np.memmap(context.artifacts["checkpoint"], "uint8", "r")

    def predict(self, context, model_input, params=None):
        return (model_input * len(self.weights)).astype("float32")
'''
SPEC = """import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

TENSOR = Schema([TensorSpec(np.dtype("float32"), (-1, 3))])
MODEL_CLASS = "model_code.big_mlflow_model:Big"
MODEL_SIGNATURE = ModelSignature(TENSOR, TENSOR)
INPUT_EXAMPLE = np.ones((2, 3), "float32")
ARTIFACTS = {"checkpoint": "model_data/big.bin"}
"""
# As one would write it: the same class, signature, example, requirements and code.
PLAIN = """import mlflow.pyfunc
import model_spec
from model_code.big_mlflow_model import Big

mlflow.pyfunc.save_model(
    "plain",
    python_model=Big(),
    artifacts=model_spec.ARTIFACTS,
    code_paths=["model_code"],
    signature=model_spec.MODEL_SIGNATURE,
    input_example=model_spec.INPUT_EXAMPLE,
    pip_requirements="requirements.txt",
)
"""
COMMANDS = {
    "packager": ["mlflow_packager.py", "--out-dir", "packager"],
    "plain": ["plain.py"],
    "linked": ["mlflow_packager.py", "--out-dir", "linked", "--link-artifacts"],
}


def measure(place: Path, rounds: int) -> list[Figure]:
    """Return the figures; `place` must be on a file system with space for three times the artifact."""
    package = make_package(place)
    ways = {name: partial(save, package, words) for name, words in COMMANDS.items()}
    runs = alternate(ways, min(rounds, 5))
    packager, plain, linked = runs.values()
    copies = {name: max(each.written for each in saves) / BIG_BYTES for name, saves in runs.items()}
    how = f"2 GB, {'shared' if copies['packager'] < 0.5 else 'copied'}; hashed, loaded and proven, too"
    steady = ratio(packager, plain, "processor")
    return [
        Figure("packaging / `mlflow.pyfunc.save_model`", ratio(packager, plain), "x", 1.05, how),
        Figure("the same in processor time", steady, "x", None, "steadier"),
        Figure("bytes that packaging writes / the artifact's", copies["packager"], "x", 1.01, "the most in any round"),
        Figure("the same of `save_model`", copies["plain"], "x", None, "the same model"),
        Figure("the time with LINK_ARTIFACTS", ratio(linked, plain), "x", None, "hard links"),
        Figure("the bytes with LINK_ARTIFACTS", copies["linked"], "x", 0.01, "hard links"),
    ]


def make_package(place: Path) -> Path:
    """Scaffold a package, and write what its author would."""
    scaffold = [sys.executable, str(REPOSITORY / "scripts" / "generate_model_pkg_dir_structure.py")]
    words = ["--model-name", "big", "--target", str(place)]
    subprocess.run([*scaffold, *words], check=True, stdout=subprocess.DEVNULL)
    package = place / "big_mlflow_pkg"
    for name, text in (
        ("model_code/big_mlflow_model.py", MODEL),
        ("model_spec.py", SPEC),
        ("plain.py", PLAIN),
        ("requirements.txt", "mlflow==3.17.2\n"),
    ):
        (package / name).write_text(text, encoding="utf-8")
    write_noise(package / "model_data" / "big.bin", BIG_BYTES)
    return package


def save(package: Path, words: Sequence[str]) -> Run:
    """Save once: the artifact in memory, nothing waiting to be written, no older model there."""
    for name in COMMANDS:
        shutil.rmtree(package / name, ignore_errors=True)
    run(["cat", "model_data/big.bin"], package)
    return settled([sys.executable, *words], package)
