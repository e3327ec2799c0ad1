"""A cohort: 1,000 files of 50 cells through pbmc_pca, against a loop written by hand."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from measuring import REPOSITORY, Figure, Run, alternate, ratio, run

INPUTS, ALONE, SIMULATED, RECORDED = 1_000, 10, (1_000, 100_000), 1_000_000
UV = Path(sys.executable).with_name("uv")
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
# Both on a cluster of their own that is there before; what counts is the seconds after that.
CLUSTER = """
import sys, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
begun = time.perf_counter()
"""
ACTORS_BY_HAND = f"""{CLUSTER}
from ray.util import ActorPool
ray.init(address=cluster.address, log_to_driver=False)

@ray.remote
class Actor:
    def __init__(self, model, out):
        import mlflow.pyfunc
        self.model, self.out = mlflow.pyfunc.load_model(model), out

    def predict(self, path):
        import numpy, pandas
        output = self.model.predict(pandas.DataFrame({{"input_uri": [str(path)]}}))
        numpy.save(Path(self.out, path.name + ".npy"), output)

Path(sys.argv[3]).mkdir()
pool = ActorPool([Actor.remote(sys.argv[1], sys.argv[3]) for _ in range(2)])
list(pool.map_unordered(lambda actor, path: actor.predict.remote(path), sorted(Path(sys.argv[2]).glob("*.h5ad"))))
Path(sys.argv[4]).write_text(str(time.perf_counter() - begun))
"""
ACTORS = f"""{CLUSTER}
sys.path.insert(0, sys.argv[5])
from batch.request import Request
from batch.run import run_batch
code = run_batch(Request(sys.argv[1], inputs=sys.argv[2], out=sys.argv[3], workers=2, ray=cluster.address))
Path(sys.argv[4]).write_text(str(time.perf_counter() - begun))
raise SystemExit(code)
"""
# The last 1,000 of a million, in whose manifest one is not.
RESUMED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import pyarrow
import pyarrow.parquet
import batch.run
from batch.inputs import Cohort
from batch.manifest import COLUMNS
from batch.model import model_digest
from batch.request import Request

count, out, asked = int(sys.argv[3]), Path(sys.argv[4]), 1_000
names = [f"s3://cohort/sample-{number:09}.h5ad" for number in range(count + 1)][-asked:]
if not out.exists():
    digest = model_digest(Path(sys.argv[2]), {})[0]
    columns = {name: [kind()] * count for name, kind in COLUMNS.items()}
    columns |= {"status": ["done"] * count, "model": [digest] * count, "params": ["{}"] * count}
    columns |= {"format": ["npy"] * count, "key": ["0" * 32] * count}
    columns["input"] = [f"s3://cohort/sample-{number:09}.h5ad" for number in range(count)]
    columns["output"] = [f"sample-{number:09}.h5ad.npy" for number in range(count)]
    out.mkdir()
    for number in range(count - asked, count):
        (out / f"sample-{number:09}.h5ad.npy").touch()
    pyarrow.parquet.write_table(pyarrow.table(columns), out / "manifest.parquet", row_group_size=4_000)
    raise SystemExit
payload = lambda number: {"inputs": {"input_uri": [names[number]]}}
batch.run.read_cohort = lambda *_: Cohort(names, payload, alone=True)
batch.run.Place.require_own = lambda *_: None

def started(run, *_):
    raise SystemExit(len(run._plan.todo) - 1)

batch.run._Run.run = started
batch.run.run_batch(Request(sys.argv[2], inputs="x", out=str(out)))
"""
READ = "import sys, pyarrow.parquet; pyarrow.parquet.read_table(sys.argv[1])"
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
        Figure("one Ray node with 2 actors / an ActorPool by hand", _actors(place, files), "x", 1.15, how),
        Figure("2 workers / 1 worker", middle["1 worker"], "x", 0.6, how),
        Figure("a second call / the first", middle["again"], "x", 0.03, how),
        Figure(
            "to start with 1,000,000 rows / pyarrow alone", _resumed(place), "x", 3.0, "1,000 inputs, one of them new"
        ),
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


def _actors(place: Path, files: Path) -> float:
    """Return the seconds on two actors of a Ray node, divided by those of a loop by hand, with Ray beside the model."""
    environment = place / "ray"
    subprocess.run([UV, "venv", "-q", "--python", PYTHON, environment], check=True)
    ray = f"ray=={version('ray')}"
    wanted = ["-r", str(MODEL / "requirements.txt"), ray]
    subprocess.run([UV, "pip", "install", "-q", "--python", environment / "bin" / "python", *wanted], check=True)
    ways = {"hand": (environment / "bin" / "python", ACTORS_BY_HAND), "ours": (sys.executable, ACTORS)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(3):
        for name, (python, code) in ways.items():
            told = place / "seconds"
            words = [str(MODEL), str(files), str(place / f"{name}-ray{number}"), str(told), str(SCRIPT.parent)]
            run([str(python), "-W", "ignore", "-c", code, *words], place)
            seconds[name].append(float(told.read_text()))
    return median(one / other for one, other in zip(seconds["ours"], seconds["hand"], strict=True))


def _resumed(place: Path) -> float:
    """Return the seconds to the first unit where the manifest has a million rows, divided by those of reading it."""
    out = place / "resumed"
    ours = [sys.executable, "-W", "ignore", "-c", RESUMED, str(SCRIPT.parent), str(MODEL), str(RECORDED), str(out)]
    run(ours, place)
    read = [sys.executable, "-c", READ, str(out / "manifest.parquet")]
    taken = alternate({"ours": lambda: run(ours, place), "read": lambda: run(read, place)}, 3)
    return ratio(taken["ours"], taken["read"])


def _simulated(place: Path, count: int) -> Run:
    words = [str(SCRIPT.parent), str(MODEL), str(count), str(place / f"stub{count}")]
    return run([sys.executable, "-c", STUB, *words], place)
