"""What this machine has: versions of programs, uv's settings, the user's cache. Nothing is started to learn it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

# Variables of uv that cannot change what is resolved or installed, or that must not be written down.
_NO_MATTER = ("UV_CACHE_DIR", "UV_NO_PROGRESS", "UV_LINK_MODE", "UV_NO_CACHE", "UV_COMPILE_BYTECODE", "UV_OFFLINE")
_NO_MATTER_PREFIXES = ("UV_CONCURRENT_", "UV_HTTP_", "UV_REQUEST_", "UV_RUN_", "UV_TOOL_", "UV_INTERNAL_", "UV_LOCK_")
_SECRET_WORDS = ("PASSWORD", "TOKEN", "USERNAME")
_FILES = ("UV_OVERRIDE", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_CONFIG_FILE")


def uv_version() -> str:
    """Return the version of the tool's own uv, from the name of its installed metadata."""
    library = Path(sys.prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    found = next(library.glob("uv-*.dist-info"), None)
    return found.name[len("uv-") : -len(".dist-info")] if found else "of the system"


def uv_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables that can change a resolution or an installation, without credentials."""
    return {name: _without_credentials(environment[name]) for name in sorted(environment) if _matters(name)}


def uv_files(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a label and the path of each file of uv's settings outside the package."""
    home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "."), ".config"))
    for path in (home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")):
        if path.is_file():
            yield f"{path.name} of the {'user' if path.is_relative_to(home) else 'system'}", str(path)
    for name in _FILES:
        for number, path_text in enumerate(environment.get(name, "").split()):
            yield f"{name}[{number}]", path_text


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


def _without_credentials(value: str) -> str:
    return " ".join(_bare(word) for word in value.split())


def _bare(word: str) -> str:
    parts = urlsplit(word)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else word
