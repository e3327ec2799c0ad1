"""Completion in the shells themselves, and what is said where the tool cannot run."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from contextlib import suppress
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


@pytest.mark.parametrize("shell", [("bash", "--norc", "--noprofile"), ("zsh", "-f")], ids=["bash", "zsh"])
def test_shell_completes_what_is_typed_after_the_line_that_make_says(tmp_path: Path, shell: tuple[str, ...]) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"needs {shell[0]}")
    said = subprocess.run(["make", "completion"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    (line,) = (text.split(": ", 1)[1].strip() for text in said.splitlines() if text.strip().startswith(f"{shell[0]}:"))
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*shell, "-i"], cwd=REPOSITORY, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    beginning = b"\x01echo "  # Ctrl-A: to the beginning of the line, which is then said instead of run
    os.write(master, line.encode() + b"\ninvoke verify --model pb\t" + beginning + b"\nexit\n")
    text = b""
    with suppress(OSError):  # its end
        while part := os.read(master, 65536):
            text += part
    os.close(master)
    process.wait()
    assert "invoke verify --model pbmc_pca" in [each.strip() for each in text.decode().splitlines()], text.decode()


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
