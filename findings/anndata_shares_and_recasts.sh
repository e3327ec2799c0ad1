#!/usr/bin/env bash
# AnnData changes its caller's array, and writing a file changes the object that is written.
#
# Versions:  anndata 0.12.19, scanpy 1.11.5, numpy 2.4.6, Python 3.11
# Behaviour: AnnData(X) keeps the caller's array, so scanpy's in-place steps (log1p here) change it too; a view made by
#            slicing copies on its first write. write_h5ad() turns the string columns of the object in memory
#            into categories.
# Why it matters: an input array of a model that wraps it in AnnData is another one after the call, and a table that is returned
#            after it was written has another dtype than before.
# Output seen:
#   caller's array: [[0.693, 1.099], [1.386, 1.609], [1.792, 1.946]]
#   after a write to the view: 0.693
#   column before and after write_h5ad: object category
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python anndata==0.12.19 scanpy==1.11.5 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import warnings
warnings.simplefilter("ignore")
import anndata, numpy as np, pandas as pd, scanpy

counts = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
cells = anndata.AnnData(counts, obs=pd.DataFrame({"type": ["T", "B", "T"]}, index=["c1", "c2", "c3"]))
scanpy.pp.log1p(cells)
print("caller's array:", counts.round(3).tolist())
view = cells[:1]
view.X[0, 0] = 99
print("after a write to the view:", float(cells.X[0, 0].round(3)))
before = cells.obs["type"].dtype.name
cells.write_h5ad("cells.h5ad")
print("column before and after write_h5ad:", before, cells.obs["type"].dtype.name)
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
caller's array: [[0.693, 1.099], [1.386, 1.609], [1.792, 1.946]]
after a write to the view: 0.693
column before and after write_h5ad: object category
EXPECTED
