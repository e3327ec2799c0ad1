"""Read model_data.toml into frozen, validated sources; every problem is collected before raising."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

from model_side.base.errors import UsageError, near
from model_side.base.redact import redact
from model_side.model.declared_data import DECLARATION, declared_document, declared_paths, named_files

from .address import address_problem, plain

DATA_DIRECTORY = "model_data"
# Names inside model_data/ that belong to the tool; `.gitignore` comes with the template.
DESKS, FORMER_RECORD = ".downloads", ".sources.json"
RESERVED_NAMES = (DESKS, FORMER_RECORD, ".gitignore")

KINDS = {
    "uri": {"uri", "path", "sha256", "unpack", "mutable"},
    "package": {"package", "member", "path", "sha256", "unpack", "mutable"},
    "command": {"command", "outputs", "path", "sha256", "mutable"},
}
_PLACE = {"path": "say where in model_data/ the file goes"}
_REQUIRED: Mapping[str, Mapping[str, str]] = {
    "uri": _PLACE,
    "package": {"member": "say which file or directory of the wheel is wanted", **_PLACE},
    "command": {},
}
MEANINGS = {
    "uri": "`https://`, `file://`, `s3://`, `gs://`, `hf://owner/repo/file@revision`, `doi:`, or what fsspec reads",
    "package": "a pinned wheel of the Python index, `name==version`",
    "member": "a file or directory in the wheel",
    "command": "a command that runs in the model environment",
    "outputs": "what it makes, inside `model_data/`",
    "path": "where the file or directory goes inside `model_data/`",
    "sha256": "of the file, or of the list of a directory's files; `download-data --lock` fills it in",
    "unpack": "`true`: the file is an archive (tar, tar.gz, tar.zst, zip) to unpack into `path`",
    "mutable": "`true`: a missing sha256 is accepted, with a warning",
}
KEYS = sorted(MEANINGS)
_FLAG = (bool, "true or false")
_TYPES: Mapping[str, tuple[type, str]] = {"unpack": _FLAG, "mutable": _FLAG, "outputs": (list, "a list")}
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]*\])?==[A-Za-z0-9.!+_-]+")


@dataclass(frozen=True)
class Source:
    """One ``[[source]]`` of model_data.toml.

    Parameters
    ----------
    paths : tuple of str
        What it brings, relative to model_data/. One path, or several outputs of a command.
    uri, package, member, command : str
        Where it comes from; exactly one of uri, package and command is given.
    sha256 : str
        64 hexadecimal digits; empty where it is not known yet.
    unpack : bool
        Whether the file is an archive to unpack into the path.
    mutable : bool
        Whether a missing sha256 is accepted.
    number : int
        Its place in the file, from 1.
    scripts : str
        Digest of the package's own files that the command names; empty where it names none.
    """

    paths: tuple[str, ...]
    number: int
    uri: str = ""
    package: str = ""
    member: str = ""
    command: str = ""
    sha256: str = ""
    unpack: bool = False
    mutable: bool = False
    scripts: str = ""

    @property
    def name(self) -> str:
        """Return what reports call it."""
        return ", ".join(f"{DATA_DIRECTORY}/{path}" for path in self.paths)

    @property
    def shown(self) -> str:
        """Return where it comes from, without credentials."""
        return redact(self.uri or self.command) or f"{self.package} {self.member}".rstrip()

    @property
    def is_local(self) -> bool:
        """Tell whether it is on this machine."""
        return self.uri.startswith("file:")

    @property
    def origin(self) -> str:
        """Return a digest of where it comes from: it changes when the declaration does, and gives no secret away."""
        facts = [self.uri, self.package, self.member, self.command, self.unpack, *self.paths]
        facts += [self.scripts] if self.scripts else []
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_declaration(package: Path) -> tuple[Source, ...]:
    """Return the sources that the package declares; none where there is no file.

    Parameters
    ----------
    package : Path

    Returns
    -------
    tuple of Source

    Raises
    ------
    UsageError
        If the file is not what it should be; every problem is listed.
    """
    path = package / DECLARATION
    tables, problems = _tables(declared_document(path))
    sources = []
    for number, table in enumerate(tables, start=1):
        found = list(_table_problems(table))
        problems += [f"source {number}: {problem}" for problem in found]
        if not found:
            sources.append(_source(table, number, package))
    problems += _clashes(sources)
    if problems:
        fault = problems[0] if len(problems) == 1 else "".join(f"\n  - {problem}" for problem in problems)
        raise UsageError(str(path), redact(fault), advice="Fix the file." if len(problems) > 1 else "")
    return tuple(sources)


def _tables(document: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[str]]:
    problems = [f"unknown key {key!r}. {_nearest(key, ['source'])}" for key in document if key != "source"]
    tables = document.get("source", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return [], [*problems, "source: expected [[source]] tables, with double brackets"]
    return tables, problems


def _table_problems(table: Mapping[str, Any]) -> Iterator[str]:
    kinds = [kind for kind in KINDS if kind in table]
    unknown = [key for key in table if key not in KEYS]
    yield from (f"unknown key {key!r}. {_nearest(key, KEYS)}" for key in unknown)
    if len(kinds) != 1:
        yield f"expected exactly one of uri, package, command, got {' and '.join(kinds) or 'none'}"
        return
    types = {key: _TYPES.get(key, (str, "a text")) for key in KEYS if key in table}
    wrong = [f"{key}: expected {words}, got {table[key]!r}" for key, (kind, words) in types.items()
             if not isinstance(table[key], kind)]  # fmt: skip
    yield from wrong
    yield from (f"{key}: it does not go with {kinds[0]}" for key in types if key not in KINDS[kinds[0]])
    if not wrong:
        yield from _value_problems(table, kinds[0])


def _value_problems(table: Mapping[str, Any], kind: str) -> Iterator[str]:
    yield from (f"{key}: missing: {what}" for key, what in _REQUIRED[kind].items() if key not in table)
    if kind == "uri" and (problem := address_problem(table["uri"])):
        yield f"uri: {problem}"
    if kind == "package" and not _PINNED.fullmatch(table["package"].replace(" ", "")):
        yield f"package: expected name==version, got {table['package']!r}"
    if _outside(table.get("member", "")):
        yield f"member: expected a path inside the wheel, got {table['member']!r}"
    if kind == "command":
        yield from _command_problems(table)
    sha256 = table.get("sha256", "")
    if sha256 and not re.fullmatch(r"(sha256:)?[0-9a-fA-F]{64}", sha256):
        yield f"sha256: expected 64 hexadecimal digits, got {sha256!r}"
    for path in declared_paths(table):
        if problem := _path_problem(path):
            yield f"{'outputs' if 'outputs' in table else 'path'}: {problem}"


def _command_problems(table: Mapping[str, Any]) -> Iterator[str]:
    if not table["command"].strip():
        yield "command: it is empty"
    if ("outputs" in table) == ("path" in table):
        yield "expected outputs = [...], or path for a single one: what the command writes in model_data/"
    outputs = table.get("outputs", [""])
    if not outputs or not all(isinstance(output, str) for output in outputs):
        yield f"outputs: expected a list of paths, got {outputs!r}"


def _path_problem(path: str) -> str | None:
    parts = PurePosixPath(path).parts
    if not parts or _outside(path):
        return f"expected a path inside {DATA_DIRECTORY}/, relative to it, got {path!r}"
    if parts[0] in RESERVED_NAMES:
        return f"{path!r} is a name reserved for the tool"
    return None


def _outside(path: str) -> bool:
    return path.startswith("/") or ".." in PurePosixPath(path).parts or "\\" in path or "\0" in path


def _clashes(sources: list[Source]) -> list[str]:
    claims = [(PurePosixPath(path), source.number) for source in sources for path in source.paths]
    problems = []
    for (one, first), (other, second) in combinations(sorted(claims), 2):
        if one == other:
            problems.append(f"path {str(one)!r} is declared twice, by sources {first} and {second}")
        elif one in other.parents:
            problems.append(f"path {str(other)!r} of source {second} lies inside {str(one)!r} of source {first}")
    return problems


def _source(table: Mapping[str, Any], number: int, package: Path) -> Source:
    given = {key: value for key, value in table.items() if key not in ("path", "outputs", "sha256", "uri")}
    return Source(
        paths=tuple(str(PurePosixPath(path)) for path in declared_paths(table)),
        number=number,
        uri=plain(table.get("uri", "")),
        sha256=table.get("sha256", "").removeprefix("sha256:").lower(),
        scripts=_scripts(table.get("command", ""), package),
        **given,
    )


def _scripts(command: str, package: Path) -> str:
    names = named_files(command, package)
    digests = [f"{name} {hashlib.sha256((package / name).read_bytes()).hexdigest()}" for name in names]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest() if names else ""


def _nearest(word: str, known: list[str]) -> str:
    return near(word, known) or f"Known: {', '.join(known)}."
