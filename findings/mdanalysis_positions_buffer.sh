#!/usr/bin/env bash
# MDAnalysis: positions collected over the frames of a file are all one frame; in memory they are not.
#
# Versions:  MDAnalysis 2.11.0, numpy 2.4.6, Python 3.11
# Behaviour: with a trajectory file, ts.positions of each frame is the reader's one buffer, and a list of them holds the
#            frame read last (the first, after the loop has rewound); with MemoryReader each is its own part of
#            the array. Same loop, other result.
# Why it matters: code that was tested on a trajectory in memory gives the same coordinates for every frame when it is given a
#            file. ts.positions.copy() is the cure.
# Output seen:
#   in memory: [0.0, 6.0, 12.0]
#   from a file: [0.0, 0.0, 0.0]
#   copied: [0.0, 6.0, 12.0]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python MDAnalysis==2.11.0 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import warnings
warnings.simplefilter("ignore")
import MDAnalysis, numpy as np

universe = MDAnalysis.Universe.empty(2, trajectory=True)
universe.load_new(np.arange(18, dtype=np.float32).reshape(3, 2, 3))
print("in memory:", [float(x[0, 0]) for x in [frame.positions for frame in universe.trajectory]])
universe.atoms.write("frames.xyz", frames="all")
universe = MDAnalysis.Universe("frames.xyz")
print("from a file:", [float(x[0, 0]) for x in [frame.positions for frame in universe.trajectory]])
print("copied:", [float(x[0, 0]) for x in [frame.positions.copy() for frame in universe.trajectory]])
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
in memory: [0.0, 6.0, 12.0]
from a file: [0.0, 0.0, 0.0]
copied: [0.0, 6.0, 12.0]
EXPECTED
