#!/usr/bin/env bash
# pyBigWig's stats() is not the mean of its values().
#
# Versions:  pyBigWig 0.3.29, numpy 2.4.6, Python 3.11
# Behaviour: stats() answers from zoom levels unless it is told exact=True; the mean of values() over the same interval
#            differs from the fifth digit on here. exact=True gives that mean.
# Why it matters: a signal track that a model was trained on with one function and is asked with the other differs by more than
#            rounding.
# Output seen:
#   values 0.500158, stats 0.500207, exact 0.500158
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python pyBigWig==0.3.29 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import numpy as np, pyBigWig

signal = np.random.default_rng(0).random(100_000).astype(np.float32)
track = pyBigWig.open("track.bw", "w")
track.addHeader([("chr1", 100_000)])
track.addEntries("chr1", 0, values=signal.tolist(), span=1, step=1)
track.close()
track = pyBigWig.open("track.bw")
mean = np.array(track.values("chr1", 1001, 35001)).mean()
print(f"values {mean:.6f}, stats {track.stats('chr1', 1001, 35001)[0]:.6f}, exact {track.stats('chr1', 1001, 35001, exact=True)[0]:.6f}")
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
values 0.500158, stats 0.500207, exact 0.500158
EXPECTED
