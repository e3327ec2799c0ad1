"""Bring what a model's own downloader makes: from the cache, else by running it in the model environment."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.fingerprint import StatCache
from model_side.base.errors import StepError, UsageError
from model_side.base.processes import clean_environment
from model_side.base.redact import redact

from .content import Files, digest, look
from .declaration import DATA_DIRECTORY, Source
from .faults import WrongBytesError, foreign, missing
from .fetchers import Workshop
from .kept import take
from .place import beside, check_inside, keep_as_bad, remove
from .plan import Verdict, is_edited
from .record import Entry

_LOOK_SECONDS = 0.1


def run_command(verdict: Verdict, entry: Entry | None, shop: Workshop) -> tuple[str, Files, str]:
    """Bring the outputs of a command; return "ran" or "from cache", the files, and their digest.

    They come from the cache if it has the declared bytes, else the command runs. Either writes straight into
    model_data/. So a marker is laid down first: where a killed run has left one, what is in the place of the outputs is
    half done and goes. A command that fails leaves what was there before.

    Raises
    ------
    StepError
        If it fails or must not run, leaves out an output, writes other bytes than the sha256 says, or would replace an
        author's file.
    UsageError
        If the model environment, or the program in it, is missing.
    """
    source, data = verdict.source, shop.package / DATA_DIRECTORY
    targets = [check_inside(data, path) for path in source.paths]
    marker = marker_of(source, data)
    was_cut_off = marker.exists()
    if was_cut_off:
        _tidy(targets)
    elif not verdict.owned:
        _check_free(targets)
    marker.touch()
    there = look(data, source.paths, StatCache())
    edited = entry is not None and (is_edited(there, entry) or not there.keys() <= entry.files.keys())
    try:
        with _old_kept(targets, as_bad=edited):
            if files := take(source, shop.cache, data.joinpath):
                return "from cache", files, source.sha256
            for target in targets:  # what the cache had was not sound
                remove(target)
            if shop.offline:
                raise missing(source)
            _run(source, shop.package)
            files = _outputs(source, data)
            got = digest(files, source.paths)
            if source.sha256 and got != source.sha256:
                raise WrongBytesError(source, got, *(keep_as_bad(target, target) for target in targets))
            return "ran", files, got
    except BaseException:
        marker.unlink()
        raise


def marker_of(source: Source, data: Path) -> Path:
    """Return what says that the command of a source has begun and is not in the record yet."""
    return beside(data / source.paths[0], "command")


def _prepared(source: Source, package: Path) -> tuple[list[str], dict[str, str]]:
    programs = package.absolute() / ".venv" / "bin"
    if not programs.is_dir():
        raise UsageError(
            source.name, "its command needs the model environment, .venv", advice="Run `invoke sync-env` first."
        )
    environment = clean_environment(os.environ, {})
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    argv = shlex.split(source.command)
    program = shutil.which(argv[0], path=environment["PATH"])
    if program is None:
        raise UsageError(
            source.name,
            "its command starts with no known program",
            got=argv[0],
            advice="Add the package that brings it to requirements.in.",
        )
    return [program, *argv[1:]], environment


def _old(target: Path) -> Path:
    return beside(target, "old")


def _tidy(targets: Sequence[Path]) -> None:
    """Undo what a killed run of the command left."""
    for target in targets:
        remove(target)
        if os.path.lexists(_old(target)):
            _old(target).replace(target)


def _check_free(targets: Sequence[Path]) -> None:
    for target in targets:
        if os.path.lexists(target):
            raise foreign(target)


@contextmanager
def _old_kept(targets: Sequence[Path], *, as_bad: bool) -> Iterator[None]:
    """Move what is in the place of the outputs aside; bring it back where the command fails."""
    olds = {target: _old(target) for target in targets if os.path.lexists(target)}
    for target, old in olds.items():
        remove(old)
        target.replace(old)
    try:
        yield
    except BaseException:
        for target in targets:
            remove(target)
        for target, old in olds.items():
            old.replace(target)
        raise
    for target, old in olds.items():
        keep_as_bad(old, target) if as_bad else remove(old)


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
        raise StepError(
            source.name, f"its command failed: {redact(source.command)}", got=how, advice="Its own words are above."
        )


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
        raise StepError(
            source.name,
            f"its command ended well but wrote no {', '.join(f'{DATA_DIRECTORY}/{path}' for path in missing)}",
            got=", ".join(sorted(path.name for path in data.iterdir() if not path.name.startswith("."))) or "nothing",
            advice="Correct the outputs or the command; it runs in the package's directory.",
        )
    return files
