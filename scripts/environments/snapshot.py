"""How the files of an environment look when it is built, so that a later change is noticed without reading them.

What is held to it: every file that a distribution records, what lies at the top of site-packages, where Python finds
modules and .pth files, the programs, and pyvenv.cfg. Bytecode is left out: it may come later, and Python checks it. A
file's time of change stays when uv or the store of bytecode links to the same file from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .installed import look, recorded, site_packages

BYTECODE = "__pycache__"
Snapshot = dict[str, list[int] | None]


def snapshot(environment: Path) -> Snapshot:
    """Return the look of each file that counts, by its path in the environment."""
    place = os.path.relpath(site_packages(environment), environment)
    names = {os.path.normpath(f"{place}/{name}") for name, *_ in recorded(environment) if BYTECODE not in name}
    return {name: look(f"{environment}/{name}") for name in sorted({*names, *_listed(environment), "pyvenv.cfg"})}


def changes(environment: Path, then: Mapping[str, list[int] | None]) -> Iterator[str]:
    """Yield the path of each file that does not look as it did, and of what was not there."""
    root = str(environment)
    yield from (name for name, found in then.items() if look(f"{root}/{name}") != found)
    yield from sorted(_listed(environment) - then.keys())


def _listed(environment: Path) -> set[str]:
    found = (path for place in (site_packages(environment), environment / "bin") for path in place.glob("*"))
    return {str(path.relative_to(environment)) for path in found if path.name != BYTECODE}
