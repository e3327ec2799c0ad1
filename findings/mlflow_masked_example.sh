#!/usr/bin/env bash
# MLflow stores a masked array as an input example without its mask.
#
# Versions:  mlflow-skinny 3.17.2, pandas 3.0.1, numpy 2.4.6, Python 3.11
# Behaviour: the function that save_model makes serving_input_example.json with writes the data below the mask as ordinary
#            values, without a warning.
# Why it matters: masked pixels or missing measurements of an example become real numbers for everybody who runs it.
# Output seen:
#   mean with the mask: 1.0
#   {"inputs":[1.0,2.0]}
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python mlflow-skinny==3.17.2 pandas==3.0.1 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import numpy as np
from mlflow.models import convert_input_example_to_serving_input

masked = np.ma.array([1.0, 2.0], mask=[0, 1])
print("mean with the mask:", masked.mean())
print(convert_input_example_to_serving_input(masked).replace("\n", "").replace(" ", ""))
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
mean with the mask: 1.0
{"inputs":[1.0,2.0]}
EXPECTED
