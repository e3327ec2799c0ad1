"""Wheels that hold one line each, which no index has."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

NAME = "only-in-these-tests"


def write_wheels(
    directory: Path, *versions: str, name: str = NAME, metadata: str = "", more: Mapping[str, str] | None = None
) -> Path:
    """Write a wheel of each version to a directory, with more lines of metadata and files, and return that."""
    directory.mkdir(parents=True, exist_ok=True)
    plain = name.replace("-", "_")
    for version in versions:
        info = f"{plain}-{version}.dist-info"
        files = {
            **(more or {}),
            f"{plain}.py": f"version = {version!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        lines = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items()]
        record = "".join([*lines, f"{info}/RECORD,,\n"])
        with zipfile.ZipFile(directory / f"{plain}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in (*files.items(), (f"{info}/RECORD", record)):
                wheel.writestr(path, text)
    return directory


def write_index(directory: Path, *versions: str, name: str = NAME, metadata: str = "") -> Path:
    """Write an index of packages that has these versions alone, and return its directory."""
    place = write_wheels(directory / name, *versions, name=name, metadata=metadata)
    links = "".join(f'<a href="{path.name}">{path.name}</a>\n' for path in sorted(place.glob("*.whl")))
    (place / "index.html").write_text(links)
    return directory


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
