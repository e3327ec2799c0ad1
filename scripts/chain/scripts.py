"""Run the tool's own command lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

SCRIPTS = Path(__file__).resolve().parents[1]


def run_script(name: str, *arguments: str) -> int:
    """Run one of the tool's own command lines in the foreground and return its exit code."""
    return subprocess.run([sys.executable, str(SCRIPTS / f"{name}.py"), *arguments], check=False).returncode


def become_script(name: str, *arguments: str, directory: Path) -> NoReturn:
    """Become one of the tool's own command lines, so that what ends this process ends that."""
    sys.stdout.flush()
    os.chdir(directory)
    os.execv(sys.executable, [sys.executable, str(SCRIPTS / f"{name}.py"), *arguments])
