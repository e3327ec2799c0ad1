#!/usr/bin/env bash
# onnxruntime 1.29 and newer collect telemetry on Linux, from the import on: a thread, and a database in the home directory.
#
# Versions:  onnxruntime 1.28.0 (without), 1.32.0 (with), numpy 2.4.6, Python 3.11
# Behaviour: `import onnxruntime` starts a thread, which by its Privacy.md uploads events over HTTPS, and writes an identifier
#            and a SQLite database to ~/.cache/Microsoft/DeveloperTools/.onnxruntime. ORT_DISABLE_TELEMETRY=1, set before the
#            import, prevents all three; onnxruntime.disable_telemetry_events() comes too late for them.
# Why it matters: a packaged model sends what its receiver does to a third party, writes outside its own directory, and cannot be
#            imported before a fork. A pin <1.29 in requirements.in has none of it.
# Output seen:
#   1.28.0 threads 0 files 0
#   1.32.0 threads 1 files 4
#   1.32.0 threads 0 files 0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
cat > imported.py <<'PYTHON'
import os
from pathlib import Path

import numpy

before = len(os.listdir("/proc/self/task"))
import onnxruntime

threads = len(os.listdir("/proc/self/task")) - before
print(onnxruntime.__version__, "threads", threads, "files", sum(path.is_file() for path in Path.home().rglob("*")))
PYTHON
run() {  # VERSION [VARIABLE=VALUE]
    uv pip install --quiet --python venv/bin/python onnxruntime=="$1" numpy==2.4.6
    rm -rf home; mkdir home
    env HOME="$work/home" XDG_CACHE_HOME= "${@:2}" venv/bin/python imported.py
}
{ run 1.28.0; run 1.32.0; run 1.32.0 ORT_DISABLE_TELEMETRY=1; } | tee seen
diff seen - <<'EXPECTED' && echo "as described above"
1.28.0 threads 0 files 0
1.32.0 threads 1 files 4
1.32.0 threads 0 files 0
EXPECTED
