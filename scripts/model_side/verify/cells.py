"""Relations between the cells of a file: in another order, without one of them, and with an empty one.

Import it in the model environment only.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import StepError
from ..base.tracebacks import authors_code
from ..output.arrays import Arrays, taken
from ..output.comparison import Tolerance
from .files import LARGE, files_of, opened_beside, renamed, scratch
from .routes import REFUSED, Route, compared, failed
from .scene import Payload, Scene

Write = Callable[..., None]  # these cells of a file, in this order, to another one, and then which of them are empty


def no_cells(scene: Scene) -> str:
    """Return why the cells of a request's file cannot be asked for by themselves; nothing where they can."""
    files = [*files_of(scene).values()]
    if len(files) != 1 or files[0].part or scene.files.signature.rows_match:
        return "the request is not one file with a row for each cell"
    rows = _row_count(scene.first)
    why_not = "" if scene.files.metadata.get("perturb") else _unreadable(files[0].path)
    if why_not or (rows > 1 and _cells_of(scene, files[0].path)):
        return why_not
    return f"the answer has no row for each cell of the file: it has {rows}"


def _unreadable(path: Path) -> str:
    """Return why the cells of a file are not known without PERTURB; nothing where they are."""
    suffix = _suffix(path)
    if suffix not in _READERS or path.is_dir():
        return f"cells are known of {', '.join(_READERS)} alone: PERTURB of model_spec.py may tell those of others"
    package = _READERS[suffix][0].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"{package}, which reads {suffix}, is not in the model's environment"
    return f"the file is over {LARGE / 2**30:g} GiB" if path.stat().st_size > LARGE else ""


def ask_cells(scene: Scene) -> Iterator[Route]:
    """Ask for a file of the same name with the cells in another order, then without one, then with an empty one.

    These are at one path, one after the other; the first has the time of the request's own file.
    """
    rows, place = _row_count(scene.first), scratch()
    first = _holds_cells(scene, "cells in another order", [*reversed(range(rows))], place)
    if not first.agrees and opened_beside(scene):
        yield Route("cells", why_not="the file is read with others beside it")
        return
    yield first
    if not first.agrees:
        return
    fewer = _holds_cells(scene, "one cell fewer", [*range(1, rows)], place)
    yield fewer
    if fewer.agrees:
        yield from _ask_empty(scene, rows, place)


def other_cells(scene: Scene, left_out: int) -> Payload:
    """Return the request for a new file that holds the cells in another order, without so many of the first."""
    order = [*reversed(range(left_out, _row_count(scene.first)))]
    return _with_cells(scene, order, scratch(), "other", dated=False)


def ask_fewer_cells(scene: Scene) -> Route:
    """Ask for a file of the same name with the cells in another order and without one of them, at once."""
    order = [*reversed(range(1, _row_count(scene.first)))]
    return _holds_cells(scene, "cells in another order, one fewer", order, scratch())


def _holds_cells(scene: Scene, name: str, order: Sequence[int], place: Path) -> Route:
    """Ask for a file of the same name that holds these cells; where that fails, for one of a new name, too."""
    expected = taken(scene.first, order)
    try:
        found = scene.holds(name, _with_cells(scene, order, place), expected)
        if found.agrees or not scene.holds(name, _with_cells(scene, order, scratch(), "cells"), expected).agrees:
            return found
    except StepError as error:  # of PERTURB
        return failed(name, error)
    return replace(found, name="other content in a file of the same name")


def _ask_empty(scene: Scene, rows: int, place: Path) -> Iterator[Route]:
    """Ask for a file whose first cell holds zeros: all others keep their rows, unless that is refused."""
    if scene.files.metadata.get("perturb"):
        return
    name = "one cell empty"
    scene.asking(name)
    try:
        got = scene.witness.predict(_with_cells(scene, range(rows), place, empty=True))
    except StepError:
        yield Route(name, told=REFUSED)
        return
    rest, tolerance = range(1, rows), Tolerance.of(scene.files.metadata)
    if _row_count(got) == rows:
        yield compared(name, taken(scene.first, rest), taken(got, rest), tolerance)
    else:
        yield compared(name, scene.first, got, tolerance)


def _with_cells(
    scene: Scene, order: Sequence[int], place: Path, name: str = "", *, empty: bool = False, dated: bool = True
) -> Payload:
    """Write these cells of the request's file, of its name and time unless said, and return the request for them."""
    ((text, named),) = files_of(scene).items()
    path, made = place / (f"{name}{_suffix(named.path)}" if name else named.path.name), scratch() / named.path.name
    there, write = path.exists(), _cells_of(scene, named.path)
    if write:
        write(order, made, *([0] if empty else []))
    if path.is_dir():
        shutil.rmtree(path)
    made.replace(path)  # not into the same inode, which a model may have mapped
    if dated and not there:
        times = named.path.stat()
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return renamed(scene, {text: str(path)})


def _cells_of(scene: Scene, path: Path) -> Write | None:
    """Return what writes cells of a file; nothing where it does not hold as many as there are rows."""
    if declared := scene.files.metadata.get("perturb"):
        return partial(_perturbed, scene, declared, path)
    module, read = _READERS[_suffix(path)]
    return read(importlib.import_module(module), path, _row_count(scene.first))


def _perturbed(scene: Scene, declared: str, path: Path, order: Sequence[int], target: Path) -> None:
    """Call PERTURB, which travels with the model's code, and was imported with it."""
    module, _, name = declared.partition(":")
    with authors_code("PERTURB", scene.directory):
        getattr(importlib.import_module(module), name)(str(path), list(order), str(target))
        target.lstat()


def _row_count(output: Arrays) -> int:
    arrays = [*output.values()] if isinstance(output, dict) else [output]
    lengths = {len(array) if array.ndim else 0 for array in arrays}
    return lengths.pop() if len(lengths) == 1 else 0


def _suffix(path: Path) -> str:
    return next((each for each in _READERS if path.name.lower().endswith(each)), path.suffix)


def _of_h5ad(anndata: Any, path: Path, rows: int) -> Write | None:
    data = anndata.read_h5ad(path)

    def write(order: Sequence[int], target: Path, *empty: int) -> None:
        chosen = data[order].copy()
        if empty:
            full = np.ones((len(order), 1), chosen.X.dtype)
            full[[*empty]] = 0
            chosen.X = chosen.X.multiply(full).tocsr() if hasattr(chosen.X, "multiply") else chosen.X * full
        chosen.write_h5ad(target)

    return write if data.n_obs == rows and data.X is not None else None


def _of_npy(_: Any, path: Path, rows: int) -> Write | None:
    array = np.load(path, allow_pickle=False)

    def write(order: Sequence[int], target: Path, *empty: int) -> None:
        chosen = array[[*order]]
        chosen[[*empty]] = np.zeros(1, array.dtype)[0]
        np.save(target, chosen)

    return write if array.ndim and len(array) == rows else None


def _of_lines(_: Any, path: Path, rows: int) -> Write | None:
    lines = path.read_bytes().splitlines(keepends=True)
    head = len(lines) - rows  # a line of names, or none

    def write(order: Sequence[int], target: Path, *empty: int) -> None:
        ended = [line if line.endswith(b"\n") else line + b"\n" for line in lines]
        chosen = [ended[head + number] for number in order]
        for number in empty:
            chosen[number] = _NUMBER.sub(b"0", chosen[number])
        target.write_bytes(b"".join([*ended[:head], *chosen]))

    return write if head in (0, 1) else None


def _of_parquet(parquet: Any, path: Path, rows: int) -> Write | None:
    table = parquet.read_table(path)

    def write(order: Sequence[int], target: Path, *empty: int) -> None:
        frame = table.take([*order]).to_pandas()
        for name in frame.select_dtypes("number"):
            frame.loc[frame.index[[*empty]], name] = 0
        parquet.write_table(type(table).from_pandas(frame, table.schema), target)

    return write if len(table) == rows else None


_NUMBER = re.compile(rb"(?<![^,;\s])[-+]?[\d.]+(?:[eE][-+]?\d+)?(?![^,;\s])")  # alone in its field
_READERS: Mapping[str, tuple[str, Callable[[Any, Path, int], Write | None]]] = {
    ".h5ad": ("anndata", _of_h5ad),
    ".npy": ("numpy", _of_npy),
    ".csv": ("numpy", _of_lines),
    ".tsv": ("numpy", _of_lines),
    ".txt": ("numpy", _of_lines),
    ".parquet": ("pyarrow.parquet", _of_parquet),
}
