"""The local files and directories that a payload names, and what of them and the model is only to be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..base.named_files import named_file


def inputs(payload: Any) -> Iterator[Path]:
    """Yield the local files and directories that a payload names."""
    if isinstance(payload, dict | list):
        for each in payload.values() if isinstance(payload, dict) else payload:
            yield from inputs(each)
    elif isinstance(payload, str) and (named := named_file(payload)) and named.path.name:
        yield named.path  # not "/" or ".", which would let everything through


def existing_inputs(payload: Any) -> list[Path]:
    """Return those of the files and directories that a payload names which are there."""
    return [path for path in inputs(payload) if os.path.exists(path)]  # noqa: PTH110  it takes any text


def read_only_places(payload: Mapping[str, Any], *own: Path) -> list[Path]:
    """Return what a prediction may only read: what is its own, its inputs, and the data of a package that it runs in.

    Parameters
    ----------
    payload : mapping
        What its params name may be where results go.
    *own : Path
        Such as the directory of the MLflow Model.
    """
    data = {name: value for name, value in payload.items() if name != "params"}
    places = (*own, Path("model_data"), *existing_inputs(data))
    return [place.absolute() for place in places if os.path.exists(place)]  # noqa: PTH110  see above
