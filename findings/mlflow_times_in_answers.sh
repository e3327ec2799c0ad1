#!/usr/bin/env bash
# MLflow's server writes one date in four ways, by the type that holds it.
#
# Versions:  mlflow-skinny 3.17.2, pandas 3.0.1, numpy 2.4.6, Python 3.11
# Behaviour: datetime64[ns] in an array is written as a whole number of nanoseconds, datetime64[us] as a date, and a
#            Timestamp in a table as another text; a missing time in a table is the text NaT, not null.
# Why it matters: sampling or visit times of a cohort come back as numbers near 10**18 or as texts, by the model's inner type and
#            not by its signature.
# Output seen:
#   {"predictions": [1577836800000000000]}
#   {"predictions": ["2020-01-01T00:00:00"]}
#   {"predictions": [{"t": "2020-01-01T00:00:00"}, {"t": "NaT"}]}
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python mlflow-skinny==3.17.2 pandas==3.0.1 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import sys
import numpy as np, pandas as pd
from mlflow.pyfunc.scoring_server import predictions_to_json

for unit in ("ns", "us"):
    predictions_to_json(np.array(["2020-01-01"], f"datetime64[{unit}]"), sys.stdout)
    print()
predictions_to_json(pd.DataFrame({"t": pd.to_datetime(["2020-01-01", None])}), sys.stdout)
print()
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
{"predictions": [1577836800000000000]}
{"predictions": ["2020-01-01T00:00:00"]}
{"predictions": [{"t": "2020-01-01T00:00:00"}, {"t": "NaT"}]}
EXPECTED
