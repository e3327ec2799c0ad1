#!/usr/bin/env bash
# safetensors stores a transposed NumPy array with its values in another order, without a word.
#
# Versions:  safetensors 0.8.0, numpy 2.4.6, Python 3.11
# Behaviour: save() and save_file() of safetensors.numpy write the shape of the array and the bytes of its buffer as they lie
#            in memory. For an array in column order (a transpose, np.asfortranarray, what many .mat and R
#            readers return) the shape and the bytes then disagree. A strided slice comes back as the values
#            that lie side by side.
# Why it matters: weights that were transposed for another framework come back scrambled, with the right shape and dtype.
#            np.ascontiguousarray(x) before saving is the cure.
# Output seen:
#   in memory: [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
#   read back: [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
#   contiguous first: [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
#   strided slice: [0.0, 1.0, 2.0]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import numpy as np
from safetensors.numpy import load, save

weights = np.arange(6, dtype=np.float32).reshape(2, 3).T
print("in memory:", weights.tolist())
print("read back:", load(save({"w": weights}))["w"].tolist())
print("contiguous first:", load(save({"w": np.ascontiguousarray(weights)}))["w"].tolist())
print("strided slice:", load(save({"w": np.arange(6.0)[::2]}))["w"].tolist())
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
in memory: [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
read back: [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
contiguous first: [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
strided slice: [0.0, 1.0, 2.0]
EXPECTED
