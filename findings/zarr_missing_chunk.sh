#!/usr/bin/env bash
# A zarr store that lost a chunk file reads as zeros there, without a warning.
#
# Versions:  zarr 3.1.6, numpy 2.4.6, Python 3.11
# Behaviour: an absent chunk stands for the fill value (the format says so, to store sparse arrays), so an incomplete copy of
#            a store cannot be told from a store with zeros. Only a store whose metadata is absent is an error.
# Why it matters: a download or copy of a .zarr directory that stopped in the middle opens, has its shape, and holds zeros for
#            what is not there. Compare a list of files with sums, never the array's shape.
# Output seen:
#   [[1.0, 2.0, 0.0, 0.0], [5.0, 6.0, 0.0, 0.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0]]
#   without metadata: GroupNotFoundError
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python zarr==3.1.6 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import os, warnings
import numpy as np, zarr

warnings.simplefilter("error")
array = zarr.open("image.zarr", mode="w", shape=(4, 4), chunks=(2, 2), dtype="f4")
array[:] = np.arange(1, 17).reshape(4, 4)
os.remove("image.zarr/c/0/1")
print(zarr.open("image.zarr", mode="r")[:].tolist())
os.remove("image.zarr/zarr.json")
try:
    zarr.open("image.zarr", mode="r")
except Exception as error:
    print("without metadata:", type(error).__name__)
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
[[1.0, 2.0, 0.0, 0.0], [5.0, 6.0, 0.0, 0.0], [9.0, 10.0, 11.0, 12.0], [13.0, 14.0, 15.0, 16.0]]
without metadata: GroupNotFoundError
EXPECTED
