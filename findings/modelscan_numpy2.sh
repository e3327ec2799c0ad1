#!/usr/bin/env bash
# modelscan fails on any .npy file where NumPy 2.4 is installed.
#
# Versions:  modelscan 0.8.8, numpy 2.4.6, Python 3.11
# Behaviour: it reads the header with a private function of NumPy that is gone, counts the file as one with an error, and
#            exits with 3. Without NumPy, or with an old one, the same file is scanned.
# Why it matters: a pipeline that gates models on the exit code refuses every model that carries a plain array, and says nothing
#            of NumPy.
# Output seen:
#   exit code: 3
#   names the missing function: True
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python modelscan==0.8.8 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import subprocess, sys
from pathlib import Path
import numpy as np

np.save("weights.npy", np.ones(3))
scan = Path(sys.executable).with_name("modelscan")
done = subprocess.run([scan, "-p", "weights.npy"], capture_output=True, text=True)
print("exit code:", done.returncode)
print("names the missing function:", "_check_version" in done.stdout + done.stderr)
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
exit code: 3
names the missing function: True
EXPECTED
