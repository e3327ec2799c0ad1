"""examples/transcriptformer, variant tf_tiny, through the ordinary chain, without the CUDA build of torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from .conftest import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.heavy, pytest.mark.xdist_group("transcriptformer")]

MODEL = "transcriptformer"
PREDICT = f"{REPOSITORY}/scripts/predict_func.py --model-uri mlflow_model_artifacts"


def cpu_wheels() -> str | None:
    """Return a directory with a CPU wheel of torch: of uv's find-links, else of pip's."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    places = [os.environ.get("UV_FIND_LINKS", ""), os.environ.get("PIP_FIND_LINKS", "")]
    if shutil.which("pip"):
        command[:3] = ["pip"]
        places.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    words = " ".join(places).replace(",", " ").split()
    return next((word for word in words if any(Path(word).glob("torch-*+cpu-*.whl"))), None)


class Chain:
    """The package of the example in a directory of the test's own."""

    def __init__(self, models: Path, settings: Mapping[str, str]) -> None:
        self.models, self.root = models, models / f"{MODEL}_mlflow_pkg"
        self.environment = {**os.environ, **settings}

    def invoke(self, verb: str) -> subprocess.CompletedProcess[str]:
        """Run a task on the package."""
        command = [sys.executable, "-m", "invoke", verb, "--model", MODEL, "--models-dir", str(self.models), "--json"]
        return subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, stdout=subprocess.PIPE, text=True, check=False
        )

    def ran(self, verb: str) -> list[str]:
        """Run a task, expect success, and return the names of the steps that ran, or were restored."""
        done = self.invoke(verb)
        assert done.returncode == 0
        return [
            step["step"]
            for step in json.loads(done.stdout)["models"][0]["steps"]
            if step["action"] in ("ran", "restored")
        ]

    def embeddings(self, **params: object) -> np.ndarray:
        """Predict the example in-process with these params."""
        payload = json.loads((self.root / "test_input_payload.json").read_text())
        payload["params"] = {**payload.get("params", {}), **params}
        path = self.root / "other_payload.json"
        path.write_text(json.dumps(payload))
        command = [
            ".venv/bin/python",
            *PREDICT.split(),
            "--json-payload-file",
            path.name,
            "--output-path",
            "other.json",
        ]
        subprocess.run(command, cwd=self.root, check=True)
        return answer(self.root / "other.json")


def answer(path: Path) -> np.ndarray:
    return np.array(json.loads(path.read_text())["predictions"], dtype="float32")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Return the chain, built to its end."""
    wheels = cpu_wheels()
    if wheels is None:
        pytest.skip("no CPU wheel of torch at hand: name a directory of wheels in UV_FIND_LINKS")
    models = tmp_path_factory.mktemp("models")
    chain = Chain(models, {"UV_FIND_LINKS": wheels})
    try:
        assert len(chain.ran("verify")) == 9
        yield chain
    finally:
        shutil.rmtree(models)  # 2 GB


def test_chain_ends_green_and_has_nothing_left_to_do(chain: Chain) -> None:
    verification = json.loads((chain.root / "verification.json").read_text())
    assert verification["ok"] is True
    assert answer(chain.root / "test_output.json").shape == (20, 64)
    assert chain.ran("verify") == []


def test_no_cuda_build_is_locked_or_installed(chain: Chain) -> None:
    lock = (chain.root / "requirements.txt").read_text()
    assert "torch==2.13.0+cpu" in lock
    assert "nvidia-cu" not in lock
    assert str(chain.environment["UV_FIND_LINKS"]) not in lock
    assert not [path.name for path in chain.root.glob(".venv/lib/*/site-packages/nvidia_c*")]


def test_settings_of_uv_make_requirements_and_environments_stale(chain: Chain) -> None:
    other = Chain(chain.models, {**chain.environment, "UV_TORCH_BACKEND": "cpu"})
    steps = json.loads(other.invoke("status").stdout)["models"][0]["steps"]
    why = {step["step"]: " ".join(step.get("reasons", [])) for step in steps}
    assert [name for name in ("compile-reqs", "sync-env", "serve-predict") if "UV_TORCH_BACKEND" in why[name]] == [
        "compile-reqs",
        "sync-env",
        "serve-predict",
    ]


def test_embeddings_do_not_depend_on_the_batch_size(chain: Chain) -> None:
    expected = answer(chain.root / "predict_output.json")
    assert np.array_equal(chain.embeddings(batch_size=7), expected)


def test_embeddings_of_genes_can_be_given_with_the_request(chain: Chain) -> None:
    expected = answer(chain.root / "predict_output.json")
    same = chain.embeddings(pretrained_embedding="artifact://checkpoint/vocabs/homo_sapiens_gene.h5")
    assert np.allclose(same, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_close_to_full(chain: Chain) -> None:
    difference = np.abs(chain.embeddings(precision="16-mixed") - answer(chain.root / "predict_output.json"))
    assert 0 < difference.max() < 0.01
