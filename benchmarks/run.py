"""Measure what a no-op costs, as ratios taken in alternation in one run; write results.json and docs/benchmarks.md.

A copy of the tool is measured, on packages of the real chain whose programs a shell script stands in for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS, PAGE = REPOSITORY / "benchmarks" / "results.json", REPOSITORY / "docs" / "benchmarks.md"
DISTRIBUTIONS = 90  # as many as the bundled model's environment holds
MODELS = 50
BIG_BYTES = 2_000_000_000
# Bytecode is written, and nothing of this machine's settings of uv or Python counts.
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


class Figure(NamedTuple):
    """One figure: what was measured, in which unit, and what it must not exceed (None where there is no limit)."""

    name: str
    value: float
    unit: str
    limit: float | None
    how: str

    @property
    def met(self) -> bool:
        """Tell whether the figure is within its limit."""
        return self.limit is None or self.value <= self.limit


class Run(NamedTuple):
    """One run of a command: wall time and processor time in seconds, largest resident set in bytes."""

    seconds: float
    processor: float
    memory: int


def run(command: Sequence[str], directory: Path) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    status, usage = os.wait4(process.pid, 0)[1:]
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def alternate(commands: Mapping[str, Sequence[str]], directory: Path, rounds: int) -> dict[str, list[Run]]:
    """Run the commands in turn, round after round, after one round that does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = run(command, directory)
            runs[name] += [taken] * (number > 0)
    return runs


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
        "from tests.pipeline.cheap_package import build_cheaply, make_packages\n"
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
    def ratio(one: str, other: str, of: str = "seconds") -> float:
        pairs = zip(runs[one], runs[other], strict=True)
        return median(getattr(left, of) / getattr(right, of) for left, right in pairs)

    version = median(each.seconds for each in runs["version"])
    added = median(big.seconds - one.seconds for big, one in zip(runs["big"], runs["one"], strict=True))
    memory = max(each.memory for name in ("one", "big", "many") for each in runs[name])
    return [
        Figure("no-op `invoke verify` / `invoke --version`", ratio("one", "version"), "x", 1.25,
               "9 steps up to date, an environment of 90 distributions"),
        Figure(f"no-op of {MODELS} models / of one", ratio("many", "one"), "x", 3.0,
               "one call, 9 steps each, each with an environment of its own"),
        Figure("the first of these in processor time", ratio("one", "version", "processor"), "x", None, "steadier"),
        Figure("the second in processor time", ratio("many", "one", "processor"), "x", None, "steadier"),
        Figure("what a 2 GB file in model_data/ adds to a no-op", 1000 * added, "ms", 20.0, "once it is hashed"),
        Figure("largest memory of a no-op", memory / 1e6, "MB", 60.0, "one model, 50 models, 2 GB of data"),
        Figure("build that hashes the 2 GB / sha256 alone", hashed / alone, "x", None,
               "neither from memory; the build reads the file once"),
        Figure("for scale: `invoke --version`", 1000 * version, "ms", None, "median of this run"),
    ]  # fmt: skip


def verdict(figure: Figure) -> str:
    if figure.limit is None:
        return "|"
    return f"{figure.limit:g} {figure.unit} | {'yes' if figure.met else 'no'}"


def page(found: Sequence[Figure], rounds: int) -> str:
    rows = [f"| {each.name} | {each.value:.2f} {each.unit} | {verdict(each)} | {each.how} |" for each in found]
    head = ["| figure | measured | at most | met | how |", "|---|---|---|---|---|"]
    about = (
        "# Benchmarks\n\n"
        "`make bench` measures what it costs to find out that there is nothing to do, and writes this page and\n"
        "`benchmarks/results.json`. Times are taken in alternation in one run; each ratio is the median over rounds,\n"
        f"so that a busy machine slows both sides. This run: {rounds} rounds, Python {platform.python_version()},"
        f" {os.cpu_count()} processors.\n"
    )
    return "\n".join([about, *head, *rows]) + "\n"


def main() -> int:
    """Measure, write both files, print the table; 1 where a figure exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each command is run")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as place:
        copy_tool(Path(place))
        hashed = make_packages(Path(place))
        alone = hash_alone(Path(place, "models", "big_mlflow_pkg", "model_data", "big.bin"))
        run([*commands()["many"][:1], "status", "--quiet", "--all"], Path(place))  # fails if anything is stale
        found = figures(alternate(commands(), Path(place), rounds), hashed, alone)
    document = {"rounds": rounds, "python": platform.python_version(), "processors": os.cpu_count()}
    figures_as_json = [{**each._asdict(), "value": round(each.value, 3), "met": each.met} for each in found]
    RESULTS.write_text(json.dumps({**document, "figures": figures_as_json}, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(found, rounds), encoding="utf-8")
    print(page(found, rounds))
    return 0 if all(each.met for each in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
