"""Fingerprints of files, directories and virtual environments, by content. This module only reads.

A stat cache spares the hashing of a file whose size, modification time, change time and inode are as they were when it
was hashed. The change time cannot be set by a program, so an edit that restores size and modification time is seen.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from .errors import UsageError
from .staleness import MISSING, Seen
from .step import Step

# What editors, file managers and Python leave behind among code; in a directory without a .py file it counts.
_IGNORED = {"__pycache__", "4913", ".DS_Store", "Thumbs.db"}
_IGNORED |= {".ipynb_checkpoints", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
_IGNORED_ENDS = (".pyc", ".pyo", "~")
_IGNORED_STARTS = (".#", ".nfs")

# At the top of a virtual environment: what is installed, which stands as a whole, and what makers of one write.
_ENVIRONMENTS_OWN = {"bin", "etc", "include", "lib", "lib64", "man", "pyvenv.cfg", "share"}
_ENVIRONMENTS_OWN |= {".gitignore", ".lock", "CACHEDIR.TAG"}

_EXECUTABLE = " executable"

# The kernel stamps a change with its coarse clock. A file changed within one tick of being hashed could change again
# without another stamp, so hashing waits the tick out. Some file systems stamp whole seconds, and are not waited for.
_TICK_NS = 20_000_000
_COARSE_NS = 2_000_000_000

Entry = tuple[int, int, int, int, str]
Stamp = tuple[os.stat_result, Sequence[str]]  # with the names of all that a directory held
Lines = Callable[[bytes], bool]
Memo = dict[tuple[str, str, tuple[str, ...]], Mapping[str, str]]


class StatCache:
    """Fingerprints by path, valid while the file's stat is what it was.

    Parameters
    ----------
    entries : mapping of str to sequence
        Size (bytes), modification time, change time (ns), inode and fingerprint of each path, from an earlier run.
    """

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self._old = dict(entries or {})
        self._rehashed: set[str] = set()
        self.entries: dict[str, Entry] = {}
        self.stamps: dict[str, Stamp] = {}  # what each file and directory was like when this run looked at it last
        self.uncounted: set[str] = set()  # names of what was passed over in directories
        self.changed = False

    def fingerprint(self, path: str, name: str, status: os.stat_result, counts: Lines | None = None) -> str:
        """Return the fingerprint of a regular file, or of those lines that count, hashing what the cache lacks."""
        self.stamps[name], key = (status, ()), _key(status)
        for known in (self.entries.get(name), self._old.get(name)):
            if known is not None and known[:4] == key:
                self.entries[name] = known
                return known[4]
        self.changed = True
        self._rehashed.add(name)
        self.entries.pop(name, None)
        value, settled = _hash(path, counts)
        if settled is not None:
            self.entries[name] = (*settled, value)
        return value

    def adopt(self, other: StatCache) -> None:
        """Learn what another process has hashed meanwhile."""
        self._old.update(other.kept())

    def kept(self) -> Mapping[str, Entry]:
        """Return the entries to keep: what this run looked at, and the rest of what earlier ones knew."""
        return {**{name: entry for name, entry in self._old.items() if name not in self._rehashed}, **self.entries}


def see(step: Step, root: str, cache: StatCache, memo: Memo | None = None, inputs: Collection[str] = ()) -> Seen:
    """Look at all that `step` depends on and has made; `inputs` are what it read beside its dependencies.

    Raises
    ------
    UsageError
        If something that should be read cannot be: unreadable, a dangling or looping link, not a file or directory. A
        missing path is no error here: its fingerprint says that it is missing.
    """
    memo = {} if memo is None else memo

    def several(paths: Iterable[tuple[str, str]], ignored: tuple[str, ...] = (), without: str = "") -> dict[str, str]:
        files: dict[str, str] = {}
        for name, path in paths:
            inside_it = tuple(each for each in ignored if each.startswith(f"{name}/"))
            if (path, name, inside_it) not in memo:
                found = scan(path, name, cache, inside_it).items()
                memo[path, name, inside_it] = {each: value.removesuffix(without) for each, value in found}
            files.update(memo[path, name, inside_it])
        return files

    def inside(names: Collection[str]) -> Iterator[tuple[str, str]]:
        return ((name, os.path.join(root, name)) for name in names)

    return Seen(
        dependencies=several(inside(step.dependencies), step.ignored),
        targets=several(inside(step.targets), step.ignored),
        tools=several(step.tools.items(), without=_EXECUTABLE),
        params=dict(step.params),
        versions=dict(step.versions),
        command=step.runs.text(),
        inputs=several(inside(inputs)),
    )


def scan(path: str, name: str, cache: StatCache, ignored: Collection[str] = ()) -> Mapping[str, str]:
    """Return the fingerprints of a file, or of all members of a directory, by their names.

    Parameters
    ----------
    path : str
        Where it is.
    name : str
        What it is called in the result; members are called ``name/member``.
    cache : StatCache
    ignored : collection of str
        Names of members that do not count.
    """
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            return {name: cache.fingerprint(path, name, status) + _right(status)}
        if stat.S_ISDIR(status.st_mode):
            if _is_environment(path):
                return dict(_environment(path, name, cache))
            return dict(_members(path, name, cache, (os.path.realpath(path),), ignored))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and not os.path.islink(path):
            return {name: MISSING}
        raise _unreadable(path, name, error) from error
    raise UsageError(name, "expected a file or a directory", got="a device, pipe or socket", advice="Replace it.")


def _members(
    path: str, name: str, cache: StatCache, trail: tuple[str, ...], ignored: Collection[str]
) -> Iterator[tuple[str, str]]:
    yield name + "/", "directory"
    with os.scandir(path) as entries:
        members = sorted(entries, key=lambda entry: entry.name)
    if not ignored:  # what is made in it is a target
        cache.stamps[f"{name}/"] = os.stat(path), [entry.name for entry in members]
    is_code = any(entry.name.endswith(".py") for entry in members)
    for entry in members:
        member = f"{name}/{entry.name}"
        if member in ignored or (is_code and _is_ignored(entry.name)):
            cache.uncounted.add(member)
            continue
        try:
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                yield member, cache.fingerprint(entry.path, member, status) + _right(status)
            elif stat.S_ISDIR(status.st_mode):
                inner = trail
                if entry.is_symlink():
                    inner = (*trail, os.path.realpath(entry.path))
                    if any(inner[-1] == outer or outer.startswith(inner[-1] + "/") for outer in trail):
                        raise OSError(errno.ELOOP, "the link leads back to a directory above it")
                yield from _members(entry.path, member, cache, inner, ignored)
            else:
                raise OSError(errno.EINVAL, "it is a device, pipe or socket")
        except OSError as error:
            raise _unreadable(entry.path, member, error) from error


def _right(status: os.stat_result) -> str:
    """Return what a file's fingerprint ends with: a script that may not be executed is another script."""
    return _EXECUTABLE if status.st_mode & stat.S_IXUSR else ""


def _is_environment(path: str) -> bool:
    """Tell whether a directory is a virtual environment, and not one that only holds a file of that name."""
    if not os.path.lexists(os.path.join(path, "pyvenv.cfg")):
        return False
    return any(os.path.isdir(os.path.join(entry.path, "site-packages")) for entry in _list(os.path.join(path, "lib")))


def _environment(path: str, name: str, cache: StatCache) -> Iterator[tuple[str, str]]:
    """Stand for a virtual environment by its interpreter, what is installed in it and the names in it.

    Tens of thousands of installed files are not read at each build: each distribution's RECORD lists their hashes.
    """
    settings = dict(_settings(os.path.join(path, "pyvenv.cfg")))
    for key in ("home", "implementation", "version_info", "include-system-site-packages"):
        yield f"{name}: {key}", settings.get(key, "")
    interpreter = os.path.realpath(os.path.join(path, "bin", "python"))
    yield f"{name}: interpreter", _optional(interpreter, f"{name}: interpreter", cache)
    yield f"{name}: programs", " ".join(entry.name for entry in _list(os.path.join(path, "bin")))
    for entry in _list(path):
        if entry.name not in _ENVIRONMENTS_OWN:  # somebody's own, beside it
            yield from scan(entry.path, f"{name}/{entry.name}", cache).items()
    for library in _list(os.path.join(path, "lib")):
        packages = _list(os.path.join(library.path, "site-packages"))
        yield f"{name}: modules", " ".join(e.name for e in packages if not e.name.endswith(".dist-info"))
        for entry in packages:
            if entry.name.endswith(".dist-info"):
                distribution = f"{name}: {entry.name[:-10].replace('-', ' ')}"
                yield distribution, _optional(os.path.join(entry.path, "RECORD"), distribution, cache, _stays_in_place)


def _is_ignored(name: str) -> bool:
    if name in _IGNORED or name.endswith(_IGNORED_ENDS) or name.startswith(_IGNORED_STARTS):
        return True
    swap = name.startswith(".") and name[:-1].endswith(".sw")
    return swap or (name.startswith("#") and name.endswith("#"))


def _list(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted((entry for entry in entries if not _is_ignored(entry.name)), key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _optional(path: str, name: str, cache: StatCache, counts: Lines | None = None) -> str:
    try:
        return cache.fingerprint(path, name, os.stat(path), counts)
    except FileNotFoundError:
        return MISSING


def _settings(path: str) -> Iterator[tuple[str, str]]:
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def _stays_in_place(line: bytes) -> bool:
    """Tell whether a line of a RECORD is of a file of the library: a started script holds the environment's path."""
    return not line.startswith(b"../")


def _hash(path: str, counts: Lines | None = None) -> tuple[str, tuple[int, int, int, int] | None]:
    """Hash a file; also return the stat that the hash holds for, or None where a later edit might not show in it."""
    import hashlib  # not on the way to a no-op

    with open(path, "rb") as stream:
        before = stamp(stream.fileno())
        if counts is None:
            value = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        else:
            value = "sha256:" + hashlib.sha256(b"".join(line for line in stream if counts(line))).hexdigest()
        settled = before == _key(os.fstat(stream.fileno()))
    return value, before if settled else None


def stamp(descriptor: int) -> tuple[int, int, int, int] | None:
    """Return size, modification and change time and inode of a file, from which any later edit makes it differ.

    None where a later edit might not show in it.
    """
    _wait_out_the_tick(os.fstat(descriptor).st_ctime_ns)
    status, now = os.fstat(descriptor), time.time_ns()
    margin = _COARSE_NS if status.st_ctime_ns % 1_000_000_000 == 0 else _TICK_NS
    return _key(status) if now - status.st_ctime_ns >= margin else None


def _key(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _wait_out_the_tick(changed_ns: int) -> None:
    age = time.time_ns() - changed_ns
    if 0 <= age < _TICK_NS:
        time.sleep((_TICK_NS - age) / 1e9)


def _unreadable(path: str, name: str, error: OSError) -> UsageError:
    if os.path.islink(path) and error.errno == errno.ENOENT:
        return UsageError(name, "its link leads nowhere", got=os.readlink(path), advice="Repoint or remove the link.")
    if error.errno == errno.ELOOP:
        return UsageError(name, "its link leads back to itself", advice="Repoint or remove the link.")
    return UsageError(
        name, "it cannot be read", got=error.strerror or str(error), advice="Fix its permissions or remove it."
    )
