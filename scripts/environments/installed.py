"""What is installed in an environment, by its own records: read from the file system, no interpreter is started."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import stat
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\,*]+)\s*\\?$")
# What PEP 440 takes for the same: 1.00-rc.1 and 1.0rc1, 2.0.0 and 2.
_SAME = (
    (re.compile(r"[-_.]*([a-z]+)[-_.]*"), r"\1"),
    (re.compile(r"(?<![0-9a-z])0+(?=[0-9])"), ""),
    (re.compile(r"(?:\.0)+(?=$|[+a-z])"), ""),
)


def site_packages(environment: Path) -> Path:
    """Return the directory that an environment's distributions are in."""
    return next(environment.glob("lib/python3*/site-packages"), environment / "lib" / "site-packages")


def installed(environment: Path) -> dict[str, str]:
    """Return the version of each installed distribution by its normal name."""
    return {_normal(name): version for name, version in _named(environment)}


def pins(requirements: str) -> dict[str, str]:
    """Return the exact versions that requirements ask for without a condition, by normal name."""
    found = (_PIN.match(re.sub(r"\s+#.*", "", line).strip()) for line in requirements.splitlines())
    return {_normal(match[1]): match[2] for match in found if match}


def altered_files(environment: Path, suspects: Container[str] = ()) -> Iterator[str]:
    """Yield the installed files that are not what their distribution's RECORD says.

    Parameters
    ----------
    environment : Path
    suspects : container of str
        Paths in the environment whose content is looked at, too, not only whether they are there and of the right size.
    """
    place = os.path.relpath(site_packages(environment), environment)
    for name, checksum, size in recorded(environment):
        path = os.path.normpath(f"{place}/{name}")
        found = look(f"{environment}/{path}") or [-1]
        if (size and found[0] != int(size)) or (
            path in suspects and checksum and _checksum(environment / path) != checksum
        ):
            yield path


def recorded(environment: Path) -> Iterator[list[str]]:
    """Yield the path in site-packages, the hash and the size of each file that the distributions record."""
    for record in sorted(site_packages(environment).glob("*.dist-info/RECORD")):
        with record.open(encoding="utf-8", newline="") as stream:
            yield from csv.reader(stream)


def pin_faults(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield where installed distributions are not the pinned ones."""
    for name, version in sorted(wanted.items()):
        there = _plain(found.get(name, ""))
        if _plain(version) not in (there, there.partition("+")[0]):
            yield f"{name}: expected {version}, got {found.get(name, 'none')}"


def _named(environment: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(site_packages(environment).glob("*.dist-info")):
        name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
        yield name, version


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _plain(version: str) -> str:
    plain = version.lower()
    for pattern, shorter in _SAME:
        plain = pattern.sub(shorter, plain)
    return plain


def look(path: str) -> list[int] | None:
    """Return the size and the time of change, in ns, of a file or a link; nothing of a directory, None of nothing."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return [] if stat.S_ISDIR(found.st_mode) else [found.st_size, found.st_mtime_ns]


def _checksum(path: Path) -> str:
    if not path.is_file():
        return "none"
    with path.open("rb") as stream:
        value = hashlib.file_digest(stream, "sha256").digest()
    return f"sha256={base64.urlsafe_b64encode(value).rstrip(b'=').decode()}"
