"""Relations between files: the same under another name, and its cells in another order or without one.

Import it in the model environment only.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..base.errors import StepError
from ..base.named_files import Named, named_file
from ..output.arrays import Arrays
from ..payload.forms import content_of, form_of_payload, write_form
from ..run.opened import opened_in
from .routes import Route
from .scene import Payload, Scene, taken

_ARTIFACT = "artifact://"
_LARGE = 2**30  # bytes of a file whose cells are not read
Write = Callable[[Sequence[int], Path], None]  # these cells of a file, in this order, to another one


def no_files(scene: Scene) -> str:
    """Return why the files of a request cannot be asked for under another name; nothing where they can."""
    return "" if _files(scene) else "the request names no local files"


def ask_files(scene: Scene) -> Iterator[Route]:
    """Ask for copies of the files of the request, of another name where nothing lies beside them."""
    found = _holds_copies(scene, "copies of its files, named otherwise")
    if not found.agrees and (opened := _opened_beside(scene)):
        found = _holds_copies(scene, "copies of its files, with those that it opens beside them", opened)
    yield found


def _holds_copies(scene: Scene, name: str, opened: Collection[Path] = ()) -> Route:
    copies = {
        text: f"{_copied(named.path, scene.directory, opened)}{named.part}" for text, named in _files(scene).items()
    }
    return scene.holds(name, _renamed(scene, copies), scene.first)


def _opened_beside(scene: Scene) -> set[Path]:
    """Return what the model opens beside the files of the request, by whatever code."""
    files = {named.path for named in _files(scene).values()}
    with opened_in({path.parent for path in files}) as opened, suppress(StepError):
        scene.witness.predict(scene.payload)
        return opened() - files
    return set()


def no_cells(scene: Scene) -> str:
    """Return why the cells of a request's file cannot be asked for by themselves; nothing where they can."""
    files = [*_files(scene).values()]
    if len(files) != 1 or files[0].part or scene.files.signature.rows_match:
        return "the request is not one file with a row for each cell"
    suffix = _suffix(files[0].path)
    if suffix not in _READERS or files[0].path.is_dir():
        return f"cells are known of {', '.join(_READERS)} alone"
    package = _READERS[suffix][0].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        return f"{package}, which reads {suffix}, is not in the model's environment"
    if files[0].path.stat().st_size > _LARGE:
        return f"the file is over {_LARGE / 2**30:g} GiB"
    rows = _row_count(scene.first)
    return "" if rows > 1 and _cells_of(files[0].path, rows) else "the answer has no row for each cell of the file"


def ask_cells(scene: Scene) -> Iterator[Route]:
    """Ask for a file of the same name with the cells in another order, then without one of them."""
    rows = _row_count(scene.first)
    first = _holds_cells(scene, "cells in another order", [*reversed(range(rows))])
    if not first.agrees and _opened_beside(scene):
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
    ((text, named),) = _files(scene).items()
    write, expected = _cells_of(named.path, _row_count(scene.first)), taken(scene.first, order)
    scratch = _scratch()
    paths = [scratch / named.path.name, scratch / f"cells{_suffix(named.path)}"]
    if write:
        for path in paths:
            write(order, path)
    same, other = (partial(scene.holds, name, _renamed(scene, {text: str(path)}), expected) for path in paths)
    found = same()
    if not found.agrees and other().agrees:
        return replace(found, name="other content in a file of the same name")
    return found


def _scratch() -> Path:
    """Return a new directory, which goes with this process: results may lie beside inputs, and are looked at again."""
    return Path(tempfile.mkdtemp())


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


def _files(scene: Scene) -> dict[str, Named]:
    """Return the local files and directories that a request names, by the text that names each."""
    columns = getattr(scene.witness.model.model.unwrap_python_model(), "FILE_COLUMNS", ("input_uri",))
    texts = [row.get(name) for row in content_of(scene.payload, scene.files.signature).rows() for name in columns]
    found = {text: _local(text, scene.directory) for text in texts if isinstance(text, str)}
    return {text: named for text, named in found.items() if named and named.path.exists()}


def _local(text: str, model: Path) -> Named | None:
    if not text.startswith(_ARTIFACT):
        return named_file(text)
    name, _, rest = text.removeprefix(_ARTIFACT).partition("/")
    flavour = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
    entry: Mapping[str, Any] = flavour.get("artifacts", {}).get(name, {})
    return named_file("/".join(filter(None, [str(model / entry["path"]), rest]))) if entry else None


def _copied(path: Path, model: Path, opened: Collection[Path]) -> Path:
    """Copy a file or directory; with what a reader may look for beside it, it keeps its name."""
    together = path.is_relative_to(model) and path.parent != model / "artifacts"  # as EXAMPLE_FILES travel
    others = (each for each in path.parent.iterdir() if each != path)
    beside = [each for each in others if together or each in opened or each.name.startswith(f"{path.stem}.")]
    place = _scratch()
    target = place / (path.name if beside else f"another_name{''.join(path.suffixes)}")
    for source, copy in ((path, target), *((each, place / each.name) for each in beside)):
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, copy)
    return target


def _renamed(scene: Scene, names: Mapping[str, str]) -> Payload:
    """Return the request with other texts where it names these."""
    signature, form = scene.files.signature, form_of_payload(scene.payload)
    rows = content_of(scene.payload, signature).rows()
    moved = [
        {key: names.get(value, value) if isinstance(value, str) else value for key, value in row.items()}
        for row in rows
    ]
    return {**scene.payload, form: write_form(form, moved, signature)}


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
