"""What is installed in an environment, by its own records: read from the file system, no interpreter is started.

A snapshot says how the files looked when it was built, so that a later change is noticed without reading them: every
file that a distribution records, what lies at the top of site-packages, where Python finds modules and .pth files, the
programs, and pyvenv.cfg. Bytecode is left out: it may come later, and Python checks it. A file's time of change stays
when uv or the store of bytecode links to the same file from elsewhere.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import stat
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PathDistribution
from pathlib import Path

from model_side.base.variables import pyvenv

BYTECODE = "__pycache__"
Snapshot = dict[str, list[int] | None]  # by path: size and time of change, nothing of a directory, None of nothing
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\,*]+)\s*(?:\\|--hash=.*)?$")
# What PEP 440 takes for the same: 1.00-rc.1 and 1.0rc1, 2.0.0 and 2.
_SAME = (
    (re.compile(r"[-_.]*([a-z]+)[-_.]*"), r"\1"),
    (re.compile(r"(?<![0-9a-z])0+(?=[0-9])"), ""),
    (re.compile(r"(?:\.0)+(?=$|[+a-z])"), ""),
)


def site_packages(environment: Path) -> Path:
    """Return the directory that an environment's distributions are in.

    Parameters
    ----------
    environment : Path
    """
    return next(environment.glob("lib/python3*/site-packages"), environment / "lib" / "site-packages")


def installed(environment: Path) -> dict[str, str]:
    """Return the version of each installed distribution by its normal name.

    Parameters
    ----------
    environment : Path
    """
    return dict(records(environment).keys())


def records(environment: Path) -> dict[tuple[str, str], Path]:
    """Return the .dist-info directory of each installed distribution by its normal name and its version.

    Parameters
    ----------
    environment : Path
    """
    infos = sorted(site_packages(environment).glob("*.dist-info"))
    named = ((path.name.removesuffix(".dist-info").rpartition("-"), path) for path in infos)
    return {(_normal(name), version): path for (name, _, version), path in named}


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
        found = _look(f"{environment}/{path}") or [-1]
        if (size and found[0] != int(size)) or (
            path in suspects and checksum and _checksum(environment / path) != checksum
        ):
            yield path


def recorded(environment: Path) -> Iterator[list[str]]:
    """Yield the path in site-packages, the hash and the size of each file that the distributions record.

    Parameters
    ----------
    environment : Path
    """
    for record in sorted(site_packages(environment).glob("*.dist-info/RECORD")):
        with record.open(encoding="utf-8", newline="") as stream:
            yield from csv.reader(stream)


def pin_faults(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Yield where installed distributions are not the pinned ones."""
    for name, version in sorted(wanted.items()):
        there = _plain(found.get(name, ""))
        if _plain(version) not in (there, there.partition("+")[0]):
            yield f"{name}: expected {version}, got {found.get(name, 'none')}"


def python_faults(environment: Path) -> Iterator[str]:
    """Yield which distributions ask for another Python than the environment's: uv passes over that, pip refuses them.

    Parameters
    ----------
    environment : Path
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # not on the way to a no-op

    version = pyvenv(environment).get("version_info", "")
    for info in sorted(site_packages(environment).glob("*.dist-info")):
        asked = PathDistribution(info).metadata["Requires-Python"]
        with suppress(InvalidSpecifier):
            if asked and version and not SpecifierSet(asked).contains(version, prereleases=True):
                name, _, release = info.name.removesuffix(".dist-info").rpartition("-")
                yield f"{_normal(name)} {release} requires Python {asked}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _plain(version: str) -> str:
    plain = version.lower()
    for pattern, shorter in _SAME:
        plain = pattern.sub(shorter, plain)
    return plain


def snapshot(environment: Path) -> Snapshot:
    """Return the look of each file that counts, by its path in the environment.

    Parameters
    ----------
    environment : Path
    """
    place = os.path.relpath(site_packages(environment), environment)
    names = {os.path.normpath(f"{place}/{name}") for name, *_ in recorded(environment) if BYTECODE not in name}
    return {name: _look(f"{environment}/{name}") for name in sorted({*names, *_listed(environment), "pyvenv.cfg"})}


def changes(environment: Path, then: Snapshot) -> Iterator[str]:
    """Yield the path of each file that does not look as it did, and of what was not there.

    Parameters
    ----------
    environment : Path
    then : dict of str to list of int or None
        A snapshot.
    """
    yield from (name for name, found in then.items() if _look(f"{environment}/{name}") != found)
    yield from sorted(_listed(environment) - then.keys())


def _listed(environment: Path) -> set[str]:
    found = (path for place in (site_packages(environment), environment / "bin") for path in place.glob("*"))
    return {str(path.relative_to(environment)) for path in found if path.name != BYTECODE}


def _look(path: str) -> list[int] | None:
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
