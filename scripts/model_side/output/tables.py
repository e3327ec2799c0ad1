"""Files of outputs by format: arrays as they are, tables of numbers, and MLflow's response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..base.errors import StepError, UsageError
from ..base.files import file_entry
from ..model.signature import Array as ListOf
from ..model.signature import Map, Object, Scalar, Signature, Tensor
from ..payload.fingerprints import content_of
from ..payload.text import dumps_strict
from .arrays import Array, Arrays, as_array, jsonable, numpy_dtype, result_path
from .files import endings, write_array, write_output

FORMATS = ("npy", "npz", "parquet", "h5ad", "json")
FILES, OUTPUT_DIR = "files", "output_dir"  # the format of results that are files, and the param that says where
LIBRARIES: Mapping[str, tuple[str, ...]] = {"parquet": ("pyarrow", "pandas"), "h5ad": ("anndata",)}


def formats(signature: Signature) -> tuple[str, ...]:
    """Return the formats that can hold what a signature declares, the best first."""
    if signature.output_files:
        return (FILES,)
    suitable = [ending[1:] for ending in (".npy", ".npz") if ending in endings(signature)]
    types = [each.type for each in signature.outputs]
    flat = types and all(_is_column(each) or (isinstance(each, Tensor) and len(each.shape) <= 2) for each in types)
    matrix = len(types) == 1 and isinstance(types[0], Tensor) and len(types[0].shape) == 2
    return (*suitable, *["parquet"] * bool(flat), *["h5ad"] * (matrix and numpy_dtype(types[0]) is not None), "json")


def require_format(name: str, signature: Signature) -> str:
    """Return a format that can hold the model's output: the best where `name` is empty.

    Raises
    ------
    UsageError
        With those that can.
    """
    suitable = formats(signature)
    if name and name not in suitable:
        declared = " and ".join(str(each.type) for each in signature.outputs) or "nothing"
        expected = f"one of {', '.join(suitable)} for an output declared as {declared}"
        raise UsageError("--format", "it does not suit the output", expected=expected, got=name)
    return name or suitable[0]


def write_as(form: str, output: Any, arrays: Arrays, path: Path) -> dict[str, Any]:
    """Write an output, and say what the file holds.

    Parameters
    ----------
    form : str
        One of `FORMATS`.
    output : object
        What predict returned.
    arrays : ndarray or dict of str to ndarray
        The same as `as_array` returns it.
    path : Path

    Returns
    -------
    dict
        ``sha256``, ``shape`` and ``dtype`` as texts, and ``rows``.
    """
    parts = arrays if isinstance(arrays, dict) else {"": arrays}
    if form == "json":
        path.write_text(dumps_strict({"predictions": jsonable(output)}) + "\n", encoding="utf-8")
    elif form == "npz":
        write_output(arrays, path)
    elif form == "npy":
        with path.open("wb") as stream:
            write_array(next(iter(parts.values())), stream)
    else:
        _write_table(form, parts, path)
    shape = ";".join(f"{name}{list(each.shape)}" for name, each in parts.items())
    dtype = ";".join(str(each.dtype) for each in parts.values())
    rows = next((len(each) if each.ndim else 1 for each in parts.values()), 0)
    return {"sha256": file_entry(path).sha256, "shape": shape, "dtype": dtype, "rows": rows}


def take_files(output: Any, signature: Signature, directory: Path) -> dict[str, Any]:
    """Say what the result files hold that a model has written to a directory of their own.

    Parameters
    ----------
    output : object
        What predict returned: their URIs.
    signature : Signature
    directory : Path

    Returns
    -------
    dict
        As `write_as`; ``sha256`` is of the list of all files, and ``files`` is JSON: name and sha256 of each result.

    Raises
    ------
    StepError
        If a result lies elsewhere.
    """
    uris = as_array(output, replace(signature, output_files=False))
    columns = list(uris.values()) if isinstance(uris, dict) else [uris]
    paths = [path for column in columns for uri in column if (path := result_path(uri))]
    if stray := next((path for path in paths if not path.resolve().is_relative_to(directory.resolve())), None):
        advice = f"Write it to the directory that the param {OUTPUT_DIR} names."
        raise StepError("output", "a result lies elsewhere", expected=str(directory), got=str(stray), advice=advice)
    rows = len(columns[0])
    files = [[str(path.resolve().relative_to(directory.resolve())), file_entry(path).sha256] for path in paths]
    facts = {"sha256": content_of(directory)[0], "shape": f"[{rows}]", "dtype": "file", "rows": rows}
    return {**facts, "files": json.dumps(files)}


def _is_column(type_: object) -> bool:
    return isinstance(type_, Scalar | ListOf) and not isinstance(type_, Map | Object)


def _write_table(form: str, parts: Mapping[str, Array], path: Path) -> None:
    if form == "h5ad":
        import anndata

        anndata.AnnData(next(iter(parts.values()))).write_h5ad(path)
        return
    import pandas

    columns: dict[str, Any] = {}
    for name, each in parts.items():
        if each.ndim < 2:
            columns[name or "output"] = each.reshape(-1)
        else:
            columns |= {f"{name or 'output'}_{number}": each[:, number] for number in range(each.shape[1])}
    pandas.DataFrame(columns).to_parquet(path, index=False)
