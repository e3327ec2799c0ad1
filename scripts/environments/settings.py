"""What this machine has: versions of programs, uv's settings, the user's cache. Nothing is started to learn it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .discovery import UV_TOML, discovered, uv_table
from .includes import included

# Variables of uv that cannot change what is resolved or installed, or that must not be written down.
_NO_MATTER = ("UV_CACHE_DIR", "UV_NO_PROGRESS", "UV_LINK_MODE", "UV_NO_CACHE", "UV_COMPILE_BYTECODE", "UV_OFFLINE")
_NO_MATTER_PREFIXES = ("UV_CONCURRENT_", "UV_HTTP_", "UV_REQUEST_", "UV_RUN_", "UV_TOOL_", "UV_INTERNAL_", "UV_LOCK_")
_SECRET_WORDS = ("PASSWORD", "TOKEN", "USERNAME")
# Variables that list files or directories, and what is between two of them: nothing where there is only one.
_FILES = {"UV_OVERRIDE": " ", "UV_CONSTRAINT": " ", "UV_BUILD_CONSTRAINT": " "}
_INDEXES = {"UV_INDEX": " ", "UV_EXTRA_INDEX_URL": " ", "UV_DEFAULT_INDEX": "", "UV_INDEX_URL": ""}
_PATHS = {**_FILES, **_INDEXES, "UV_FIND_LINKS": ","}
_NAMED = ("UV_INDEX", "UV_DEFAULT_INDEX")  # whose paths may have a name before them: name=path
_INDEX_NAME = re.compile(r"[\w.-]+=")
_CONFIG = "UV_CONFIG_FILE"
_TRUE = ("1", "t", "true", "y", "yes", "on")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


@cache
def uv_version() -> str:
    """Return the version of the tool's own uv, from the name of its installed metadata."""
    library = Path(sys.prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    found = next(library.glob("uv-*.dist-info"), None)
    return found.name[len("uv-") : -len(".dist-info")] if found else "of the system"


def uv_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables that can change a resolution or an installation, without credentials."""
    return {name: _CREDENTIALS.sub("", environment[name]) for name in sorted(environment) if _matters(name)}


def uv_anchored(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of uv's variables that name files, so put that they name the same ones in any working directory."""
    found = {
        name: mark.join(_anchored(word, name) for word in _words(environment, name)) for name, mark in _PATHS.items()
    }
    found[_CONFIG] = str(Path(environment[_CONFIG]).absolute()) if environment.get(_CONFIG) else ""
    return {name: value for name, value in found.items() if value}


def uv_files(environment: Mapping[str, str], directory: Path | None = None) -> Iterator[tuple[str, str]]:
    """Yield a label and the path of each file of uv's settings.

    Parameters
    ----------
    environment : mapping of str to str
        Variables.
    directory : Path, optional
        Where uv runs; without it, what is above a directory does not count.
    """
    for label, path in _settings_files(environment, directory):
        if path.is_file():
            yield label, str(path)
    for name in _FILES:
        parts = [urlsplit(_anchor(word)) for word in _words(environment, name)]
        named = [Path(unquote(part.path)) for part in parts if part.scheme in ("", "file")]
        yield from ((f"{name}[{n}]", str(path)) for n, path in enumerate([*named, *included(named)]))


def uv_tables(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    """Return each [tool.uv] of a pyproject.toml that uv reads, by a label.

    Parameters
    ----------
    environment : mapping of str to str
        Variables.
    directory : Path
        Where uv runs.
    """
    found = [] if _without_discovery(environment) else enumerate(discovered(directory))
    return {_label("[tool.uv] of pyproject.toml", n): uv_table(path) for n, path in found if path.name != UV_TOML}


def _settings_files(environment: Mapping[str, str], directory: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield where uv looks for uv.toml: the named one alone, else above the directory, the user's, the system's."""
    if environment.get(_CONFIG):
        yield _CONFIG, Path(environment[_CONFIG]).absolute()
    if _without_discovery(environment):
        return
    above = [path for path in (discovered(directory) if directory else []) if path.name == UV_TOML]
    yield from ((_label("uv.toml above the package", n), path) for n, path in enumerate(above))
    home = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "."), ".config")
    yield "uv.toml of the user", Path(home, "uv", UV_TOML)
    system = [*(environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"), "/etc"]
    yield from [("uv.toml of the system", Path(path, "uv", UV_TOML)) for path in system if path]


def _without_discovery(environment: Mapping[str, str]) -> bool:
    return bool(environment.get(_CONFIG)) or environment.get("UV_NO_CONFIG", "").lower() in _TRUE


def _label(name: str, number: int) -> str:
    return f"{name}[{number}]" if number else name


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    mark, value = _PATHS[name], environment.get(name, "")
    return [word for word in (value.split(mark) if mark else [value]) if word]


def _anchored(word: str, variable: str) -> str:
    named = _INDEX_NAME.match(word) if variable in _NAMED else None
    name = named[0] if named else ""
    return name + _anchor(word[len(name) :])


def _anchor(path: str) -> str:
    """Return a relative path as a file URI: in one, a space does not end it."""
    return path if "://" in path or path.startswith("/") else Path(path).absolute().as_uri()


def user_cache(environment: Mapping[str, str], variable: str, name: str) -> Path:
    """Return the directory `variable` says, else ``mlflow-model-chain/<name>`` in $XDG_CACHE_HOME, else in ~/.cache."""
    if environment.get(variable):
        return Path(environment[variable]).expanduser().absolute()
    home = environment.get("XDG_CACHE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".cache"
    return base / "mlflow-model-chain" / name


def _matters(name: str) -> bool:
    if not name.startswith("UV_") or name in _NO_MATTER or name.startswith(_NO_MATTER_PREFIXES):
        return False
    return not any(word in name for word in _SECRET_WORDS)
