"""Completion in the shells themselves, and what is said where the tool cannot run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.workshop import REPOSITORY

BASH = """
eval "$(invoke --print-completion-script bash)"
COMP_WORDS=({line} "{word}"); _complete_invoke invoke "{word}" "" ; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
eval "$(invoke --print-completion-script zsh)"
words=({line} "{word}"); _complete_invoke; print -l -- ${{(M)reply:#{word}*}}
"""


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH)])
@pytest.mark.parametrize(
    ("line", "word", "candidates"),
    [
        ("invoke", "serve", {"serve", "serve-predict"}),
        ("invoke verify", "--force-", {"--force-step"}),
        ("invoke verify --models-dir {models} --model", "fo", {"foo", "fox"}),
        ("invoke verify --models-dir {models} --model", "", {"foo", "fox", "pbmc_pca", "transcriptformer"}),
        ("invoke verify --force-step", "p", {"package", "payload", "predict"}),
        ("invoke explain --step", "ver", {"verify"}),
        ("invoke scaffold --archetype", "text", {"text_to_tensor"}),
        ("invoke predict --model foo", "verif", {"verify"}),
    ],
)
def test_shell_completes(tmp_path: Path, shell: str, script: str, line: str, word: str, candidates: set[str]) -> None:
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    for name in ("foo", "fox"):
        (tmp_path / f"{name}_mlflow_pkg").mkdir()
    text = script.format(line=line.format(models=tmp_path), word=word)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [shell, "-c", text], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert candidates <= set(done.stdout.split()), done.stderr
    assert all(each.startswith(word) for each in done.stdout.split())


def test_make_says_how_a_shell_completes() -> None:
    done = subprocess.run(["make", "completion"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for shell in ("bash", "zsh"):
        assert f"{shell}:" in done.stdout
        assert f'eval "$(invoke --print-completion-script {shell})"' in done.stdout


def test_make_passes_a_name_on_as_it_is_given() -> None:
    command = ["make", "--dry-run", "scaffold", "MODEL=my model", "MODELS_DIR=a dir"]
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "ARGS")}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].endswith('invoke scaffold --model "my model" --models-dir "a dir" ')


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_invoke_says_at_once_that_it_needs_linux(platform: str) -> None:
    code = f"import sys; sys.platform = {platform!r}; import runpy; runpy.run_path('tasks.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {platform}: not supported: expected Linux: ")
    assert "WSL 2" in done.stderr


def test_make_says_at_once_that_it_needs_linux(tmp_path: Path) -> None:
    (tmp_path / "uname").write_text("#!/bin/sh\necho Darwin\n")
    (tmp_path / "uname").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["make", "verify"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not supported here: this needs Linux" in done.stderr
