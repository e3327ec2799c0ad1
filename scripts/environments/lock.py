"""Compile requirements.in of a package to a fully pinned requirements.txt."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_side.base.errors import SUFFIX, UsageError
from model_side.base.found import report_found
from model_side.base.redact import redact

from .cuda import cuda_note, has_gpu
from .includes import included
from .installed import pins
from .uv import PROJECT, own_configuration, own_settings, python_version, run_uv

_NAMES_MLFLOW = re.compile(r"^\s*mlflow(-skinny)?\s*([\[=<>!~;@#]|$)", re.MULTILINE | re.IGNORECASE)
_FROM, _DEFAULT_INDEX, THIS_MACHINE = "# from ", "https://pypi.org/simple", "a directory of this machine"
PINS = Path(".pipeline", "pins")  # by Python version: those of one Python are no start for another


def compile_requirements(package: Path, *, upgrade: bool = False, generate_hashes: bool = False) -> None:
    """Write requirements.txt of a package.

    Parameters
    ----------
    package : Path
        Its directory.
    upgrade : bool
        Whether pins move to the newest releases that fit; else they stay where they can.
    generate_hashes : bool
        Whether the hash of every file is pinned, too.

    Raises
    ------
    UsageError
        If requirements.in is missing or cannot be resolved; uv's explanation is on stderr. The old file stays.
    """
    source, target = package / "requirements.in", package / "requirements.txt"
    if not source.is_file():
        raise UsageError(str(source), "no such file", advice="Write the model's dependencies there, one per line.")
    version, part = python_version(package), package / ".requirements.txt.part"
    kept = package / PINS / f"{version}.txt"
    earlier = kept if kept.parent.is_dir() else target
    command = [*own_configuration(package, package / PROJECT), "pip", "compile", source.name, "--quiet"]
    command += ["--output-file", part.name, "--python-version", version]
    task = f"invoke compile-reqs --model {package.absolute().name.removesuffix(SUFFIX)}"
    command += ["--custom-compile-command", task]
    command += ["--generate-hashes"] if generate_hashes else []
    more = [] if _names_mlflow(source) else ["-"]
    try:
        if earlier.is_file() and not upgrade:
            shutil.copyfile(earlier, part)  # uv keeps the pins that it finds in its output file
        env, given = own_settings(package, os.environ), "mlflow\n" if more else ""
        run_uv([*command, *more], package, source.name, given=given, env=env, python=version)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, kept)
        part.replace(target)
        found = pins(target.read_text(encoding="utf-8"))
        report_found({"pins": len(found)})
        if not has_gpu() and (note := cuda_note(found, version, os.environ)):
            print(note)
    finally:
        part.unlink(missing_ok=True)


def pin_sources(
    requirements: str, directory: Path, flags: Sequence[str], env: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the pins that do not come from the default index, by where they come from, without credentials.

    Parameters
    ----------
    requirements : str
        Pinned, as standard input of uv.
    directory : Path
        Where uv runs, with bin/python of the environment in it.
    flags : sequence of str
        Of uv itself.
    env : mapping of str to str
        Variables on top of the environment.

    Returns
    -------
    dict of str to list of str
        A place of the author's machine is only called that.

    Raises
    ------
    UsageError, StepError
        As `run_uv` says.
    """
    part = directory / ".sources.part"
    words = [
        "--quiet",
        "--no-deps",
        "--no-header",
        "--no-annotate",
        "--emit-index-annotation",
        "--python",
        "bin/python",
    ]
    try:
        command = [*flags, "pip", "compile", "-", *words, "--output-file", part.name]
        run_uv(command, directory, "requirements.txt", given=requirements, env=env)
        return _by_source(part.read_text(encoding="utf-8"))
    finally:
        part.unlink(missing_ok=True)


def _by_source(annotated: str) -> dict[str, list[str]]:
    """Return pins by the source that the comment below each names."""
    found: dict[str, list[str]] = {}
    pin = ""
    for line in annotated.splitlines():
        source = line.strip().removeprefix(_FROM)
        if line.strip().startswith(_FROM) and source != _DEFAULT_INDEX:
            found.setdefault(redact(source) if "file://" not in source else THIS_MACHINE, []).append(pin)
        elif not line.startswith(" "):
            pin = line.partition(" ")[0]
    return found


def _names_mlflow(source: Path) -> bool:
    files = (source, *included([source], constraints=False))
    return any(_NAMES_MLFLOW.search(file.read_text(encoding="utf-8")) for file in files if file.is_file())
