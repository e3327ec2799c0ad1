"""What `git switch` back to a branch that was verified before costs, against verifying one that is new."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import count
from pathlib import Path

from manual_way import INVOKE, LEFT_OUT, NAME, edit
from measuring import REPOSITORY, Figure, Run, alternate, ratio, run
from no_op import copy_tool

ROUNDS = 3
AUTHORS = ("requirements.in", "model_spec.py", "model_code", "model_data.toml")
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
TOLD = "told.json"


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory, on the bundled model; every round makes a branch of its own."""
    copy_tool(place)
    shutil.copytree(REPOSITORY / "examples", place / "examples")
    package = place / "models" / f"{NAME}_mlflow_pkg"
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment["MODEL_ENVIRONMENT_CACHE"] = str(place / "environments")
    numbers = count()

    def git(*words: str) -> None:
        subprocess.run([*GIT, *words], cwd=package, check=True, stdout=subprocess.DEVNULL)

    def verify(action: str) -> Run:
        taken = run(["/bin/sh", "-c", f"{INVOKE} verify --json > {TOLD}"], place, environment)
        (model,) = json.loads((place / TOLD).read_text(encoding="utf-8"))["models"]
        actions = {step["action"] for step in model["steps"]} - {"up-to-date"}
        if actions != {action} or (action == "restored" and model["predictions"]):
            raise SystemExit(f"expected {action} and nothing else, got {actions}, {model['predictions']} predictions")
        return taken

    def new() -> Run:
        git("switch", "--quiet", "--create", f"edit{next(numbers)}", "main")
        edit(package)
        git("commit", "--quiet", "--all", "--message", "edit")
        return verify("ran")

    def back() -> Run:
        git("switch", "--quiet", "main")
        return verify("restored")

    verify("ran")
    git("init", "--quiet", "--initial-branch", "main")
    git("add", *AUTHORS)
    git("commit", "--quiet", "--message", "first")
    runs = alternate({"new": new, "back": back}, min(rounds, ROUNDS))
    how = "every stale step restored, the model not asked; against a new branch with an edit of the model's code"
    times = [ratio(runs["back"], runs["new"], of) for of in ("seconds", "processor")]
    return [
        Figure("`invoke verify` after `git switch` back / of a new branch", times[0], "x", 0.08, how),
        Figure("the same in processor time", times[1], "x", None, "steadier"),
    ]
