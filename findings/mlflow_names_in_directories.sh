#!/usr/bin/env bash
# MLflow cannot fetch a local model or artifact directory that holds a name with # or %20.
#
# Versions:  mlflow-skinny 3.17.2, pandas 3.0.1, Python 3.11
# Behaviour: download_artifacts, which `mlflow models predict` and registries go through, copies a directory name by name as
#            a URI, in which # starts a fragment and %20 is a space; it then does not find the file and raises.
# Why it matters: weights and references of the field are called `sample #1.npy` or `a%20b.fa`: the model loads for its author and
#            not from a registry.
# Output seen:
#   plain.npy -> ['plain.npy']
#   sample 1.npy -> ['sample 1.npy']
#   sample #1.npy -> MlflowException
#   a%20b.npy -> MlflowException
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python mlflow-skinny==3.17.2 pandas==3.0.1
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import tempfile
from pathlib import Path
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

for name in ("plain.npy", "sample 1.npy", "sample #1.npy", "a%20b.npy"):
    source, target = Path(tempfile.mkdtemp()), tempfile.mkdtemp()
    (source / "weights").mkdir()
    (source / "weights" / name).write_text("x")
    try:
        made = Path(download_artifacts(artifact_uri=str(source), dst_path=target))
        print(name, "->", sorted(path.name for path in made.rglob("*.npy")))
    except (MlflowException, OSError) as error:
        print(name, "->", type(error).__name__)
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
plain.npy -> ['plain.npy']
sample 1.npy -> ['sample 1.npy']
sample #1.npy -> MlflowException
a%20b.npy -> MlflowException
EXPECTED
