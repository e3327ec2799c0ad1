"""The example's output as it travels in a package: one array, or one per column or tensor."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from .answers import Array, Arrays

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
