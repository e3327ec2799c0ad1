"""What model_data.toml declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise, product
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.errors import UsageError
from ..base.redact import redact

DECLARATION = "model_data.toml"


def declared_document(path: Path) -> Mapping[str, Any]:
    """Return a declaration as it is written; nothing where there is no file.

    Parameters
    ----------
    path : Path
        The file model_data.toml of a package.

    Raises
    ------
    UsageError
        If it cannot be read, or is not valid TOML.
    """
    subject = f"{path.parent.name}/{path.name}"
    try:
        return _parsed(path.read_bytes()) if path.is_file() else {}
    except OSError as error:
        raise UsageError(subject, "it cannot be read", got=error.strerror, advice="Fix its permissions.") from error
    except ValueError as error:  # of TOML, and of the bytes of a text
        raise UsageError(subject, "not valid TOML", got=redact(str(error)), advice="Fix it.") from error


def declared_sources(path: Path) -> list[dict[str, Any]]:
    """Return the ``[[source]]`` tables of a declaration as they are written; raises as `declared_document` does.

    Parameters
    ----------
    path : Path
    """
    tables = declared_document(path).get("source", [])
    return [dict(table) for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []


@lru_cache
def _parsed(content: bytes) -> dict[str, Any]:
    import tomllib  # a package without downloads does not need it

    return tomllib.loads(content.decode("utf-8"))


def declared_paths(source: Mapping[str, Any]) -> list[str]:
    """Return what a ``[[source]]`` table brings, as paths relative to model_data/."""
    paths = source["outputs"] if isinstance(source.get("outputs"), list) else [source.get("path")]
    return [path for path in paths if isinstance(path, str)]


def named_files(command: str, root: Path) -> list[str]:
    """Return the files inside a directory that a command names, such as a script or a module after -m, but no data.

    What a Python file imports of them counts, and what a shell script names; and so on.

    Parameters
    ----------
    command : str
    root : Path
        The package.

    Returns
    -------
    list of str
        Relative to the directory.
    """
    found = _named(command, root)
    for name in found:  # it grows
        more = _imported(PurePosixPath(name), root) if name.endswith(".py") else []
        more += _named(_text(root / name), root) if name.endswith(".sh") else []
        found += [each for each in dict.fromkeys(more) if each not in found]
    return found


def _named(command: str, root: Path) -> list[str]:
    words = [word.strip("'\"") for word in command.split()]
    modules = [word.replace(".", "/") for before, word in pairwise(words) if before == "-m"]
    words += [f"{module}{end}" for module in modules for end in (".py", "/__main__.py")]
    inside = [word for word in words if PurePosixPath(word).parts[:1] not in ((), ("/",), ("model_data",))]
    return [word for word in inside if ".." not in PurePosixPath(word).parts and (root / word).is_file()]


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]+)|import[ \t]+([^\n#;]+))", re.MULTILINE
)


def _imported(name: PurePosixPath, root: Path) -> list[str]:
    """Return the files that the import statements of a Python file name, as seen from its directory and the root."""
    found = []
    for module, names, modules in _IMPORT.findall(_text(root / name)):
        above, module = len(module) - len(module.lstrip(".")), module.lstrip(".")
        places = name.parents[above - 1 : above] if above else (name.parent, PurePosixPath())
        wanted = [f"{module}.{each}" for each in re.findall(r"[*\w]+", names)] or re.findall(r"[.\w]+", modules)
        for place, each in product(places, wanted):
            parts = [part for part in each.split(".") if part]
            stems = [place.joinpath(*parts[:count]) for count in range(len(parts) + 1)]
            found += [str(path) for stem in stems for path in (stem / "__init__.py", f"{stem}.py")]
    return [path for path in found if (root / path).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # who needs it, names it
