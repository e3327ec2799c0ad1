"""The packages of a models directory, by model name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from engine.errors import UsageError
from engine.ledger import load_ledger
from environments.includes import included
from model_side.base.errors import SUFFIX, ReportedError, invoke, listed, near
from model_side.base.redact import redacted
from model_side.model.declared_data import DECLARATION, declared_paths, declared_sources, named_files
from model_side.model.settings import named_variables

LARGE_BYTES, LONG_SECONDS = 1e9, 5.0  # a proof that takes more of either is of a heavy model
REPOSITORY = Path(__file__).resolve().parents[2]


class Package(NamedTuple):
    """One model's package.

    Parameters
    ----------
    name : str
        The model's name.
    models_dir : Path
        The directory that holds ``<name>_mlflow_pkg``.
    strict : bool
        Whether test_output.json comes from the manual way's command, unaltered, with MLflow's own environment.
    env_manager : str
        The environment manager of that one.
    generate_hashes : bool
        Whether requirements.txt pins the hash of every file.
    serial : bool, optional
        Whether at most one copy of the model is loaded at a time; by default, what its proof cost decides.
    """

    name: str
    models_dir: Path
    strict: bool = False
    env_manager: str = "uv"
    generate_hashes: bool = False
    serial: bool | None = None

    @property
    def root(self) -> Path:
        """Return the package's directory."""
        return self.models_dir / f"{self.name}{SUFFIX}"

    @property
    def example(self) -> Path | None:
        """Return the bundled example of this name, if there is one."""
        path = REPOSITORY / "examples" / self.name
        return path if path.is_dir() else None

    def file(self, name: str) -> Path:
        """Return where an author's file is: in the package, or in the example that it is to be made of."""
        root = self.root
        return (root if root.is_dir() else self.example or root) / name

    def requirement_files(self, *names: str) -> tuple[str, ...]:
        """Return those of these requirements files that are there, and all that they name with -r and -c."""
        base = self.file(".")
        there = [base / name for name in names if (base / name).is_file()]
        return tuple(os.path.relpath(file, base) for file in (*there, *included(there)))

    def sources(self) -> list[dict[str, Any]]:
        """Return the ``[[source]]`` tables of model_data.toml.

        Raises
        ------
        UsageError
            If the file cannot be read as TOML.
        """
        try:
            return declared_sources(self.file(DECLARATION))
        except ReportedError as error:
            raise UsageError(error.subject, error.fault, got=error.got, advice=error.advice) from error

    def data(self) -> tuple[str, ...]:
        """Return what model_data.toml declares, as paths relative to the package."""
        names = [name for source in self.sources() for name in declared_paths(source)]
        for name in names:
            if name.startswith("/") or ".." in PurePosixPath(name).parts:
                raise UsageError(
                    f"{self.root.name}/{DECLARATION}",
                    "a path leaves the directory",
                    expected="one inside model_data/",
                    got=repr(name),
                )
        return tuple(dict.fromkeys(str(PurePosixPath("model_data", name)) for name in names))

    def sources_text(self) -> str:
        """Return the declared sources as one text that comments and layout do not change, without credentials."""
        return json.dumps([redacted(source) for source in self.sources()], sort_keys=True, default=str)

    def variables(self) -> dict[str, str]:
        """Return what is set of the environment variables that the model declares, as digests: it may be secret."""
        names: Sequence[str] = ()
        with suppress(OSError):  # where it cannot be read, the fingerprint of a step says so
            names = named_variables(self.file("model_spec.py").read_text(encoding="utf-8", errors="replace"))
        return {f"${name}": _digest(os.environ.get(name)) for name in names}

    def runs_commands(self) -> bool:
        """Tell whether a source is a command, which runs in the model environment."""
        return any("command" in source for source in self.sources())

    def unfinished(self) -> str:
        """Return what its author has still to write before there is a model; nothing where that is done."""
        from model_side.package.unfinished import unfinished  # not on the way to a no-op

        lines = listed(unfinished(self.file("model_spec.py").parent, self.root))
        advice = f"Meanwhile, {invoke('sync-env', self.root)} makes its environment"
        return f"it is not finished:{lines}\n{advice}" if lines else ""

    def is_serial(self) -> bool:
        """Tell whether at most one copy of the model is to be loaded at a time, in memory and on the processors."""
        if self.serial is not None:
            return self.serial
        proof = self._proof()
        return bool(proof.get("peak_memory", 0) > LARGE_BYTES or proof.get("seconds", 0) > LONG_SECONDS)

    def is_slow(self) -> bool:
        """Tell whether a prediction took longer than its budget when it was packaged, so that few are asked for."""
        return bool(self._proof().get("slow"))

    def _proof(self) -> Mapping[str, Any]:
        proof: Mapping[str, Any] = load_ledger(self.root).found.get("package", {}).get("proof", {})
        return proof

    def unproven(self) -> tuple[str, ...]:
        """Return the declared files that any content is accepted for, as their author declares."""
        bare = [source for source in self.sources() if source.get("mutable") is True and not source.get("sha256")]
        return tuple(f"model_data/{name}" for source in bare for name in declared_paths(source))

    def scripts(self) -> tuple[str, ...]:
        """Return the package's own files that the commands of sources name."""
        root = self.file(DECLARATION).parent
        commands = [str(source["command"]) for source in self.sources() if "command" in source]
        return tuple(dict.fromkeys(name for command in commands for name in named_files(command, root)))


def _digest(value: str | None) -> str:
    import hashlib  # not on the way to a no-op

    return "not set" if value is None else f"sha256:{hashlib.sha256(os.fsencode(value)).hexdigest()}"


@cache
def own(*parts: str) -> dict[str, str]:
    """Return a step's own implementation: each part of the repository by its name in it."""
    return {part: str(REPOSITORY / part) for part in parts}


def names(models_dir: Path) -> list[str]:
    """Return the names of the models that have a package in `models_dir`, sorted.

    Parameters
    ----------
    models_dir : Path
        The directory that holds the packages.
    """
    return sorted(path.name[: -len(SUFFIX)] for path in models_dir.glob(f"*{SUFFIX}") if path.is_dir())


def examples() -> list[str]:
    """Return the names of the bundled models, sorted."""
    return sorted(path.name for path in (REPOSITORY / "examples").iterdir() if path.is_dir())


def require(package: Package) -> Package:
    """Return the package if it exists or is a bundled example.

    Raises
    ------
    UsageError
        If it is neither, with the nearest name that is.
    """
    if package.name and (package.root.is_dir() or package.example):
        return package
    known = sorted({*names(package.models_dir), *examples()})
    advice = near(package.name, known) or f"Known: {', '.join(known) or 'none'}."
    advice += f" {invoke('scaffold', package.root)} makes a new one."
    raise UsageError(f"model {package.name!r}", "no such model", advice=advice)
