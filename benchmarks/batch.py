"""A cohort: 1,000 files of 50 cells through pbmc_pca, against a loop written by hand."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from measuring import REPOSITORY, Figure, Run, run

INPUTS, ALONE, SIMULATED = 1_000, 10, (1_000, 100_000)
SCRIPT = REPOSITORY / "scripts" / "batch_predict.py"
PACKAGE = REPOSITORY / "models" / "pbmc_pca_mlflow_pkg"
MODEL, PYTHON = PACKAGE / "mlflow_model_artifacts", PACKAGE / ".venv" / "bin" / "python"

MAKE = """
import sys
from pathlib import Path
import anndata
reference = anndata.read_h5ad(sys.argv[1])
cells = anndata.AnnData(reference.X[:50].copy(), var=reference.var[[]].copy())
cells.obs_names = reference.obs_names[:50]
for number in range(int(sys.argv[3])):
    cells.X[0, 0] = number
    cells.write_h5ad(Path(sys.argv[2], f"{number:04}.h5ad"))
"""
BY_HAND = """
import sys
from multiprocessing import Pool
from pathlib import Path
import mlflow.pyfunc
import numpy as np
import pandas as pd

def load():
    global model
    model = mlflow.pyfunc.load_model(sys.argv[1])

def predict(path):
    np.save(Path(sys.argv[3], path.name + ".npy"), model.predict(pd.DataFrame({"input_uri": [str(path)]})))

if __name__ == "__main__":
    Path(sys.argv[3]).mkdir()
    with Pool(2, load) as pool:
        for _ in pool.imap_unordered(predict, sorted(Path(sys.argv[2]).glob("*.h5ad"))):
            pass
"""
# The parent alone: a stub in place of workers answers at once.
STUB = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import batch.run
from batch.inputs import Cohort
from batch.pool import Done
from batch.request import Request

count, out = int(sys.argv[3]), sys.argv[4]
names = [f"s3://cohort/sample-{number:09}.h5ad" for number in range(count)]
payload = lambda number: {"inputs": {"input_uri": [names[number]]}}
batch.run.read_cohort = lambda *_: Cohort(names, payload, alone=True)

def answers(self, *_):
    for unit in self._units():
        Path(unit.request["part"]).touch()
        facts = {"fingerprint": "sha256:0", "stamp": "", "input_bytes": 1, "sha256": "0", "shape": "[1]", "rows": 1}
        yield Done(unit.number, {**facts, "dtype": "float32", "seconds": 0.1, "peak_memory": 1}, "1")

batch.run._Run._results = answers
raise SystemExit(batch.run.run_batch(Request(sys.argv[2], inputs="x", out=out)))
"""


def measure(place: Path, rounds: int) -> list[Figure]:
    """Return the figures; the whole cohort goes through each way at most three times."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        [sys.executable, "-m", "invoke", "verify", "--model", "pbmc_pca"], cwd=REPOSITORY, check=True, **quiet
    )
    files = place / "inputs"
    files.mkdir()
    reference = PACKAGE / "model_data" / "pbmc68k_reduced.h5ad"
    subprocess.run([PYTHON, "-W", "ignore", "-c", MAKE, str(reference), str(files), str(INPUTS)], check=True)
    made = [_round(place, files, number) for number in range(min(rounds, 3) + 1)][1:]
    middle = {name: sorted(each[name] for each in made)[len(made) // 2] for name in made[0]}
    alone, small, large = _alone(place, files), *(_simulated(place, count).memory for count in SIMULATED)
    first = sorted(each["seconds"] for each in made)[len(made) // 2]
    how = f"{INPUTS} files of 50 cells"
    return [
        Figure("2 workers / a loop by hand", middle["by hand"], "x", 1.1, f"{how}; multiprocessing.Pool(2), no checks"),
        Figure("the same / predict_func.py once per file", first / alone / INPUTS, "x", 0.02, f"of {ALONE} files"),
        Figure("2 workers / 1 worker", middle["1 worker"], "x", 0.6, how),
        Figure("a second call / the first", middle["again"], "x", 0.03, how),
        Figure("memory of 100,000 units / of 1,000", large / small, "x", 1.3, "the parent, with a stub of workers"),
    ]


def _round(place: Path, files: Path, number: int) -> dict[str, float]:
    def batch(workers: int, out: str) -> Run:
        words = [
            "--model-uri",
            str(MODEL),
            "--inputs",
            str(files),
            "--out",
            str(place / out),
            "--workers",
            str(workers),
        ]
        return run([sys.executable, str(SCRIPT), *words], place)

    hand = run(
        [str(PYTHON), "-W", "ignore", "-c", BY_HAND, str(MODEL), str(files), str(place / f"hand{number}")], place
    )
    two = batch(2, f"two{number}")
    again, one = batch(2, f"two{number}"), batch(1, f"one{number}")
    ratios = {"by hand": two.seconds / hand.seconds, "1 worker": two.seconds / one.seconds}
    return {**ratios, "again": again.seconds / two.seconds, "seconds": two.seconds}


def _alone(place: Path, files: Path) -> float:
    """Return the seconds that predict_func.py takes for one file."""
    started = time.perf_counter()
    for path in sorted(files.iterdir())[:ALONE]:
        payload = place / "payload.json"
        payload.write_text(f'{{"inputs": {{"input_uri": ["{path}"]}}}}', encoding="utf-8")
        words = [
            "--model-uri",
            str(MODEL),
            "--json-payload-file",
            str(payload),
            "--output-path",
            str(place / "one.npy"),
        ]
        run([str(PYTHON), str(SCRIPT.with_name("predict_func.py")), *words], place)
    return (time.perf_counter() - started) / ALONE


def _simulated(place: Path, count: int) -> Run:
    words = [str(SCRIPT.parent), str(MODEL), str(count), str(place / f"stub{count}")]
    return run([sys.executable, "-c", STUB, *words], place)
