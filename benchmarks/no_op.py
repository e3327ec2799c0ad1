"""What it costs to find out that there is nothing to do.

A copy of the tool is measured, on packages of the real chain whose programs a shell script stands in for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from measuring import ENVIRONMENT, REPOSITORY, Figure, Run, alternate, ratio, run

DISTRIBUTIONS = 90  # as many as the bundled model's environment holds
MODELS = 50
BIG_BYTES = 2_000_000_000


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory."""
    copy_tool(place)
    hashed = make_packages(place)
    alone = hash_alone(place / "models" / "big_mlflow_pkg" / "model_data" / "big.bin")
    run([*commands()["many"][:1], "status", "--quiet", "--all"], place)  # fails if anything is stale
    return figures(alternate(commands(), place, rounds), hashed, alone)


def copy_tool(directory: Path) -> None:
    """Copy what the tool runs from, so that no edit of the checkout while this runs makes a step stale."""
    for name in ("scripts", "tests", "model_template"):
        shutil.copytree(REPOSITORY / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tasks.py", "invoke.yaml"):
        shutil.copy(REPOSITORY / name, directory)


def make_packages(directory: Path) -> float:
    """Build the packages to measure, and return the seconds that the build with the big file took."""
    names = ["big", *(f"model{number}" for number in range(MODELS))]
    code = (
        "import sys, time; from pathlib import Path; sys.path[:0] = ['.', 'scripts']\n"
        "from tests.chain.cheap_package import build_cheaply, make_packages\n"
        f"big = make_packages(Path('models').resolve(), *{names!r}, distributions={DISTRIBUTIONS})[0]\n"
        "python = Path('models/environment/bin/python').resolve()\n"
        "big_file = big.root / 'model_data' / 'big.bin'\n"
        f"big_file.touch(); import os; os.truncate(big_file, {BIG_BYTES})\n"
        "started = time.perf_counter(); result = build_cheaply(big, python)\n"
        "print(time.perf_counter() - started, result.ok)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, env=ENVIRONMENT, capture_output=True, text=True)
    if not done.stdout.endswith("True\n"):
        raise SystemExit(done.stdout + done.stderr)
    for cache in directory.rglob("__pycache__"):  # what `invoke` itself finds, it must have written
        shutil.rmtree(cache)
    return float(done.stdout.split()[0])


def hash_alone(path: Path) -> float:
    """Return the seconds that the bare hash of a file takes, read as the build read it: not from memory."""
    with path.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        hashlib.file_digest(stream, "sha256")
    return time.perf_counter() - started


def commands() -> dict[str, list[str]]:
    invoke = [str(Path(sys.executable).with_name("invoke"))]
    many = [word for number in range(MODELS) for word in ("--model", f"model{number}")]
    return {
        "version": [*invoke, "--version"],
        "one": [*invoke, "verify", "--model", "model0"],
        "many": [*invoke, "verify", *many],
        "big": [*invoke, "verify", "--model", "big"],
    }


def figures(runs: Mapping[str, Sequence[Run]], hashed: float, alone: float) -> list[Figure]:
    version = median(each.seconds for each in runs["version"])
    added = median(big.seconds - one.seconds for big, one in zip(runs["big"], runs["one"], strict=True))
    memory = max(each.memory for name in ("one", "big", "many") for each in runs[name])
    return [
        Figure("no-op `invoke verify` / `invoke --version`", ratio(runs["one"], runs["version"]), "x", 1.25,
               "9 steps up to date, an environment of 90 distributions"),
        Figure(f"no-op of {MODELS} models / of one", ratio(runs["many"], runs["one"]), "x", 3.0,
               "one call, 9 steps each, each with an environment of its own"),
        Figure("the first of these in processor time", ratio(runs["one"], runs["version"], "processor"), "x", None,
               "steadier"),
        Figure("the second in processor time", ratio(runs["many"], runs["one"], "processor"), "x", None, "steadier"),
        Figure("what a 2 GB file in model_data/ adds to a no-op", 1000 * added, "ms", 20.0, "once it is hashed"),
        Figure("largest memory of a no-op", memory / 1e6, "MB", 60.0, "one model, 50 models, 2 GB of data"),
        Figure("build that hashes the 2 GB / sha256 alone", hashed / alone, "x", None,
               "neither from memory; the build reads the file once"),
        Figure("for scale: `invoke --version`", 1000 * version, "ms", None, "median of this run"),
    ]  # fmt: skip
