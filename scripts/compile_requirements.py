#!/usr/bin/env python
"""Compile requirements.in of a package to a fully pinned requirements.txt, for the package's own interpreter.

mlflow is always in the set, because the package is loaded and served with it. Pins stay as they are until --upgrade
moves them. uv's own settings hold: uv.toml, UV_* variables; so do constraints.txt and overrides.txt of the package.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from environments.includes import included
from environments.uv import PROJECT, own_configuration, own_settings, python_version, run_uv
from model_side.base.errors import UsageError, run_main

NAMES_MLFLOW = re.compile(r"^\s*mlflow(-skinny)?\s*([\[=<>!~;@#]|$)", re.MULTILINE | re.IGNORECASE)
PINS = Path(".pipeline", "pins")  # by Python version: those of one Python are no start for another


def compile_requirements(package: Path, *, upgrade: bool = False, hashes: bool = False) -> None:
    """Write requirements.txt of the package in the directory `package`.

    Raises
    ------
    UsageError
        If requirements.in is missing or cannot be resolved; uv's explanation is on stderr. The old file stands.
    """
    source = package / "requirements.in"
    if not source.is_file():
        raise UsageError(str(source), "no such file", advice="Write the model's dependencies there, one per line.")
    target, part = package / "requirements.txt", package / ".requirements.txt.part"
    kept = package / PINS / f"{python_version(package)}.txt"
    pins = next((path for path in (kept, *([] if kept.parent.is_dir() else [target])) if path.is_file()), None)
    try:
        if pins and not upgrade:
            shutil.copyfile(pins, part)  # uv keeps the pins that it finds in its output file
        more = "" if _names_mlflow(source) else "mlflow\n"
        project = own_configuration(package, package / PROJECT)
        command = [*project, *_command(part.name, package, hashes=hashes), *(["-"] if more else [])]
        run_uv(command, package, source.name, given=more, env=own_settings(package, os.environ))
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, kept)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _names_mlflow(source: Path) -> bool:
    files = (source, *included([source], constraints=False))
    return any(NAMES_MLFLOW.search(file.read_text(encoding="utf-8")) for file in files if file.is_file())


def _command(output: str, package: Path, *, hashes: bool) -> list[str]:
    command = ["pip", "compile", "requirements.in", "--output-file", output, "--quiet"]
    command += ["--python-version", python_version(package), "--custom-compile-command", "invoke compile-reqs"]
    command += ["--generate-hashes"] if hashes else []
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=Path(), help="the package's directory (default: this one)")
    parser.add_argument("--upgrade", action="store_true", help="move the pins to the newest releases that fit")
    parser.add_argument("--generate-hashes", action="store_true", help="pin the hash of every file, too")
    args = parser.parse_args(argv)
    compile_requirements(args.package, upgrade=args.upgrade, hashes=args.generate_hashes)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
