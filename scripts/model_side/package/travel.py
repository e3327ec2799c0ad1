"""What may travel in a package: its files by their names."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from ..base.damage import damage
from ..base.errors import UsageError

# What opens something, by the names that tools give it.
_SECRET = (
    *(".env", ".env.*", ".git", ".netrc", ".pypirc", ".ssh", ".aws", ".htpasswd", ".git-credentials"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
)
# What tools leave behind in a directory of code.
LEFT_OUT = ("__pycache__", "*.py[co]", "*~", ".*", "#*#", "*.bak", "*.orig")
# MLflow finds no file with one of these in its name where it fetches a model: `mlflow models predict`, registries.
_LOST = re.compile(r"[#?\x00-\x1f\x7f]|%(?=[0-9A-Fa-f]{2})")
_MARGIN = 64 * 2**20  # bytes beside the artifacts: code, environment files, the example's output


def artifact_faults(
    artifacts: Mapping[str, Path], parts: Mapping[str, tuple[Path, ...]], carried: Container[str] = ()
) -> Iterator[str]:
    """Yield what is wrong with files and directories that are to travel as artifacts.

    Parameters
    ----------
    artifacts : mapping of str to Path
        Those that exist.
    parts : mapping of str to tuple of Path
        What travels of an artifact, where not all of it does.
    carried : container of str
        Names of those that are the example's files: such a one may be empty.
    """
    for name, path in artifacts.items():
        for file in (each for part in parts.get(name, (path,)) for each in tree(part)):
            member = file != path or name in carried
            faults = *_file_faults(file, path.parent, member=member), *_name_faults(file, path)
            yield from (f'artifact "{name}": {fault}' for fault in faults)


def code_faults(code: Path) -> Iterator[str]:
    """Yield which files of the author's code must not travel; hidden ones are left out anyway.

    Parameters
    ----------
    code : Path
        The directory model_code/.
    """
    for path in tree(code, LEFT_OUT):
        yield from _file_faults(path, code.parent, member=True)
        yield from _name_faults(path, code)


def travelling_name(name: str) -> str:
    """Return the name that a file or directory has in a model: MLflow does not find every name."""
    return _LOST.sub("_", name)


def left_out(code: Path) -> list[str]:
    """Return the hidden files and directories in the author's code, which do not travel.

    Parameters
    ----------
    code : Path
        The directory model_code/.

    Returns
    -------
    list of str
        Relative to the package.
    """
    hidden = (path for path in code.rglob(".*") if path.name != ".DS_Store")
    return sorted(path.relative_to(code.parent).as_posix() for path in hidden)


def require_outside(artifacts: Mapping[str, Path], work: Path) -> None:
    """Check that the model is not saved inside an artifact.

    Parameters
    ----------
    artifacts : mapping of str to Path
    work : Path
        Where it is saved.

    Raises
    ------
    UsageError
        If it would be.
    """
    for name, path in artifacts.items():
        if work.resolve().is_relative_to(path.resolve()):
            advice = "Give another --out-dir, or an artifact that holds less."
            raise UsageError(f'artifact "{name}"', f"the MLflow Model would lie in it: {path}", advice=advice)


def require_space(artifacts: Iterable[Path], directory: Path) -> None:
    """Check that the artifacts fit onto the file system of a directory.

    Parameters
    ----------
    artifacts : iterable of Path
    directory : Path

    Raises
    ------
    UsageError
        If they do not.
    """
    need = sum(path.stat().st_size for top in artifacts for path in tree(top)) + _MARGIN
    free = shutil.disk_usage(directory).free
    if need > free:
        expected, got = f"{need / 2**30:.1f} GiB for the artifacts", f"{free / 2**30:.1f} GiB free"
        raise UsageError(
            "--out-dir", "not enough disk space", expected=expected, got=got, advice="Make space, or give another one."
        )


def is_of_downloads(path: Path) -> bool:
    """Tell whether a directory is where downloads keep what is unfinished, and their record: it does not travel.

    Parameters
    ----------
    path : Path
    """
    return path.parts[-2:] == ("model_data", ".downloads")


def tree(top: Path, skipped: Iterable[str] = ()) -> Iterator[Path]:
    """Yield the files under a path, or itself; links are followed. A directory that cannot travel is given itself.

    Parameters
    ----------
    top : Path
    skipped : iterable of str
        Patterns of names that are left out.
    """
    if not top.is_dir() or not _is_readable(top):
        yield top
        return
    patterns = tuple(skipped)
    for directory, directories, files in os.walk(top, followlinks=True):
        kept = [name for name in sorted(directories) if not _matches(name, patterns)]
        kept = [name for name in kept if not is_of_downloads(Path(directory, name))]
        ends = [name for name in kept if _matches(name, _SECRET) or not _is_open(Path(directory, name))]
        yield from (Path(directory, name) for name in ends)
        directories[:] = [name for name in kept if name not in ends]
        yield from (Path(directory, name) for name in sorted(files) if not _matches(name, patterns))


def _file_faults(path: Path, root: Path, *, member: bool) -> Iterator[str]:
    shown = os.fsencode(path.relative_to(root)).decode(errors="backslashreplace")
    if _matches(path.name, _SECRET):
        yield f"{shown}: it must not travel: it looks like a key, a password or a history: move it away, or rename it"
    elif any("\udc80" <= letter <= "\udcff" for letter in path.name):
        yield f"{shown}: its name is not UTF-8: rename it"
    elif _leads_back(path):
        yield f"{shown}: a link to a directory that it lies in itself: {path.readlink()}"
    elif path.is_symlink() and not os.path.exists(path):  # noqa: PTH110  Path.exists() raises where it may not look
        yield f"{shown}: a link to nothing: {path.readlink()}"
    elif not (path.is_file() or path.is_dir()):
        yield f"{shown}: expected a file or a directory, got a pipe, a socket or a device"
    elif not _is_readable(path):
        yield f"{shown}: it cannot be read: permission denied"
    elif path.is_file() and (fault := damage(path, member=member)):
        yield f"{shown}: {fault}"


def _name_faults(path: Path, top: Path) -> Iterator[str]:
    if _LOST.search(path.relative_to(top).as_posix()):
        shown = path.relative_to(top.parent).as_posix()
        yield f'{shown!r}: MLflow fetches no file of this name: rename it, without "#", "?" or a % before two digits'


def _is_open(directory: Path) -> bool:
    return _is_readable(directory) and not _leads_back(directory)


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)


def _leads_back(path: Path) -> bool:
    """Tell whether a path is a link to a directory above it: following it would never end."""
    if not path.is_symlink():
        return False
    real = os.path.realpath(path)
    return any(os.path.realpath(above) == real for above in path.parents)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
