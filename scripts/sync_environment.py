#!/usr/bin/env python
"""Build the model environment of a package, .venv, from its requirements.txt alone, with uv.

It is made anew each time, so that nothing is in it but what requirements.txt names. Bytecode is compiled along, which
saves seconds at every later import of mlflow.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from environments.bytecode import install
from environments.uv import PROJECT, interpreter, own_configuration, own_settings, python_version, run_uv
from model_side.base.errors import UsageError, run_main


def sync_environment(package: Path) -> None:
    """Make .venv in the directory `package`; where that fails, the old one stands.

    Raises
    ------
    UsageError
        If requirements.txt is missing, or names what cannot be installed.
    """
    if not (package / "requirements.txt").is_file():
        raise UsageError(str(package / "requirements.txt"), "no such file", advice="Run `invoke compile-reqs` first.")
    environment, old = package / ".venv", package / ".venv.old"
    if environment.exists():
        shutil.rmtree(old, ignore_errors=True)
        environment.rename(old)
    try:
        _make(package, environment)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        if old.exists():
            old.rename(environment)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _make(package: Path, environment: Path) -> None:
    python = interpreter(python_version(package))
    project = own_configuration(package, package / PROJECT)
    run_uv([*project, "venv", "--quiet", "--python", python, environment.name], package, ".python-version")
    sync = [*project, "pip", "sync", "--python", f"{environment.name}/bin/python", "requirements.txt"]
    install(sync, package, environment, env=own_settings(package, os.environ))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path(), help="the package's directory (default: this one)")
    sync_environment(parser.parse_args(argv).package)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
