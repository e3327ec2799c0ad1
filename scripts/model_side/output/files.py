"""Write an output to a file of arrays or a table instead of JSON, by the file's ending; dtypes are kept.

No model library is imported to decide whether an ending will do.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..base.errors import StepError, UsageError
from ..model.signature import Scalar, Signature, Tensor
from .arrays import Array, Arrays

JSON = ("", ".json")
_NEEDS = {".parquet": "pyarrow", ".h5ad": "anndata"}
_NUMBERS = ("boolean", "integer", "long", "float", "double")


def endings(signature: Signature) -> tuple[str, ...]:
    """Return the endings of the files that can hold what a signature declares; JSON can hold anything."""
    outputs = signature.outputs
    types = [each.type for each in outputs]
    first = types[0] if len(types) == 1 else None
    if types and all(isinstance(each, Tensor) for each in types):
        is_matrix = isinstance(first, Tensor) and len(first.shape) == 2 and first.dtype.name != "str"
        return (".json", *([".npy"] if first else []), ".npz", *([".h5ad"] if is_matrix else []))
    if isinstance(first, Scalar) and first.name in _NUMBERS and outputs[0].name is None:
        return (".json", ".npy", ".npz", ".parquet")
    return (".json", ".parquet") if types else (".json",)


def require_suitable(path: Path, signature: Signature) -> None:
    """Check, before the model is loaded, that a file of that ending can hold its output and can be written here.

    Raises
    ------
    UsageError
        With the endings that suit, or with the missing library.
    """
    suitable, subject = endings(signature), "--output-path"
    if path.suffix not in (*JSON, *suitable):
        declared = " and ".join(str(each.type) for each in signature.outputs) or "nothing"
        expected = f"one of {', '.join(suitable)} for an output declared as {declared}"
        raise UsageError(subject, "the ending does not suit the output", expected=expected, got=path.name)
    needed = _NEEDS.get(path.suffix)
    if needed and find_spec(needed) is None:
        advice = (
            f"Add {needed} to requirements.in, or take {' or '.join(end for end in suitable if end not in _NEEDS)}."
        )
        raise UsageError(subject, f"{needed} is not installed in the model environment", got=path.name, advice=advice)


def export(output: Any, path: Path, signature: Signature) -> None:
    """Write an output that fits its signature to `path`, in one move; what stood there stays until then.

    Raises
    ------
    StepError
        If the file's format cannot hold a value of it.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with _told(path):
            _WRITERS[path.suffix](output, part, signature)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, NotImplementedError) as error:  # of pyarrow, too
        raise StepError(str(path), "cannot hold the output", got=str(error), advice="Take .json.") from error


def _arrays(output: Any, signature: Signature) -> Any:
    from .arrays import as_array

    return as_array(output, replace(signature, output_files=False))


def _write_npy(output: Any, path: Path, signature: Signature) -> None:
    pass

    arrays = _arrays(output, signature)
    with path.open("wb") as stream:
        write_array(next(iter(arrays.values())) if isinstance(arrays, dict) else arrays, stream)


def _write_npz(output: Any, path: Path, signature: Signature) -> None:
    pass

    write_output(_arrays(output, signature), path)


def _write_parquet(output: Any, path: Path, signature: Signature) -> None:
    import pandas as pd

    from .arrays import is_series, output_fields, parts_of

    parts = parts_of(output, output_fields(signature))
    columns = {name: part.reset_index(drop=True) if is_series(part) else part for name, part in parts.items()}
    pd.DataFrame(columns).to_parquet(path, engine="pyarrow", index=False)


def _write_h5ad(output: Any, path: Path, signature: Signature) -> None:
    import anndata
    import pandas as pd

    arrays = _arrays(output, signature)
    matrix = next(iter(arrays.values())) if isinstance(arrays, dict) else arrays
    # Names as objects: anndata refuses to write those that pandas 3 makes of texts.
    obs, var = (pd.DataFrame(index=pd.Index(map(str, range(n)), dtype=object)) for n in matrix.shape)
    anndata.AnnData(X=matrix, obs=obs, var=var).write_h5ad(path)


_WRITERS = {".npy": _write_npy, ".npz": _write_npz, ".parquet": _write_parquet, ".h5ad": _write_h5ad}


GOLDEN = "golden_output.npz"
_ONE = "output"  # the name of an output that has none


def write_output(output: Arrays, path: Path) -> None:
    """Write an output as `as_array` returns it; the same output gives the same bytes."""
    parts = output if isinstance(output, dict) else {_ONE: output}
    # Not numpy.savez: it takes no array called "file".
    with zipfile.ZipFile(path, "w") as whole:
        for name, array in parts.items():
            with whole.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                write_array(array, stream)


def write_array(array: Array, stream: IO[bytes]) -> None:
    """Write one array as numpy.save does; texts as numpy's own: an array of objects would be stored as a pickle."""
    plain = array.astype("U") if array.dtype == object else array
    np.lib.format.write_array(stream, plain, allow_pickle=False)


def read_output(path: Path) -> Array | dict[str, Array]:
    """Read what `write_output` wrote.

    Raises
    ------
    ValueError
        If it is something else.
    """
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    return parts[_ONE] if list(parts) == [_ONE] else parts
