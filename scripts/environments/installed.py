"""What is installed in an environment, by its own records: read from the file system, no interpreter is started."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping
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


def altered_files(environment: Path) -> Iterator[str]:
    """Yield the installed files that are missing, or not of the size that their distribution's RECORD says."""
    site = site_packages(environment)
    for name, _, size in recorded(environment):
        if size and _size(f"{site}/{name}") != int(size):
            yield name


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


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - it is called ten thousands of times
    except OSError:
        return -1
