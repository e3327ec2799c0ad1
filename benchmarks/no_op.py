"""What it costs to find out that there is nothing to do.

A copy of the tool is measured, on packages of the real chain whose programs a shell script stands in for.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from measuring import ENVIRONMENT, REPOSITORY, Figure, Run, alternate, ratio, run

DISTRIBUTIONS = 90  # as many as the bundled model's environment holds
MODELS = 50
BIG_BYTES = 2_000_000_000


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory."""
    copy_tool(place)
    make_packages(place)
    invoke = str(Path(sys.executable).with_name("invoke"))
    run([invoke, "status", "--quiet", "--all"], place)  # fails if anything is stale
    many = [word for number in range(MODELS) for word in ("--model", f"model{number}")]
    commands = {
        "version": ["--version"],
        "one": ["verify", "--model", "model0"],
        "many": ["verify", *many],
        "big": ["verify", "--model", "big"],
    }
    return figures(alternate({name: partial(run, [invoke, *words], place) for name, words in commands.items()}, rounds))


def copy_tool(directory: Path) -> None:
    """Copy what the tool runs from, so that no edit of the checkout while this runs makes a step stale."""
    for name in ("scripts", "tests", "model_template"):
        shutil.copytree(REPOSITORY / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tasks.py", "invoke.yaml"):
        shutil.copy(REPOSITORY / name, directory)


def make_packages(directory: Path) -> None:
    """Build the packages to measure."""
    names = ["big", *(f"model{number}" for number in range(MODELS))]
    code = (
        "import os, sys; from pathlib import Path; sys.path[:0] = ['.', 'scripts']\n"
        "from tests.chain.cheap_package import build_cheaply, make_packages\n"
        f"big = make_packages(Path('models').resolve(), *{names!r}, distributions={DISTRIBUTIONS})[0]\n"
        f"file = big.root / 'model_data' / 'big.bin'; file.touch(); os.truncate(file, {BIG_BYTES})\n"
        "assert build_cheaply(big, Path('models/environment/bin/python').resolve()).ok"
    )
    subprocess.run([sys.executable, "-c", code], cwd=directory, env=ENVIRONMENT, check=True)
    for cache in directory.rglob("__pycache__"):  # what `invoke` itself finds, it must have written
        shutil.rmtree(cache)


def figures(runs: Mapping[str, Sequence[Run]]) -> list[Figure]:
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
        Figure("for scale: `invoke --version`", 1000 * version, "ms", None, "median of this run"),
    ]  # fmt: skip
