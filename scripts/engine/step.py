"""A step: one unit of work, declared as data and validated at construction."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from .errors import UsageError

Scalar = str | int | float | bool | None
STATE_DIRECTORY = ".pipeline"
# What the engine itself keeps there.
KEPT = "kept"
STATE_NAMES = ("aside", "holder.json", KEPT, "ledger.json", "lock", "logs", "running", "stat.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Says(StrEnum):
    """Where the output of a command goes."""

    LOG = "log"  # to the log, which is shown where the command fails
    AFTERWARDS = "afterwards"  # stdout is shown when the command has ended, and ends the log
    LIVE = "live"  # stderr is the terminal's, for progress bars


class Command(NamedTuple):
    """What a step runs, and how.

    Parameters
    ----------
    words : str or sequence of str
        A shell line, or an argument vector that no shell sees.
    places : mapping of str to str
        What ``{key}`` stands for in the words and in `env`: absolute paths, which are not recorded.
    env : mapping of str to str
        Environment variables; not recorded either.
    says : Says
        Where its output goes.
    once : sequence of str
        Arguments for this run alone, not recorded.
    host : sequence of str
        The argument vector of an interpreter that imports what the command needs, and then runs the command in a fork
        of itself: the same result sooner. It serves all steps of a build that name it. Its first word is the command's.
    light : bool
        The command alone is quicker than the start of its host: it uses a host that runs already, and starts none.
    late : callable, optional
        Returns more arguments, not recorded, when the command is about to start: what earlier steps found may decide.
    """

    words: str | tuple[str, ...]
    places: Mapping[str, str] = MappingProxyType({})
    env: Mapping[str, str] = MappingProxyType({})
    says: Says = Says.LOG
    once: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    light: bool = False
    late: Callable[[], Sequence[str]] | None = None

    def argv(self) -> list[str]:
        """Return the argument vector with its placeholders replaced."""
        words = ("/bin/sh", "-c", self.words) if isinstance(self.words, str) else self.words
        return [*self.placed(words), *self.once, *(self.late() if self.late else ())]

    def environment(self) -> dict[str, str]:
        """Return the environment variables with their placeholders replaced."""
        return dict(zip(self.env, self.placed(self.env.values()), strict=True))

    def placed(self, words: Iterable[str]) -> list[str]:
        """Return words with their placeholders replaced."""
        return [self._place(word) for word in words]

    def _place(self, word: str) -> str:
        for key, value in self.places.items():
            word = word.replace("{" + key + "}", value)
        return word

    def text(self) -> str:
        """Return the command as it is recorded: placeholders kept, one line per word."""
        return self.words if isinstance(self.words, str) else "\n".join(self.words)


class Preparation(NamedTuple):
    """What prepares something for a step while an earlier one runs. Its failure is ignored.

    Parameters
    ----------
    command : Command
    beside : str
        The earlier step that it runs beside.
    """

    command: Command
    beside: str


@dataclass(frozen=True)
class Step:
    """One unit of work of a pipeline.

    Parameters
    ----------
    name : str
        Unique in the pipeline.
    command : str, sequence of str or Command
        A shell line, an argument vector, or either with how it runs. ``{key}`` in it is replaced by the parameter or
        the place of that name just before it runs.
    dependencies : sequence of str
        Files and directories that the step reads, relative to the pipeline's root.
    targets : sequence of str
        Files and directories that the step writes, relative to the root.
    params, versions : mapping of str to scalar
        Values, and versions of programs, that can change a target.
    tools : mapping of str to str
        The step's own implementation: a portable label for each file or directory outside the root.
    after : sequence of str
        Steps that come before this one though no file says so.
    editable : sequence of str
        Those targets that an author may edit: an edit is kept and counts as new content for later steps.
    evidence : sequence of str
        Files and directories that the step leaves where it fails, for a person to look at. They are not targets:
        nothing depends on them, and `clean` removes what is as the step left it.
    ignored : sequence of str
        Paths inside directories among dependencies and targets that do not count, relative to the root.
    atomic : bool
        The command replaces its targets whole, by itself: the last good ones stay in place while it runs. Otherwise the
        runner moves them aside first and brings them back on failure.
    proofs : sequence of str
        Those targets of an atomic command that say that all is well: one that it wrote is removed where its run is not
        recorded, as when a dependency changed meanwhile.
    restorable : bool
        The step does nothing but make its targets of what it reads: a former result may be restored instead of a run.
    preparation : Preparation, optional
    apart : callable, optional
        Asked when the step could start: whether it must not run beside another step of the pipeline that has one, too.
    refusal : callable, optional
        Returns why the step cannot run as things are, nothing where it can. It is asked where the step is stale, before
        any step runs.

    Raises
    ------
    UsageError
        If a name or a path cannot be used, with every problem at once.
    """

    name: str
    command: str | Sequence[str] | Command
    dependencies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    params: Mapping[str, Scalar] = field(default_factory=dict)
    versions: Mapping[str, Scalar] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    atomic: bool = False
    proofs: tuple[str, ...] = ()
    restorable: bool = True
    preparation: Preparation | None = None
    apart: Callable[[], bool] | None = None
    refusal: Callable[[], str] | None = None
    runs: Command = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("dependencies", "targets", "evidence", "editable", "ignored", "proofs"):
            object.__setattr__(self, name, tuple(posixpath.normpath(path) for path in _several(getattr(self, name))))
        object.__setattr__(self, "after", _several(self.after))
        command = self.command if isinstance(self.command, Command) else Command(_words(self.command))
        values = {key: str(value) for key, value in self.params.items()}
        object.__setattr__(self, "runs", command._replace(places={**values, **command.places}))
        problems = [problem for problem in self._problems() if problem]
        if problems:
            raise UsageError(f"step {self.name!r}", "; ".join(problems), advice="Fix the step's declaration.")

    def _problems(self) -> Iterable[str]:
        if not _NAME.fullmatch(self.name):
            yield "expected a name of up to 100 letters, digits, '-', '_' and '.'"
        if not self.runs.words:
            yield "it has no command"
        for kind, paths in (("target", self.targets), ("evidence", self.evidence)):
            for path in paths:
                if path == "." or path.startswith(("/", "../")) or path == "..":
                    yield f"{kind} {path!r} is not inside the root"
                if path == STATE_DIRECTORY or any(overlaps(path, f"{STATE_DIRECTORY}/{name}") for name in STATE_NAMES):
                    yield f"{kind} {path!r} is the pipeline's own"
        for path in self.evidence:
            for target in self.targets:
                if overlaps(path, target):
                    yield f"evidence {path!r} is the target {target!r}, or one lies inside the other"
        for target in sorted({t for t in self.targets if self.targets.count(t) > 1}):
            yield f"target {target!r} is declared twice"
        if self.runs.host and self.runs.host[0] != self.runs.words[0]:
            yield f"host {self.runs.host[0]!r} is not the command's own interpreter"
        for kind, paths in (("editable", self.editable), ("proof", self.proofs)):
            for target in set(paths) - set(self.targets):
                yield f"{kind} {target!r} is not one of its targets"
        if self.proofs and not self.atomic:
            yield "proofs are of an atomic command"
        if "." in self.dependencies:
            yield "dependency '.' is the root, with the pipeline's own files: name what is read of it"
        for key, value in (*self.params.items(), *self.versions.items()):
            # Of these exactly: a subclass, such as an enum or a number of numpy, is another value in the record.
            if type(value) not in (str, int, float, bool, type(None)) or value != value:
                kind = type(value).__name__ if value == value else "NaN"
                yield f"value {key!r} is a {kind}, expected a string, a number, a boolean or None"


def overlaps(one: str, other: str) -> bool:
    """Tell whether two normal paths are the same or one lies inside the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _words(command: str | Sequence[str]) -> str | tuple[str, ...]:
    return command if isinstance(command, str) else tuple(command)


def _several(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise UsageError(repr(value), "expected a list of paths or names", got="one string")
    return tuple(str(item) for item in value)
