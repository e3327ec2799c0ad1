"""The chain against the commands of the manual way, typed by hand, on the bundled model.

The model environment is there, and uv's cache is warm, for both. The chain rebuilds the environment that a receiver
gets, as MLflow does by hand; it finds the bytecode that sync-env has kept for that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import REPOSITORY, Figure, Run, alternate, ratio, run
from no_op import copy_tool

NAME, ROUNDS = "pbmc_pca", 5
INVOKE = str(Path(sys.executable).with_name("invoke"))
LEFT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
MODEL = "--model-uri mlflow_model_artifacts"
PACKAGER = "python mlflow_packager.py"
PREDICT = f"python ../../scripts/predict_func.py {MODEL} --json-payload-file payload.json --output-path predicted.json"
BY_HAND = (
    "uv pip compile --quiet requirements.in -o compiled.txt",
    PACKAGER,
    f"python ../../scripts/generate_mlflow_test_payload.py {MODEL} --json-payload-filepath payload.json",
    PREDICT,
    f"mlflow models predict {MODEL} --content-type json --input-path payload.json --output-path test_output.json "
    "--env-manager uv",
)
# The chain up to serve-predict, which asks no server: what the commands by hand do.
SAME_WORK = """
import sys; sys.path.insert(0, "scripts")
from dataclasses import replace
from pathlib import Path
from chain.packages import Package
from chain.steps import pipeline_for
from engine.runner import Builder
from engine.walk import Pipeline

chain = pipeline_for(Package("pbmc_pca", Path("models").resolve()))
steps = []
for step in chain.steps:
    if step.name == "serve-predict":
        words = step.runs.words[: step.runs.words.index("--rest-output")]
        step = replace(step, command=step.runs._replace(words=words), targets=step.targets[:1])
    steps += [step] * (step.name != "verify")
raise SystemExit(Builder(jobs=2).build_all([Pipeline(chain.root, tuple(steps), chain.name)])[0].exit_code)
"""


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory."""
    copy_tool(place)
    shutil.copytree(REPOSITORY / "examples", place / "examples")
    package, hand = place / "models" / f"{NAME}_mlflow_pkg", place / "models" / "by_hand"
    # The machine's own settings, for the package index; bytecode is written.
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment["MODEL_ENVIRONMENT_CACHE"] = str(place / "environments")
    run([INVOKE, "verify"], place, environment)
    shutil.copytree(package, hand, ignore=shutil.ignore_patterns(".venv", "mlflow_model_artifacts"))
    (hand / ".venv").symlink_to(package / ".venv")
    activated = {**environment, "VIRTUAL_ENV": str(hand / ".venv")}
    activated["PATH"] = os.pathsep.join([str(hand / ".venv" / "bin"), str(Path(INVOKE).parent), environment["PATH"]])

    def by_hand(*commands: str) -> Run:
        return run(["/bin/sh", "-c", " && ".join(commands)], hand, activated)

    def cold(*command: str) -> Run:
        run([INVOKE, "clean"], place, environment)
        (package / "requirements.txt").unlink()
        shutil.rmtree(place / "environments")
        return run(command, place, environment)

    def edited() -> Run:
        edit(package)
        return run([INVOKE, "predict"], place, environment)

    ways = {
        "by hand": lambda: by_hand(*BY_HAND),
        "same work": lambda: cold(sys.executable, "-c", SAME_WORK),
        "verify": lambda: cold(INVOKE, "verify"),
        "by hand after an edit": lambda: by_hand(PACKAGER, PREDICT),
        "predict": edited,
        "watch": lambda: watched(package, place, environment),
    }
    return figures(alternate(ways, min(rounds, ROUNDS)))


def watched(package: Path, place: Path, environment: dict[str, str]) -> Run:
    """Return how long `invoke watch` takes from an edit to the new prediction."""
    pipe = subprocess.PIPE
    with subprocess.Popen([INVOKE, "watch"], cwd=place, env=environment, text=True, stdout=pipe) as process:
        try:
            lines = iter(process.stdout or ())
            for _ in range(2):  # the first edit finds the machine busy with the build before it
                until(lines, "watching ")
                started = time.perf_counter()
                edit(package)
                until(lines, "output ")
                seconds = time.perf_counter() - started
            return Run(seconds)
        finally:
            process.terminate()


def until(lines: Iterator[str], start: str) -> None:
    """Read up to a line that starts so."""
    if not any(line.startswith(start) for line in lines):
        raise SystemExit(f"invoke watch ended without {start!r}")


def edit(package: Path) -> None:
    """Edit the model's code, as an author does who has not finished."""
    with (package / "model_code" / f"{NAME}_mlflow_model.py").open("a", encoding="utf-8") as stream:
        stream.write(f"# {time.time()}\n")


def figures(runs: dict[str, list[Run]]) -> list[Figure]:
    """Return the figures."""
    full, edited = runs["by hand"], runs["by hand after an edit"]
    commands = (
        "compile, packager, payload, predict_func, `mlflow models predict --env-manager uv`, one after the other; "
        "uv's cache and the model environment are there, the rebuilt one is not"
    )
    again = "to the new in-process prediction, against packager and predict_func by hand"
    return [
        Figure("cold chain without REST and verify / by hand", ratio(runs["same work"], full), "x", 0.5, commands),
        Figure("cold `invoke verify`, with REST / by hand", ratio(runs["verify"], full), "x", 0.8, commands),
        Figure("`invoke predict` after an edit / by hand", ratio(runs["predict"], edited), "x", 0.5, again),
        Figure("`invoke watch` after an edit / by hand", ratio(runs["watch"], edited), "x", 0.1, again),
        Figure("for scale: by hand", sorted(each.seconds for each in full)[len(full) // 2], "s", None, "of this run"),
    ]
