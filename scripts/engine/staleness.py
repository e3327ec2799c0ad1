"""Decide whether a step is stale, and why: pure functions of what is seen and what was recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from .step import Scalar, Step

MISSING = "missing"
EDITED = "edited by the author before any record"


# Records here are NamedTuples: each frozen dataclass costs a no-op the time to make its class.


class Why(StrEnum):
    """The closed list of reasons."""

    NO_RECORD = "no-record"
    UNREADABLE_RECORD = "unreadable-record"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    FORCED = "forced"
    UPSTREAM = "upstream"
    TARGET_MISSING = "target-missing"
    TARGET_ALTERED = "target-altered"
    DEPENDENCY_CHANGED = "dependency-changed"
    DEPENDENCY_ADDED = "dependency-added"
    DEPENDENCY_REMOVED = "dependency-removed"
    IMPLEMENTATION_CHANGED = "implementation-changed"
    COMMAND_CHANGED = "command-changed"
    PARAM_CHANGED = "param-changed"
    VERSION_CHANGED = "version-changed"


_SENTENCES = {
    Why.NO_RECORD: "never built",
    Why.UNREADABLE_RECORD: "record unreadable: {subject}",
    Why.INTERRUPTED: "interrupted last time",
    Why.RUNNING: "{subject} is building it",
    Why.FORCED: "forced",
    Why.UPSTREAM: "{subject} runs before it",
    Why.TARGET_MISSING: "{subject} missing",
    Why.TARGET_ALTERED: "{subject} altered since it was made",
    Why.DEPENDENCY_CHANGED: "{subject} changed",
    Why.DEPENDENCY_ADDED: "{subject} added",
    Why.DEPENDENCY_REMOVED: "{subject} removed",
    Why.IMPLEMENTATION_CHANGED: "{subject} changed",
    Why.COMMAND_CHANGED: "command changed",
    Why.PARAM_CHANGED: "{subject} changed",
    Why.VERSION_CHANGED: "{subject} changed version",
}


class Reason(NamedTuple):
    """One reason why a step is stale: a code of the closed list, its subject, and both values where there are two."""

    code: Why
    subject: str = ""
    old: Scalar = None
    new: Scalar = None

    def __str__(self) -> str:
        return _SENTENCES[self.code].format(subject=self.subject)

    def detail(self) -> str:
        """Return the sentence with the old and the new value."""
        if self.old is None and self.new is None:
            return str(self)
        return f"{self}: {_short(self.old)} → {_short(self.new)}"


class Seen(NamedTuple):
    """What one step depends on and has made, as fingerprints and values; a record is what its last success saw.

    Keys of `dependencies`, `targets`, `tools` and `inputs` are paths of files: a directory stands as its members, and
    as ``name/`` so that an empty one differs from none. `inputs` are what the command said that it read beside its
    dependencies.
    """

    dependencies: Mapping[str, str]
    targets: Mapping[str, str]
    tools: Mapping[str, str]
    params: Mapping[str, Scalar]
    versions: Mapping[str, Scalar]
    command: str
    inputs: Mapping[str, str] = MappingProxyType({})


class UpToDate(NamedTuple):
    """Nothing that can change a target has changed."""

    reasons: tuple[Reason, ...] = ()


class Stale(NamedTuple):
    """The step must run."""

    reasons: tuple[Reason, ...]


def decide(step: Step, seen: Seen, record: Seen | Reason) -> UpToDate | Stale:
    """Decide whether a step must run.

    Parameters
    ----------
    step : Step
    seen : Seen
        What is there now.
    record : Seen or Reason
        What the last success saw, or the reason why nothing is known of it.
    """
    if isinstance(record, Reason):
        return Stale((record,))
    reasons = (
        *_targets(step, seen.targets, record.targets),
        *_files(seen.dependencies, record.dependencies),
        *_files(seen.inputs, record.inputs),
        *_values(Why.IMPLEMENTATION_CHANGED, seen.tools, record.tools),
        *_command(seen.command, record.command),
        *_values(Why.PARAM_CHANGED, seen.params, record.params),
        *_values(Why.VERSION_CHANGED, seen.versions, record.versions),
    )
    return Stale(reasons) if reasons else UpToDate()


def edited(step: Step, seen: Seen, record: Seen | Reason) -> tuple[str, ...]:
    """Return the editable targets that are there and are not as recorded: an author's work."""
    then = {} if isinstance(record, Reason) else record.targets
    return tuple(
        name
        for name in step.editable
        if under((name,), seen.targets) not in ({}, {name: MISSING})
        and under((name,), seen.targets) != under((name,), then)
    )


def as_made(kept: tuple[str, ...], after: Seen, record: Seen | Reason) -> Seen:
    """Return what to record: an edited target stays recorded as the step made it, so that it stays known as edited."""
    then = {} if isinstance(record, Reason) else record.targets
    targets = dict(after.targets)
    for name in kept:
        for path in under((name,), targets):
            del targets[path]
        targets |= under((name,), then) or {name: EDITED}
    return after._replace(targets=targets)


def _targets(step: Step, now: Mapping[str, str], then: Mapping[str, str]) -> Iterable[Reason]:
    missing = {name for name in step.targets if now.get(name) == MISSING}
    yield from (Reason(Why.TARGET_MISSING, name) for name in step.targets if name in missing)
    made = {name for name in step.targets if name not in step.editable} - missing
    for path, old, new in _differences(under(made, now), under(made, then)) if now != then else ():
        yield Reason(Why.TARGET_MISSING if new is None else Why.TARGET_ALTERED, path, old, new)


def _files(now: Mapping[str, str], then: Mapping[str, str]) -> Iterable[Reason]:
    for path, old, new in _differences(now, then):
        if old is None:
            yield Reason(Why.DEPENDENCY_ADDED, path, None, new)
        elif new is None:
            yield Reason(Why.DEPENDENCY_REMOVED, path, old, None)
        else:
            yield Reason(Why.DEPENDENCY_CHANGED, path, old, new)


def _values(code: Why, now: Mapping[str, Scalar], then: Mapping[str, Scalar]) -> Iterable[Reason]:
    return (Reason(code, key, old, new) for key, old, new in _differences(now, then))


def _command(now: str, then: str) -> Iterable[Reason]:
    return () if now == then else (Reason(Why.COMMAND_CHANGED, "", then, now),)


def _differences(now: Mapping[str, Scalar], then: Mapping[str, Scalar]) -> Iterable[tuple[str, Scalar, Scalar]]:
    """Yield (key, old, new) for each key whose value or type differs; None stands for an absent key."""
    if now == then and {*map(type, now.values())} <= {str}:  # equal numbers may differ in type
        return
    for key in sorted(now.keys() | then.keys()):
        old, new = then.get(key), now.get(key)
        if (key in now) != (key in then) or old != new or type(old) is not type(new):
            yield key, old, new


def under(names: Collection[str], files: Mapping[str, str]) -> dict[str, str]:
    """Return the files, directories and parts of environments that belong to some targets."""
    return {path: value for path, value in files.items() if any(place in names for place in _places(path))}


def _places(path: str) -> Iterator[str]:
    """Yield a path, and all that it is in: directories, the environment that it is a part of."""
    while path:
        yield path
        path = path[: max(path.rfind("/"), path.rfind(": "), 0)]


def _short(value: Scalar) -> str:
    if value is None:
        return "none"
    text = repr(value) if isinstance(value, str) and "\n" in value else str(value)
    if text.startswith("sha256:"):
        digest, _, more = text.partition(" ")  # whether it may be executed
        return f"{digest[:19]}…{more and f' {more}'}"
    return text if len(text) <= 60 else text[:60] + "…"
