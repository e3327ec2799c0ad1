"""Run code where a directory is as in a container: what is there lies in a layer below, changes in another."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"
# Mounts the layers in a view of the files of its own, and then runs the code.
_MOUNTED = """
import ctypes, os, sys
from model_side.base.namespaces import NEW_FILES, NEW_USER, leave
place, over, code = sys.argv[1:]
leave(NEW_USER | NEW_FILES)
options = f"lowerdir={place},upperdir={over}/upper,workdir={over}/work,userxattr"
if ctypes.CDLL(None).mount(b"overlay", place.encode(), b"overlay", 0, options.encode()):
    sys.exit("no overlay here")
os.chdir(place)
exec(code)
"""


def run_in_layers(place: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a directory whose content is the lower layer: it stays as it is."""
    with tempfile.TemporaryDirectory(dir=place.parent) as over:
        for name in ("upper", "work"):
            Path(over, name).mkdir()
        command = [sys.executable, "-c", _MOUNTED, str(place), over, code]
        environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@functools.cache
def can_layer() -> bool:
    """Tell whether this system lets a user mount layers in which a directory cannot be renamed."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "root", "directory").mkdir(parents=True)
        done = run_in_layers(Path(place, "root"), "os.rename('directory', 'other')")
    return "Invalid cross-device link" in done.stderr
