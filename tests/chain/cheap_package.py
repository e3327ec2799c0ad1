"""Packages of the real chain, built through the real runner in milliseconds: a shell script stands in for each program.

The records that this leaves are those of the real commands, so the real `invoke` finds such a package up to date. What
runs in the model environment runs the stand-in there, too; what runs in the tool's environment does not.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from chain.packages import Package
from chain.steps import pipeline_for
from engine.runner import Builder
from engine.walk import Pipeline, Result

SETTINGS = {
    "model": "cheap",
    "models_dir": "models",
    "strict": False,
    "env_manager": "uv",
    "generate_hashes": False,
    "jobs": 2,
    "serial": "auto",
}
# A file called `broken` in the package makes a step fail, one called `disagree` makes verify fail and leave evidence;
# one called `proof` is what its proof cost; a fifo called `reached` makes a step say so and wait; one called
# `waits.SCRIPT` does so until something is written to it.
STAND_IN = """#!/bin/sh
model=mlflow_model_artifacts
[ -e broken ] && { echo "the stand-in is broken"
    [ -z "$STEP_FOUND" ] || echo '{"error": "it is broken", "half": 1}' > "$STEP_FOUND"; exit 1; }
[ -p "waits.${1##*/}" ] && {
    [ -z "$STEP_BARS" ] || echo "1 of 2 MB" > "$STEP_BARS"
    printf 'busy with it\n  of line 1\n' >&2; echo $$ > "waits.${1##*/}"; read _ < "waits.${1##*/}"; }
[ -p reached ] && { echo half > test_input_payload.json; echo $$ > reached; sleep 1000; }
case "$1" in
*generate_model_pkg*)
    mkdir -p .pipeline/model_side
    echo pack > mlflow_packager.py
    echo side > .pipeline/model_side/save.py ;;
*compile_requirements.py)
    mkdir -p .pipeline/pins
    grep -v '^#' requirements.in > requirements.txt
    cp requirements.txt .pipeline/pins/3.11.txt ;;
*sync_environment.py) cp -R ../environment .venv ;;
*download_data.py) echo weights > model_data/weights.bin ;;
mlflow_packager.py)
    [ -z "$STEP_FOUND" ] || echo '{"digest": "d1", "proof": '"$(cat proof || echo {})}" > "$STEP_FOUND"
    mkdir -p $model; cat model_spec.py model_code/*.py > $model/MLmodel ;;
*generate_mlflow_test_payload.py) [ -e test_input_payload.json ] || echo payload > test_input_payload.json ;;
*try_model.py) echo tried ;;
*predict_func.py)
    [ -z "$STEP_FOUND" ] || echo '{"predictions": 3, "loads": 2}' > "$STEP_FOUND"
    echo "asked: $*"; echo "threads that wait: $OMP_WAIT_POLICY"
    cat $model/MLmodel test_input_payload.json > predict_output.json ;;
*serve_predict.py)
    cat $model/MLmodel test_input_payload.json > test_output.json
    cp test_output.json rest_output.json
    case "$*" in *" --serial"*) echo serial ;; *) echo "$OMP_NUM_THREADS" ;; esac > serve_report.json ;;
*verify.py)
    [ -e disagree ] && { mkdir -p verification.failed; echo other > verification.failed/direct.npz
        echo false > verification.failed.json; exit 1; }
    cat predict_output.json test_output.json > verification.json ;;
*make_*.py) mkdir -p "$(dirname "$3")"; cat verification.json > "$3" ;;
*) exit 3 ;;
esac
"""
AUTHORED = {
    "requirements.in": "# pins\nmlflow\n",
    ".python-version": "3.11\n",
    "model_spec.py": "MODEL_CLASS = 'model_code.cheap_mlflow_model:CheapMLflowModel'\nINPUT_EXAMPLE = 1\n",
    "model_code/__init__.py": "",
    "model_code/cheap_mlflow_model.py": "class CheapMLflowModel: ...\n",
    "model_data.toml": '[[source]]\npath = "weights.bin"\nurl = "https://example.org/weights.bin"\n',
}


def write_package(models_dir: Path, name: str = "cheap") -> Package:
    """Write an author's files of a package, with nothing built."""
    package = Package(name, models_dir)
    (package.root / "model_data").mkdir(parents=True)
    for path, text in AUTHORED.items():
        (package.root / path).parent.mkdir(exist_ok=True)
        (package.root / path).write_text(text)
    return package


def write_environment(models_dir: Path, distributions: int) -> Path:
    """Write what stands for a model environment, beside the packages, and return its interpreter."""
    library = models_dir / "environment" / "lib" / "python3.11" / "site-packages"
    for number in range(distributions):
        (library / f"part{number}-1.0.dist-info").mkdir(parents=True)
        (library / f"part{number}-1.0.dist-info" / "RECORD").write_text(f"part{number}.py,sha256=x,1\n")
    (models_dir / "environment" / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.7\n")
    python = models_dir / "environment" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(STAND_IN)
    python.chmod(0o755)
    return python


def build_cheaply(package: Package, python: Path, goal: str = "") -> Result:
    """Build the package's real chain through the real runner, with the stand-in for the tool's interpreter."""
    chain = pipeline_for(package, {goal: ()})
    places = {**chain.steps[0].runs.places, "python": str(python)}
    steps = tuple(replace(step, command=step.runs._replace(places=places)) for step in chain.steps)
    return Builder().build_all([Pipeline(package.root, steps, package.name)], goal or None)[0]


def make_packages(models_dir: Path, *names: str, distributions: int = 3) -> list[Package]:
    """Write and build packages, and what stands for their environment."""
    models_dir.mkdir(parents=True, exist_ok=True)
    python = write_environment(models_dir, distributions)
    packages = [write_package(models_dir, name) for name in names]
    for package in packages:
        result = build_cheaply(package, python)
        if not result.ok:
            raise RuntimeError(str([str(outcome.error) for outcome in result.outcomes if outcome.error]))
    return packages


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Return every path below `root` with its size and change time."""
    paths = [Path(top, name) for top, directories, files in os.walk(root) for name in (*directories, *files)]
    return {str(path): (path.lstat().st_size, path.lstat().st_ctime_ns) for path in sorted(paths)}
