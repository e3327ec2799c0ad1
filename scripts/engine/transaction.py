"""A step as a transaction: its targets and its record change together, or not at all, also when everything is killed.

Before a step starts, a journal says what will be moved; the old targets go aside; the step writes; its record is the
commit. Whoever finds a journal later knows from the record's run whether to clean up or to bring the old targets back.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import StepError
from .ledger import Ledger, replace_json, sync, sync_file_system
from .step import STATE_DIRECTORY, Step

RUN_VARIABLE = "PIPELINE_RUN"
NAME_LENGTH = 15  # of a process's name, as Linux keeps it
_PATIENCE_SECONDS = 5.0
_PROOF = "proof"  # it is removed where it is another one
_RESERVE, _RESERVED_BYTES = "reserve", 1 << 20
_SECOND = "journal.json"  # beside the old targets


class Transaction:
    """One run of one step.

    Parameters
    ----------
    root : Path
        The package.
    step : Step
    keep : collection of str
        Targets that an author edited: they stay in place, with a copy aside.
    """

    def __init__(self, root: Path, step: Step, keep: Collection[str]) -> None:
        self.run = os.urandom(8).hex()
        self.root, self._step = root, step
        self._journal = _journals(root) / f"{step.name}.json"
        self._plan = {target: self._fate(target, keep) for target in step.targets}

    def _fate(self, target: str, keep: Collection[str]) -> str:
        if target in self._step.proofs:
            return f"{_PROOF} {_identity(self.root / target)}"
        if self._step.atomic:
            return "stays"
        if not os.path.lexists(self.root / target):
            return "absent"
        return "copied" if target in keep else "moved"

    def begin(self) -> None:
        """Write the journal, set space apart for the record, then move the old targets aside.

        The journal is on the disk before anything moves, and a second time where the old targets go.
        """
        aside = _aside(self.root, self.run)
        self._reserve(aside)
        for journal in (aside / _SECOND, self._journal):
            replace_json(journal, {"step": self._step.name, "run": self.run, "plan": self._plan}, durable=True)
        for number, (target, fate) in enumerate(self._plan.items()):
            path, backup = self.root / target, aside / str(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            if fate == "moved":
                _move(path, backup)
            elif fate == "copied":
                _copy_whole(path, backup)

    def _reserve(self, aside: Path) -> None:
        """Set space apart: a step may replace its targets by itself, and a full disk must not stop its record then."""
        aside.mkdir(parents=True, exist_ok=True)
        known = sum(path.stat().st_size for path in (self.root / STATE_DIRECTORY).glob("*.json"))
        with (aside / _RESERVE).open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, 2 * known + _RESERVED_BYTES)

    def release(self) -> None:
        """Give the space back that was set apart for the record."""
        (_aside(self.root, self.run) / _RESERVE).unlink(missing_ok=True)

    def moved(self) -> Iterator[tuple[str, Path]]:
        """Yield the targets that were moved aside, with where they are until the end."""
        for number, (target, fate) in enumerate(self._plan.items()):
            if fate == "moved":
                yield target, _aside(self.root, self.run) / str(number)

    def commit(self) -> None:
        """Drop the old targets; the record is already written."""
        _finish(self.root, self._journal, self.run)

    def roll_back(self) -> None:
        """Bring the old targets back."""
        _restore(self.root, self.run, self._plan)
        _finish(self.root, self._journal, self.run)


def interrupted(root: Path) -> tuple[str, ...]:
    """Return the steps whose run was cut off and not yet tidied.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        return tuple(sorted(path.stem for path in _journals(root).iterdir() if path.suffix == ".json"))
    return ()


def has_leftovers(root: Path) -> bool:
    """Tell whether old targets lie aside: of a run that is at work, or that was killed when it had been recorded.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        return any((root / STATE_DIRECTORY / "aside").iterdir())
    return False


def recover(root: Path, ledger: Ledger) -> tuple[str, ...]:
    """Tidy up after runs that were cut off, and return the steps whose work was undone.

    Call it with the lock held: then whoever wrote a journal is gone. The old records stand, as the old targets do.

    Parameters
    ----------
    root : Path
        The pipeline's directory.
    ledger : Ledger
    """
    undone = []
    for name in interrupted(root):
        journal = _journals(root) / f"{name}.json"
        document = _read(journal) or _second_journal(root, name)
        run, plan = str(document.get("run", "")), document.get("plan", {})
        kill_run(run)
        if ledger.runs.get(name) != run:
            _restore(root, run, plan)
            undone.append(name)
        _finish(root, journal, run)
    shutil.rmtree(root / STATE_DIRECTORY / "aside", ignore_errors=True)
    for leftover in (root / STATE_DIRECTORY).rglob("*.part"):
        leftover.unlink(missing_ok=True)
    return tuple(undone)


def kill_run(run: str) -> None:
    """End every process that a run started, its descendants included, and wait until they are gone."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (alive := list(processes_of(run))) and time.monotonic() < deadline:
        for pid in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def keep_copy(path: Path) -> Path:
    """Copy an author's edit of a target to a new name beside it, and return that.

    Parameters
    ----------
    path : Path
        The edited target.
    """
    taken = [path.with_name(f"{path.name}.edited")]
    while os.path.lexists(taken[-1]):
        taken.append(path.with_name(f"{path.name}.{len(taken) + 1}.edited"))
    copy(path, taken[-1])
    return taken[-1]


def remove(path: Path) -> None:
    """Remove a file, a link or a directory; nothing where there is nothing.

    Parameters
    ----------
    path : Path
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _restore(root: Path, run: str, plan: dict[str, str]) -> None:
    for number, (target, fate) in enumerate(plan.items()):
        backup = _aside(root, run) / str(number)
        if fate == "absent" or (fate.startswith(_PROOF) and fate != f"{_PROOF} {_identity(root / target)}"):
            remove(root / target)
        elif fate in ("moved", "copied") and os.path.lexists(backup):
            remove(root / target)
            _move(backup, root / target)


def _identity(path: Path) -> str:
    """Return what tells whether a file was written again."""
    with suppress(FileNotFoundError):
        status = path.lstat()
        return f"{status.st_ino} {status.st_ctime_ns}"
    return "none"


def _finish(root: Path, journal: Path, run: str) -> None:
    journal.unlink(missing_ok=True)
    if run:
        shutil.rmtree(_aside(root, run), ignore_errors=True)


def _read(journal: Path) -> dict[str, Any]:
    try:
        document = json.loads(journal.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _second_journal(root: Path, name: str) -> dict[str, Any]:
    """Return what a step's damaged journal said, from where its old targets are."""
    documents = (_read(path) for path in sorted(_aside(root, "").glob(f"*/{_SECOND}")))
    return next((document for document in documents if document.get("step") == name), {})


def processes_of(run: str) -> Iterator[int]:
    """Yield the processes that a run started, its descendants included."""
    if not run:
        return
    mark, name = f"{RUN_VARIABLE}={run}".encode(), f"{run[:NAME_LENGTH]}\n".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (entry / "environ").read_bytes()  # empty once the process has ended
            # A fork of a host shows the host's environment; it has the run's name instead.
            if mark in environment.split(b"\0") or (environment and (entry / "comm").read_bytes() == name):
                yield int(entry.name)


def _move(source: Path, target: Path) -> None:
    """Move a file or a directory, in one rename where the system can; whole at its target before it leaves its source.

    A rename fails across file systems, such as behind a link to another disk, or in a layer of a container.
    """
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.EBUSY:
            advice = "It is a mount point: mount a directory above it, or name a directory inside it as the target."
            raise StepError(source.name, "cannot be moved", got=error.strerror, advice=advice) from error
        if error.errno != errno.EXDEV:
            raise
        _copy_whole(source, target)
        remove(source)


def _copy_whole(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    copy(source, part)
    part.rename(target)
    sync(target.parent)


def copy(source: Path, target: Path) -> None:
    """Copy a file, a link or a directory as it is, instead of what is at `target`; it is on the disk then.

    Parameters
    ----------
    source, target : Path
    """
    remove(target)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
        sync_file_system(target)
        return
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        sync(target)
    sync(target.parent)


def _journals(root: Path) -> Path:
    return root / STATE_DIRECTORY / "running"


def _aside(root: Path, run: str) -> Path:
    return root / STATE_DIRECTORY / "aside" / run
