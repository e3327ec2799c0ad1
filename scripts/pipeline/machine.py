"""What this machine has: versions of programs, uv's settings, the user's cache. Nothing is started to learn it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .includes import included

# Variables of uv that cannot change what is resolved or installed, or that must not be written down.
_NO_MATTER = ("UV_CACHE_DIR", "UV_NO_PROGRESS", "UV_LINK_MODE", "UV_NO_CACHE", "UV_COMPILE_BYTECODE", "UV_OFFLINE")
_NO_MATTER_PREFIXES = ("UV_CONCURRENT_", "UV_HTTP_", "UV_REQUEST_", "UV_RUN_", "UV_TOOL_", "UV_INTERNAL_", "UV_LOCK_")
_SECRET_WORDS = ("PASSWORD", "TOKEN", "USERNAME")
# Variables that list files or directories, and what is between two of them.
_FILES = {"UV_OVERRIDE": " ", "UV_CONSTRAINT": " ", "UV_BUILD_CONSTRAINT": " "}
_PATHS = {**_FILES, "UV_FIND_LINKS": ","}
_CONFIG = "UV_CONFIG_FILE"
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


def boot_id() -> str:
    """Return what tells this boot of the machine from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


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
    found = {name: mark.join(_anchor(word) for word in _words(environment, name)) for name, mark in _PATHS.items()}
    found[_CONFIG] = str(Path(environment[_CONFIG]).absolute()) if environment.get(_CONFIG) else ""
    return {name: value for name, value in found.items() if value}


def uv_files(environment: Mapping[str, str], package: Path | None = None) -> Iterator[tuple[str, str]]:
    """Yield a label and the path of each file of uv's settings that is outside the directory `package`."""
    for label, path in _settings_files(environment, package):
        if path.is_file():
            yield label, str(path)
    for name in _FILES:
        parts = [urlsplit(_anchor(word)) for word in _words(environment, name)]
        named = [Path(unquote(part.path)) for part in parts if part.scheme in ("", "file")]
        yield from ((f"{name}[{n}]", str(path)) for n, path in enumerate([*named, *included(named)]))


def _settings_files(environment: Mapping[str, str], package: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield where uv looks for uv.toml: the named one, the nearest above the package, the user's, the system's."""
    if environment.get(_CONFIG):
        yield _CONFIG, Path(environment[_CONFIG]).absolute()
    above = [path / "uv.toml" for path in package.absolute().parents] if package else []
    yield from [("uv.toml above the package", path) for path in above if path.is_file()][:1]
    home = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "."), ".config")
    yield "uv.toml of the user", Path(home, "uv", "uv.toml")
    system = [*(environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"), "/etc"]
    yield from [("uv.toml of the system", Path(path, "uv", "uv.toml")) for path in system if path]


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    return [word for word in environment.get(name, "").split(_PATHS[name]) if word]


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
