"""What a person sees of a build: on a terminal what runs now, below the lines; elsewhere lines alone."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chain import report
from chain.report import without_colour
from chain.screen import Screen
from engine.step import Step
from engine.walk import Action, Outcome, Pipeline
from tests.engine.workshop import REPOSITORY

from .cheap_package import make_packages

LIVE = {**os.environ, "TERM": "xterm-256color"}
LIVE.pop("NO_COLOR", None)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a models directory with three packages whose package step is stale and waits for the test."""
    for package in make_packages(tmp_path / "models", "one", "two", "three"):
        (package.root / "model_code" / f"{package.name}_mlflow_model.py").write_text("edited = 1\n")
        os.mkfifo(package.root / "waits.mlflow_packager.py")
    return tmp_path / "models"


def release(models: Path, name: str) -> None:
    """Let a package's step that waits go on."""
    fifo = models / f"{name}_mlflow_pkg" / "waits.mlflow_packager.py"
    fifo.read_text()  # it has begun
    fifo.write_text("go\n")


class Terminal:
    """`invoke` on a terminal of 80 columns, and all that it has written there."""

    def __init__(self, models: Path, *words: str, env: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "invoke", *words, "--models-dir", str(models)]
        environment = {**env, "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=slave, stderr=slave)
        os.close(slave)
        self.text = ""

    def until(self, is_seen: Callable[[str], bool]) -> None:
        """Read until something was seen, or the end."""
        while not is_seen(without_colour(self.text)):
            select.select([self._master], [], [])
            try:
                self.text += os.read(self._master, 65536).decode()
            except OSError:  # it has ended
                return

    def close(self) -> int:
        """Read to the end and return the exit code."""
        self.until(lambda text: False)
        os.close(self._master)
        return self.process.wait()


def test_terminal_shows_what_runs_and_keeps_one_line_per_step(models: Path) -> None:
    terminal = Terminal(models, "predict", "--model", "one", env=LIVE)
    terminal.until(lambda text: "waiting: payload, predict" in text)
    terminal.until(lambda text: "busy with it" in text and "1 of 2 MB" in text)
    assert "package        running" in without_colour(terminal.text)
    release(models, "one")
    assert terminal.close() == 0
    lines = without_colour(terminal.text).splitlines()
    for step in ("scaffold", "sync-env", "package", "payload", "predict"):
        assert sum(step in line and line.lstrip()[:1] in ("✓", "=") for line in lines) == 1
    assert lines[-1].startswith("one: ok: 3 ran, 4 up to date, ")


@pytest.mark.parametrize(
    ("words", "variables"),
    [([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}), (["--plain"], {})],
    ids=["NO_COLOR", "dumb", "--plain"],
)
def test_terminal_gets_plain_lines_when_asked_for(models: Path, words: list[str], variables: dict[str, str]) -> None:
    terminal = Terminal(models, "package", "--model", "one", *words, env={**LIVE, **variables})
    release(models, "one")
    assert terminal.close() == 0
    assert "\x1b" not in terminal.text
    assert "package        ran         model_code/one_mlflow_model.py" in terminal.text


def test_step_is_announced_in_plain_lines_when_it_takes_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Step("slow", "true", targets=["out"])
    pipeline = Pipeline(tmp_path, (step,), "foo")
    with Screen([pipeline], patience=0.0) as screen:
        before = threading.enumerate()
        screen.begin(tmp_path, step, tmp_path / "slow.log")
        for timer in set(threading.enumerate()) - set(before):
            timer.join()
        screen.tell(pipeline, Outcome("slow", Action.RAN, seconds=7.0))
    assert capsys.readouterr().out.splitlines() == ["slow           running", "slow           ran         7.0 s"]


def test_what_a_step_found_fits_the_terminal_with_paths_whole() -> None:
    path = f"models/{'long_' * 12}mlflow_pkg"
    outcome = Outcome(
        "scaffold", Action.RAN, told=f"1. {path}: write the methods of the class\nroute     cost\n\n  end"
    )
    lines = without_colour(report.line(outcome, columns=40)).splitlines()
    assert lines[1:] == [
        "  1.",
        f"     {path}:",
        "     write the methods of the class",
        "  route     cost",
        "",
        "    end",
    ]
    assert report.line(outcome).splitlines()[1] == f"  1. {path}: write the methods of the class"


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return what runs a command of tmux's on a server of the test's own."""
    if not shutil.which("tmux"):
        pytest.skip("needs tmux")
    socket = str(tmp_path / "tmux")

    def run(*words: str) -> str:
        command = ["tmux", "-f", "/dev/null", "-u", "-S", socket, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=LIVE).stdout

    yield run
    subprocess.run(["tmux", "-S", socket, "kill-server"], check=False, capture_output=True)


@pytest.mark.heavy
@pytest.mark.parametrize("columns", [80, 200])
def test_screen_in_tmux_with_three_models_at_once(models: Path, tmux: Callable[..., str], columns: int) -> None:
    flags = "--all --jobs 2 --models-dir"
    command = f"cd {REPOSITORY}; {sys.executable} -m invoke predict {flags} {models}; echo done $?; read wait"
    tmux("new-session", "-d", "-s", "s", "-x", str(columns), "-y", "40", command)

    def screen(is_seen: Callable[[str], bool]) -> str:
        while not is_seen(text := tmux("capture-pane", "-p", "-t", "s")):
            pass
        return text

    seen = screen(lambda text: text.count("running") == 2)
    print(seen)
    running = [line.split()[:3] for line in seen.splitlines() if "running" in line]
    assert [words[1:] for words in running] == [["package", "running"]] * 2
    assert seen.count("waiting: payload, predict") + seen.count("waiting: package, payload, predict") >= 2
    assert max(map(len, seen.splitlines())) <= columns
    for name in ("one", "two", "three"):
        threading.Thread(target=release, args=(models, name), daemon=True).start()
    end = screen(lambda text: "done 0" in text)
    print(end)
    lines = end.splitlines()
    assert sum("✓" in line for line in lines) == 9
    assert sum("=" in line for line in lines) == 12
    assert "running" not in end
    assert "waiting" not in end


def test_new_asks_what_a_first_model_is_and_flags_answer_too(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "invoke", "new", "--plain", "--requirements", "numpy, pandas"]
    command += ["--models-dir", str(tmp_path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    for line in ("my model", "numpy", "tiny", "text_to_tensr", "text_to_tensor", "no.bin", ""):  # some of them again
        os.write(master, f"{line}\n".encode())
    assert process.wait() == 0
    said = os.read(master, 65536).decode()
    for fault in ("letters, digits and underscores, got 'my model'", "library, or of an installed one", "no such file"):
        assert said.count(fault) == 1
    assert said.count("Did you mean 'text_to_tensor'?") == 1
    assert "Archetype, one of dataframe_to_dataframe, " in said
    assert "Requirements" not in said
    assert f"3. invoke verify --model tiny --models-dir {tmp_path}" in said
    root = tmp_path / "tiny_mlflow_pkg"
    assert (root / "requirements.in").read_text().splitlines()[-3:] == ["mlflow", "numpy", "pandas"]
    assert 'ARCHETYPE = "text_to_tensor"' in (root / "model_spec.py").read_text()


def test_new_asks_nothing_where_its_output_is_one_json_document(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "invoke", "new", "--name", "tiny", "--json", "--models-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, stdin=slave, capture_output=True, text=True, timeout=60, check=True)
    os.close(master), os.close(slave)
    assert json.loads(done.stdout)["models"][0]["model"] == "tiny"


def test_each_step_has_one_line_when_a_source_is_locked(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"weights")
    place = ["--models-dir", str(tmp_path / "models")]
    for words in (["new", "--name", "tiny", "--weights", f"file://{tmp_path}/w.bin"], ["download-data", "--lock"]):
        flags = [*place, *(["--model", "tiny"] * (words[0] != "new"))]
        command = [sys.executable, "-m", "invoke", *words, *flags]
        done = subprocess.run(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["scaffold", "download-data", "tiny:"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--name: no name: expected that of a new model"),
        (["--name", "my model"], "--name: not the name of a model"),
        (["--name", "one"], "it exists already. Give another name."),
        (["--name", "tiny", "--archetype", "text_to_tensr"], "Did you mean 'text_to_tensor'?"),
    ],
)
def test_new_is_refused_when_nobody_is_there_to_ask(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "one_mlflow_pkg").mkdir()
    command = [sys.executable, "-m", "invoke", "new", *words, "--models-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
