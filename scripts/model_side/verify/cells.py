"""Relations between the cells of a file: in another order, and without one of them.

Import it in the model environment only.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..output.arrays import Arrays
from .files import LARGE, files_of, opened_beside, renamed, scratch
from .routes import Route
from .scene import Scene, taken

Write = Callable[[Sequence[int], Path], None]  # these cells of a file, in this order, to another one


def no_cells(scene: Scene) -> str:
    """Return why the cells of a request's file cannot be asked for by themselves; nothing where they can."""
    files = [*files_of(scene).values()]
    if len(files) != 1 or files[0].part or scene.files.signature.rows_match:
        return "the request is not one file with a row for each cell"
    suffix = _suffix(files[0].path)
    if suffix not in _READERS or files[0].path.is_dir():
        return f"cells are known of {', '.join(_READERS)} alone"
    package = _READERS[suffix][0].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"{package}, which reads {suffix}, is not in the model's environment"
    if files[0].path.stat().st_size > LARGE:
        return f"the file is over {LARGE / 2**30:g} GiB"
    rows = _row_count(scene.first)
    return "" if rows > 1 and _cells_of(files[0].path, rows) else "the answer has no row for each cell of the file"


def ask_cells(scene: Scene) -> Iterator[Route]:
    """Ask for a file of the same name with the cells in another order, then without one of them."""
    rows = _row_count(scene.first)
    first = _holds_cells(scene, "cells in another order", [*reversed(range(rows))])
    if not first.agrees and opened_beside(scene):
        yield Route("cells", why_not="the file is read with others beside it")
        return
    yield first
    if first.agrees:
        yield _holds_cells(scene, "one cell fewer", [*range(1, rows)])


def ask_fewer_cells(scene: Scene) -> Route:
    """Ask for a file of the same name with the cells in another order and without one of them, at once."""
    return _holds_cells(scene, "cells in another order, one fewer", [*reversed(range(1, _row_count(scene.first)))])


def _holds_cells(scene: Scene, name: str, order: Sequence[int]) -> Route:
    """Ask for a file of the same name that holds these cells; where that fails, for one of a new name, too."""
    ((text, named),) = files_of(scene).items()
    write, expected = _cells_of(named.path, _row_count(scene.first)), taken(scene.first, order)
    place = scratch()
    paths = [place / named.path.name, place / f"cells{_suffix(named.path)}"]
    if write:
        for path in paths:
            write(order, path)
    same, other = (partial(scene.holds, name, renamed(scene, {text: str(path)}), expected) for path in paths)
    found = same()
    if not found.agrees and other().agrees:
        return replace(found, name="other content in a file of the same name")
    return found


def _cells_of(path: Path, rows: int) -> Write | None:
    """Return what writes cells of a file; nothing where it does not hold so many."""
    module, read = _READERS[_suffix(path)]
    return read(importlib.import_module(module), path, rows)


def _row_count(output: Arrays) -> int:
    arrays = [*output.values()] if isinstance(output, dict) else [output]
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    return lengths.pop() if len(lengths) == 1 else 0


def _suffix(path: Path) -> str:
    return next((each for each in _READERS if path.name.lower().endswith(each)), path.suffix)


def _of_h5ad(anndata: Any, path: Path, rows: int) -> Write | None:
    data = anndata.read_h5ad(path)
    return (lambda order, target: data[order].copy().write_h5ad(target)) if data.n_obs == rows else None


def _of_npy(_: Any, path: Path, rows: int) -> Write | None:
    array = np.load(path, allow_pickle=False)
    return (lambda order, target: np.save(target, array[order])) if array.ndim and len(array) == rows else None


def _of_lines(_: Any, path: Path, rows: int) -> Write | None:
    lines = path.read_bytes().splitlines(keepends=True)
    head = len(lines) - rows  # a line of names, or none

    def write(order: Sequence[int], target: Path) -> None:
        ended = [line if line.endswith(b"\n") else line + b"\n" for line in lines]
        target.write_bytes(b"".join([*ended[:head], *(ended[head + number] for number in order)]))

    return write if head in (0, 1) else None


def _of_parquet(parquet: Any, path: Path, rows: int) -> Write | None:
    table = parquet.read_table(path)
    return (lambda order, target: parquet.write_table(table.take([*order]), target)) if len(table) == rows else None


_READERS: Mapping[str, tuple[str, Callable[[Any, Path, int], Write | None]]] = {
    ".h5ad": ("anndata", _of_h5ad),
    ".npy": ("numpy", _of_npy),
    ".csv": ("numpy", _of_lines),
    ".tsv": ("numpy", _of_lines),
    ".txt": ("numpy", _of_lines),
    ".parquet": ("pyarrow.parquet", _of_parquet),
}
