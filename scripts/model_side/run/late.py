"""Imports inside functions: a warm interpreter cannot make them ahead, and each run pays for them anew."""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterator
from pathlib import Path

SLOW_SECONDS = 2.0  # to load and predict


def advice(seconds: float, code: Path, before: Container[str]) -> str:
    """Return what would make a slow prediction quicker in the chain; nothing where it is not slow, or would not.

    Parameters
    ----------
    seconds : float
        What loading and predicting took.
    code : Path
        The directory of the author's code.
    before : container of str
        The modules that were imported before the code ran.
    """
    late = late_imports(code, before) if seconds > SLOW_SECONDS else []
    if not late:
        return ""
    return f"note: {', '.join(late)}: imported inside a function, anew at each run; at the top of its file, once\n"


def late_imports(code: Path, before: Container[str]) -> list[str]:
    """Return the top-level names of what the code imported, inside functions alone.

    Parameters
    ----------
    code : Path
        The directory of the author's code, which has run.
    before : container of str
        The modules that were imported before.
    """
    trees = [ast.parse(path.read_bytes()) for path in sorted(code.rglob("*.py"))]
    everywhere = {name for tree in trees for node in ast.walk(tree) for name in _names(node)}
    at_top = {name for tree in trees for node in tree.body for name in _names(node)}
    return sorted(name for name in everywhere - at_top if name in sys.modules and name not in before)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.partition(".")[0]
