"""Build the model environment of a package, .venv, from its requirements.txt alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from model_side.base.errors import UsageError, invoke, listed
from model_side.base.files import move
from model_side.base.found import report_found
from model_side.base.variables import pyvenv

from .bytecode import install
from .installed import installed, python_faults
from .uv import PROJECT, interpreter, own_configuration, own_settings, python_version, run_uv


def sync_environment(package: Path) -> None:
    """Make .venv of a package; where that fails, the old one stays.

    Parameters
    ----------
    package : Path
        Its directory.

    Raises
    ------
    UsageError
        If requirements.txt is missing, or names what cannot be installed, or what is for another Python.
    """
    if not (package / "requirements.txt").is_file():
        advice = f"Run {invoke('compile-reqs', package)} first."
        raise UsageError(str(package / "requirements.txt"), "no such file", advice=advice)
    environment, old = package / ".venv", package / ".venv.old"
    if environment.exists():
        shutil.rmtree(old, ignore_errors=True)
        move(environment, old)
    project = own_configuration(package, package / PROJECT)
    try:
        version = python_version(package)
        made = ["venv", "--quiet", "--python", interpreter(version), environment.name]
        run_uv([*project, *made], package, ".python-version", python=version)
        sync = [*project, "pip", "sync", "--python", f"{environment.name}/bin/python", "requirements.txt"]
        install(sync, package, environment, env=own_settings(package, os.environ))
        _require_python(environment)
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        if old.exists():
            old.rename(environment)
        raise
    shutil.rmtree(old, ignore_errors=True)
    report_found({"distributions": len(installed(environment))})


def _require_python(environment: Path) -> None:
    """Refuse what a receiver could not install: pip, which one may have, keeps to what a distribution asks for."""
    if faults := listed(python_faults(environment)):
        fault = f"not for Python {pyvenv(environment)['version_info']}, and pip would refuse to install:{faults}"
        advice = "\nName another Python in .python-version, or other releases in requirements.in."
        raise UsageError("requirements.txt", fault, advice=advice)
