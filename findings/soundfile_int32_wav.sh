#!/usr/bin/env bash
# soundfile keeps the upper 16 bits of an int32 signal that is written as .wav.
#
# Versions:  soundfile 0.14.0, numpy 2.4.6, Python 3.11
# Behaviour: the default subtype of WAV is PCM_16 whatever the dtype of the data: int32 samples lose their lower 16 bits
#            (small values become 0, or -65536 when they are negative), and floats over 1 are clipped. No
#            warning. subtype='PCM_32' or 'FLOAT' keeps them.
# Why it matters: an audio model whose output or example is written with soundfile.write(path, array, rate) gives back another
#            signal than it computed.
# Output seen:
#   PCM_16 [0, 0, -65536, 65536]
#   PCM_32 [0, 1000, -1000, 70000]
#   [0.5, 1.0, -1.0]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python soundfile==0.14.0 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import numpy as np, soundfile

soundfile.write("counts.wav", np.array([0, 1000, -1000, 70000], np.int32), 16000)
print(soundfile.info("counts.wav").subtype, soundfile.read("counts.wav", dtype="int32")[0].tolist())
soundfile.write("counts.wav", np.array([0, 1000, -1000, 70000], np.int32), 16000, subtype="PCM_32")
print(soundfile.info("counts.wav").subtype, soundfile.read("counts.wav", dtype="int32")[0].tolist())
soundfile.write("loud.wav", np.array([0.5, 1.5, -1.5]), 16000)
print(soundfile.read("loud.wav")[0].round(3).tolist())
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
PCM_16 [0, 0, -65536, 65536]
PCM_32 [0, 1000, -1000, 70000]
[0.5, 1.0, -1.0]
EXPECTED
