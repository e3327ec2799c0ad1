"""A step: one unit of work, declared as data and validated at construction."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .errors import UsageError

Scalar = str | int | float | bool | None
STATE_DIRECTORY = ".pipeline"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Step:
    """One unit of work of a pipeline.

    Parameters
    ----------
    name : str
        Unique in the pipeline.
    command : str or sequence of str
        A shell line, or an argument vector. ``{key}`` is replaced by ``places[key]`` just before it runs, so that what
        is recorded holds no absolute path.
    dependencies : sequence of str
        Files and directories that the step reads, relative to the pipeline's root.
    ahead : sequence of str
        The argument vector of a command that prepares something for this one. Its failure is of no account.
    beside : str
        The earlier step beside which that command runs, where it runs.
    left_out : str
        A path inside a directory dependency, relative to the root, that does not count. Empty for none.
    targets : sequence of str
        Files and directories that the step writes, relative to the root.
    params, versions : mapping of str to scalar
        Values, and versions of programs, that can change a target.
    tools : mapping of str to str
        The step's own implementation: a portable label for each file or directory outside the root.
    after : sequence of str
        Steps that come before this one though no file says so.
    evidence : sequence of str
        Files and directories that the step leaves where it fails, for a person to look at. They are no targets: nothing
        depends on them, and `clean` removes what is as the step left it.
    editable : sequence of str
        Those targets that an author may edit: an edit is kept and counts as new content for later steps.
    atomic : bool
        The command replaces its targets whole, by itself: the last good ones stay in place while it runs. Otherwise the
        runner moves them aside first and brings them back on failure.
    live : bool
        The command talks to the person while it runs: its stderr is the terminal's, not the log's.
    told : bool
        What the command writes to stdout is for the person, who is told it once the command has ended. The log ends
        with it.
    env : mapping of str to str
        Environment variables for the command.
    places : mapping of str to str
        Absolute paths for the command's placeholders.
    once : sequence of str
        Arguments for this run alone: they are given to the command and not recorded.
    host : sequence of str
        The argument vector of an interpreter that imports what the command needs, and then runs the command in a fork
        of itself: the same result sooner. It serves all steps of a build that name it. Its first word is the command's.
    light : bool
        The command by itself is quicker than the start of its host: it runs in one that is there, and starts none.

    Raises
    ------
    UsageError
        If a name or a path cannot be used, with every problem at once.
    """

    name: str
    command: str | tuple[str, ...]
    dependencies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    params: Mapping[str, Scalar] = field(default_factory=dict)
    versions: Mapping[str, Scalar] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()
    atomic: bool = False
    live: bool = False
    told: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    once: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    light: bool = False
    left_out: str = ""
    ahead: tuple[str, ...] = ()
    beside: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.command, str):
            object.__setattr__(self, "command", tuple(self.command))
        object.__setattr__(self, "after", _several(self.after))
        for name in ("dependencies", "targets", "evidence", "editable"):
            object.__setattr__(self, name, tuple(_normal(path) for path in _several(getattr(self, name))))
        problems = [problem for problem in self._problems() if problem]
        if problems:
            raise UsageError(f"step {self.name!r}", "; ".join(problems), advice="Mend the step's declaration.")

    def _problems(self) -> Iterable[str]:
        if not _NAME.fullmatch(self.name):
            yield "expected a name of letters, digits, '-', '_' and '.'"
        if not self.command:
            yield "it has no command"
        for kind, path in (
            *(("target", each) for each in self.targets),
            *(("evidence", each) for each in self.evidence),
        ):
            if path == "." or path.startswith(("/", "../")) or path == "..":
                yield f"{kind} {path!r} is not inside the root"
            if path == STATE_DIRECTORY or path.startswith(STATE_DIRECTORY + "/"):
                yield f"{kind} {path!r} is inside {STATE_DIRECTORY}/, which is the pipeline's own"
        for path in self.evidence:
            for target in self.targets:
                if overlaps(path, target):
                    yield f"evidence {path!r} is the target {target!r}, or one lies inside the other"
        for target in sorted({t for t in self.targets if self.targets.count(t) > 1}):
            yield f"target {target!r} is declared twice"
        if self.host and self.host[0] != self.command[0]:
            yield f"host {self.host[0]!r} is not the command's own interpreter"
        for target in set(self.editable) - set(self.targets):
            yield f"editable {target!r} is not one of its targets"
        for key, value in (*self.params.items(), *self.versions.items()):
            if not isinstance(value, str | int | float | bool | None):
                yield f"value {key!r} is a {type(value).__name__}, expected a string, a number, a boolean or None"

    def argv(self) -> list[str]:
        """Return the argument vector with its placeholders replaced."""
        words = ("/bin/sh", "-c", self.command) if isinstance(self.command, str) else self.command
        return [*self.placed(words), *self.once]

    def placed(self, words: Iterable[str]) -> list[str]:
        """Return the words of a command with their placeholders replaced."""
        return [self._place(word) for word in words]

    def _place(self, word: str) -> str:
        for key, value in self.places.items():
            word = word.replace("{" + key + "}", value)
        return word

    def command_text(self) -> str:
        """Return the command as it is recorded: placeholders kept, one line per word."""
        return self.command if isinstance(self.command, str) else "\n".join(self.command)


def overlaps(one: str, other: str) -> bool:
    """Tell whether two normal paths are the same or one lies inside the other."""
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")


def _several(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise UsageError(repr(value), "expected a list of paths or names", got="one string")
    return tuple(str(item) for item in value)


def _normal(path: str) -> str:
    return posixpath.normpath(path)
