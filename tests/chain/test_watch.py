"""`invoke watch` on packages of the real chain that were built cheaply: an edit while something runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.workshop import REPOSITORY

from .cheap_package import make_packages

CODE = "model_code/cheap_mlflow_model.py"
RUNS = ["try_model.py", "mlflow_packager.py", "predict_func.py"]


class Watch:
    """A running `invoke watch`, and the package that it follows."""

    def __init__(self, models: Path) -> None:
        (package,) = make_packages(models, "cheap")
        self.root = package.root
        words = [sys.executable, "-m", "invoke", "watch", "--model", "cheap", "--models-dir", str(models)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(words, cwd=REPOSITORY, text=True, **streams)
        self.until("watching")

    def until(self, start: str) -> list[str]:
        """Return the lines that come, up to one that starts so."""
        lines: list[str] = []
        for line in self.process.stdout or ():
            lines.append(line.rstrip())
            if line.startswith(start):
                return lines
        pytest.fail(f"it ended without {start!r}: {lines}")

    def edit(self, text: str, name: str = CODE) -> None:
        """Save a file as editors do: whole, in the place of the old one."""
        (self.root / "saved").write_text(text)
        (self.root / "saved").replace(self.root / name)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Return a watch that has found its package up to date; it ends by Ctrl-C, and says nothing more."""
    watch = Watch(tmp_path / "models")
    try:
        yield watch
    finally:
        watch.process.send_signal(signal.SIGINT)
        said, _ = watch.process.communicate(timeout=60)
    assert (watch.process.returncode, "Traceback" in said) == (130, False)


@pytest.mark.parametrize("script", RUNS)
def test_edit_ends_what_runs_on_the_old_one_and_the_new_one_is_built(watch: Watch, script: str) -> None:
    fifo = watch.root / f"waits.{script}"
    os.mkfifo(fifo)
    watch.edit("class CheapMLflowModel: old = 1\n")
    pid = int(fifo.read_text())
    watch.edit("class CheapMLflowModel: new = 1\n")
    assert int(fifo.read_text()) != pid
    assert not Path(f"/proc/{pid}").exists()
    fifo.write_text("go on\n")
    said = watch.until("watching")
    assert not [line for line in said if "failed" in line or "error" in line or "stays as it is" in line]
    assert said.count(f"{CODE} changed") == 2
    step = {"mlflow_packager.py": "package", "predict_func.py": "predict"}.get(script)
    assert [line.split()[0] for line in said if line.endswith("superseded")] == [step] * bool(step)
    assert "new = 1" in (watch.root / "predict_output.json").read_text()


@pytest.mark.parametrize(("name", "text"), [("requirements.in", ""), ("test_input_payload.json", "mine\n")])
def test_edit_of_nothing_that_was_read_ends_nothing(watch: Watch, name: str, text: str) -> None:
    fifo = watch.root / "waits.mlflow_packager.py"
    os.mkfifo(fifo)
    watch.edit("class CheapMLflowModel: old = 1\n")
    pid = int(fifo.read_text())
    watch.edit(text or (watch.root / name).read_text(), name)
    fifo.write_text("go on\n")
    said = watch.until("watching")
    assert not Path(f"/proc/{pid}").exists()
    assert [line.split()[0] for line in said if "  ran  " in line] == ["package", "payload", "predict"]
    assert not [line for line in said if line.endswith("superseded")]
    assert text in (watch.root / "predict_output.json").read_text()


def test_file_that_is_saved_as_it_was_while_a_step_reads_it_is_built_again(watch: Watch) -> None:
    fifo = watch.root / "waits.mlflow_packager.py"
    os.mkfifo(fifo)
    watch.edit("class CheapMLflowModel: old = 1\n")
    fifo.read_text()
    watch.edit("class CheapMLflowModel: old = 1\n")
    fifo.write_text("go on\n")
    fifo.read_text()
    fifo.write_text("go on\n")
    said = watch.until("watching")
    assert [line.split()[0] for line in said if "  ran  " in line] == ["package", "payload", "predict"]
