"""A CUDA build that comes along on a machine without a GPU is told, with the line that helps."""

from __future__ import annotations

from pathlib import Path

import compile_requirements
import pytest

from environments.cuda import cuda_note, has_gpu
from model_side.base.errors import run_main
from tests.wheels import write_index, write_wheels

CUDA = {"torch": "2.15.0", "triton": "3.9.0", "nvidia-cublas": "13", "cuda-bindings": "13", "numpy": "2.3"}


def wheels(directory: Path, *names: str) -> Path:
    directory.mkdir()
    for name in names:
        (directory / name).touch()
    return directory


def test_nothing_is_told_when_no_cuda_library_is_pinned() -> None:
    pins = {"torch": "2.13.0+cpu", "numpy": "2.3", "tritonclient": "1", "cudatext": "1", "nvidia-ml-py": "13"}
    assert cuda_note(pins, "3.11", {}) == ""


def test_torch_backend_is_told_when_no_cpu_wheel_is_at_hand(tmp_path: Path) -> None:
    place = wheels(tmp_path / "w", "torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl", "torchx-1+cpu-cp311-cp311-any.whl")
    note = cuda_note(CUDA, "3.11", {"UV_FIND_LINKS": str(place)})
    assert "CUDA libraries are pinned (cuda-bindings, nvidia-cublas and 1 more), and this machine has no GPU" in note
    assert "torch==2.15.0 is a CUDA build. For the CPU build, set UV_TORCH_BACKEND=cpu" in note


@pytest.mark.parametrize("variable", ["UV_FIND_LINKS", "PIP_FIND_LINKS"])
@pytest.mark.parametrize("as_uri", [True, False])
def test_line_to_add_is_told_when_a_setting_names_a_cpu_wheel(tmp_path: Path, variable: str, as_uri: bool) -> None:
    names = [f"torch-{version}+cpu-cp311-cp311-manylinux_2_28_x86_64.whl" for version in ("2.9.1", "2.13.0", "2.10.0")]
    place = wheels(tmp_path / "w", *names)
    note = cuda_note(CUDA, "3.11.7", {variable: place.as_uri() if as_uri else str(place)})
    assert f"set UV_FIND_LINKS={place} and add the line torch==2.13.0+cpu to constraints.txt" in note


def test_what_brings_it_is_to_be_looked_up_when_it_is_not_torch() -> None:
    note = cuda_note({"xgboost": "3.1", "torch": "2.13.0+cpu", "nvidia-nccl-cu12": "2"}, "3.11", {})
    assert note.startswith("note: CUDA libraries are pinned (nvidia-nccl-cu12), and")
    assert "requirements.txt says of each, after `via`, what brings it" in note


@pytest.mark.parametrize("name", ["dev/nvidia0", "dev/dxg", "proc/driver/nvidia/version"])
def test_gpu_is_seen_by_its_device(tmp_path: Path, name: str) -> None:
    assert not has_gpu(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert has_gpu(tmp_path)


@pytest.mark.e2e
def test_constraint_takes_the_cpu_wheel_that_find_links_alone_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    index = write_index(tmp_path / "index", "0.1", name="mlflow-skinny")
    write_index(index, "13", name="nvidia-cublas")
    write_index(index, "2.15.0", name="torch", metadata="Requires-Dist: nvidia-cublas\n")
    place = write_wheels(tmp_path / "wheels", "2.13.0+cpu", name="torch")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(place))
    package = tmp_path / "package"
    package.mkdir()
    (package / "requirements.in").write_text("mlflow-skinny==0.1\ntorch\n")

    def compiled() -> str:
        assert run_main(lambda: compile_requirements.main(["--package", str(package)])) == 0
        return (package / "requirements.txt").read_text()

    assert "torch==2.15.0" in compiled()
    assert ("libraries are pinned (nvidia-cublas)" in capfd.readouterr().out) is not has_gpu()
    (package / "constraints.txt").write_text("torch==2.13.0+cpu\n")
    assert "nvidia" not in compiled()
    assert "torch==2.13.0+cpu" in (package / "requirements.txt").read_text()
    assert "CUDA" not in capfd.readouterr().out
