"""Files of outputs: arrays as .npy or .npz, which keep dtypes, and the golden output of a package."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..base.errors import UsageError
from ..base.files import read_text
from ..model.signature import Signature
from ..payload.text import dumps_strict, predictions_from_json
from .arrays import Array, Arrays, as_array, jsonable, numpy_dtype

JSON = ("", ".json")
# JSON: scanners take .npy and .npz for what may hold a pickle, and fail on them.
GOLDEN, _GOLDEN_BEFORE = "golden_output.json", "golden_output.npz"  # the latter until version 0.2
_ONE = "output"  # the name of an output that has none


def endings(signature: Signature) -> tuple[str, ...]:
    """Return the endings of the files that can hold what a signature declares; JSON can hold anything."""
    is_arrays = signature.outputs and all(numpy_dtype(each.type) is not None for each in signature.outputs)
    return (".json", *([".npy"] if len(signature.outputs) == 1 else []), ".npz") if is_arrays else (".json",)


def require_suitable(path: Path, signature: Signature) -> None:
    """Check, before the model is loaded, that a file with that ending can hold the model's output.

    Parameters
    ----------
    path : Path
        Its ending says what is written.
    signature : Signature

    Raises
    ------
    UsageError
        With the endings that suit.
    """
    suitable = endings(signature)
    if path.suffix not in (*JSON, *suitable):
        declared = " and ".join(str(each.type) for each in signature.outputs) or "nothing"
        expected = f"one of {', '.join(suitable)} for an output declared as {declared}"
        raise UsageError("--output-path", "the ending does not suit the output", expected=expected, got=path.name)


def export(output: Any, path: Path, signature: Signature) -> None:
    """Write an output that fits its signature as arrays, in one move; what is at the path stays until then.

    Parameters
    ----------
    output : object
        What predict returned.
    path : Path
        Ends in ``.npy`` or ``.npz``.
    signature : Signature
    """
    arrays = as_array(output, replace(signature, output_files=False))
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if path.suffix == ".npz":
            write_output(arrays, part)
        else:
            with part.open("wb") as stream:
                write_array(next(iter(arrays.values())) if isinstance(arrays, dict) else arrays, stream)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_output(output: Arrays, path: Path) -> None:
    """Write arrays as .npz; the same output gives the same bytes.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        As `as_array` returns it; one array is stored as ``output``.
    path : Path
    """
    parts = output if isinstance(output, dict) else {_ONE: output}
    # Not numpy.savez: it takes no array called "file".
    with zipfile.ZipFile(path, "w") as whole:
        for name, array in parts.items():
            with whole.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                write_array(array, stream)


def write_array(array: Array, stream: IO[bytes]) -> None:
    """Write one array as numpy.save does; texts as numpy's own: an array of objects would be stored as a pickle.

    Parameters
    ----------
    array : ndarray
        Of any shape and dtype; objects are written as texts.
    stream : binary file
    """
    plain = array.astype("U") if array.dtype == object else array
    np.lib.format.write_array(stream, plain, allow_pickle=False)


def read_output(path: Path) -> Array | dict[str, Array]:
    """Read what `write_output` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ndarray or dict of str to ndarray
        As it was written.

    Raises
    ------
    ValueError
        If it is something else.
    """
    with np.load(path) as stored:
        parts = {name: stored[name] for name in stored.files}
    return parts[_ONE] if list(parts) == [_ONE] else parts


def write_golden(output: Any, model: Path) -> None:
    """Write an output into a package, in MLflow's response format.

    Parameters
    ----------
    output : object
        What predict returned, or the same as arrays.
    model : Path
        The directory of the MLflow Model.
    """
    answer = f"{dumps_strict({'predictions': jsonable(output)})}\n"
    (model / GOLDEN).write_text(answer, encoding="utf-8")


def golden_path(model: Path) -> Path | None:
    """Return the file of a package's golden output, None where it has none.

    Parameters
    ----------
    model : Path
        The directory of the MLflow Model.
    """
    return next((path for name in (GOLDEN, _GOLDEN_BEFORE) if (path := model / name).is_file()), None)


def read_golden(path: Path, signature: Signature) -> Arrays:
    """Read a package's golden output.

    Parameters
    ----------
    path : Path
        As `golden_path` returns it.
    signature : Signature

    Raises
    ------
    StepError
        If it does not fit the signature.
    ValueError
        If it cannot be read as arrays.
    """
    is_json = path.suffix == ".json"
    stored = predictions_from_json(read_text(path), subject=path.name) if is_json else read_output(path)
    return as_array(stored, signature)
