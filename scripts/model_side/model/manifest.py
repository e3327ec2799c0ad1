"""package_manifest.json: every file of an MLflow Model, its size and sha256, and what it was made from."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ..base.errors import StepError, UsageError, listed
from ..base.files import FileEntry, file_entry
from ..base.redact import redacted
from ..base.variables import pyvenv
from .added import TOPS, never_loaded
from .declared_data import DECLARATION, declared_sources

MANIFEST = "package_manifest.json"
SCHEMA = 1
NO_ID = "0" * 32
_EMPTY = FileEntry(0, hashlib.sha256().hexdigest())  # of a directory
_MLFLOW = ("mlflow", "mlflow-skinny")


class Checked(NamedTuple):
    """What a check of the files has found.

    Parameters
    ----------
    digest : str
        ``sha256:<hex>`` of the list of the package's files.
    added : list of str
        Files and directories beside them that MLflow never loads.
    """

    digest: str
    added: list[str]


def seal(model: Path, package: Path, known: Mapping[str, FileEntry] | None = None) -> str:
    """Give a saved model an identity that its content decides, write its manifest, and return its digest.

    Parameters
    ----------
    model : Path
        The MLflow Model, saved with the id `NO_ID`.
    package : Path
        What it was made from.
    known : mapping of str to FileEntry, optional
        Files that were hashed already.

    Returns
    -------
    str
        ``sha256:<hex>`` of the list of all files but the manifest.
    """
    for bytecode in sorted(model.rglob("__pycache__")):  # of the proof: it names where that took place
        shutil.rmtree(bytecode)
    files = read_files(model, known)
    mlmodel = model / "MLmodel"
    text = mlmodel.read_text(encoding="utf-8")
    mlmodel.write_text(text.replace(NO_ID, _digest(files)[:32], 1), encoding="utf-8")
    files["MLmodel"] = file_entry(mlmodel)
    document = {"schema": SCHEMA, "digest": f"sha256:{_digest(files)}", **_provenance(package)}
    document["files"] = {name: asdict(entry) for name, entry in files.items()}
    (model / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return str(document["digest"])


def check_manifest(model: Path) -> Checked:
    """Check every file of an MLflow Model against its manifest.

    Parameters
    ----------
    model : Path
        The MLflow Model.

    Raises
    ------
    UsageError
        If there is no manifest that can be read.
    StepError
        With every file that is missing, added or altered.
    """
    path = model / MANIFEST
    try:
        document = json.loads(path.read_bytes())
        declared = {name: FileEntry(**entry) for name, entry in document["files"].items()}
    except FileNotFoundError as error:
        advice = "Only packages that mlflow_packager.py made can be checked."
        raise UsageError(str(path), "no such file", advice=advice) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(str(path), "cannot be read as a manifest", got=f"{type(error).__name__}: {error}") from error
    others = (name for name in _paths(model) if name not in declared)
    added = {name: top for name in others if (top := never_loaded(model, name))}
    files = {name: entry for name, entry in read_files(model, skipped=added).items() if not name.endswith("/")}
    files |= {name: entry for name, entry in declared.items() if name.endswith("/") and (model / name).is_dir()}
    lines = listed(_faults(declared, files))
    if not lines and document.get("digest") != f"sha256:{_digest(files)}":
        lines = listed([f"the digest is not that of the files: {document.get('digest')}"])
    if lines:
        raise StepError(str(model), f"not as it was packaged:{lines}", advice="Get it again from its author.")
    return Checked(str(document["digest"]), sorted(set(added.values())))


def digest_of(model: Path) -> str:
    """Return ``sha256:<hex>`` of the list of the files that MLflow may load: of a package, that in its manifest."""
    files = {name: entry for name, entry in read_files(model).items() if not never_loaded(model, name)}
    return f"sha256:{_digest(files)}"


def unknown(model: Path) -> list[str]:
    """Return what is at the top of an MLflow Model, not of the package and not in `ADDED`; [] without a manifest."""
    path = model / MANIFEST
    if not path.is_file():
        return []
    known = {name.partition("/")[0] for name in json.loads(path.read_bytes())["files"]}
    return sorted({each.name for each in model.iterdir()} - known - {MANIFEST, "__pycache__", *TOPS})


def declared_names(model: Path) -> tuple[str, ...]:
    """Return the names in the manifest of a model; none where it cannot be read, which `check_manifest` tells."""
    try:
        return tuple(json.loads((model / MANIFEST).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def read_files(
    model: Path, known: Mapping[str, FileEntry] | None = None, *, skipped: Collection[str] = ()
) -> dict[str, FileEntry]:
    """Return every file of a directory but a manifest and bytecode, and every empty directory, its name with a slash.

    Parameters
    ----------
    model : Path
    known : mapping of str to FileEntry, optional
        Files that are not read again.
    skipped : collection of str
        Files that are left out.

    Returns
    -------
    dict of str to FileEntry
        By relative path, sorted.
    """
    known = known or {}
    files = {name: known.get(name) or file_entry(path) for name, path in _paths(model).items() if name not in skipped}
    empty = (path for path in _members(model) if path.is_dir() and not any(path.iterdir()))
    return dict(sorted({**files, **{f"{path.relative_to(model).as_posix()}/": _EMPTY for path in empty}}.items()))


def _paths(model: Path) -> dict[str, Path]:
    """Return the path of every file of a directory but a manifest and bytecode, by its name in it, sorted."""
    names = {path.relative_to(model).as_posix(): path for path in _members(model) if path.is_file()}
    return {name: path for name, path in names.items() if name != MANIFEST}


def _members(model: Path) -> list[Path]:
    return sorted(path for path in model.rglob("*") if "__pycache__" not in path.parts)


def _faults(declared: Mapping[str, FileEntry], files: Mapping[str, FileEntry]) -> Iterator[str]:
    for name in sorted(declared.keys() | files.keys()):
        expected, got = declared.get(name), files.get(name)
        if expected is None or got is None:
            yield f"{name}: {'missing' if expected else 'not of this package'}"
        elif expected.size != got.size:
            yield f"{name}: expected {expected.size} bytes, got {got.size}"
        elif expected != got:
            yield f"{name}: expected sha256 {expected.sha256}, got {got.sha256}"


def _digest(files: Mapping[str, FileEntry]) -> str:
    """Return the sha256 of the list of files, as `sha256sum` writes it."""
    lines = (f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _provenance(package: Path) -> dict[str, Any]:
    from importlib.metadata import distributions  # it is slow, and who reads a manifest does not need it

    return {
        "sources": [redacted(source) for source in declared_sources(package / DECLARATION)],
        "source_commit": _commit(package),
        "packager": f"sha256:{_digest(read_files(Path(__file__).parents[1]))}",
        "python": ".".join(map(str, sys.version_info[:3])),
        "mlflow": next((each.version for name in _MLFLOW for each in distributions(name=name)), None),
        "uv": pyvenv(Path(sys.prefix)).get("uv"),
    }


def _commit(package: Path) -> str | None:
    """Return the last commit that touched the package; None where it is not under version control."""
    command = ["git", "log", "-1", "--format=%H", "--", "."]
    try:
        done = subprocess.run(command, cwd=package, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
