"""Let the files of an input example travel in the model, named so that a moved model still finds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from ..base.named_files import named_file
from .flags import Flags

DATA = "model_data"


def is_data(path: str) -> bool:
    """Tell whether a declared path lies inside model_data/, where the pipeline sees it change."""
    normal = os.path.normpath(path)
    return normal == DATA or normal.startswith(DATA + os.sep)


def carry(
    example: Example, artifacts: Mapping[str, Path], package: Path, flags: Flags, problems: list[str]
) -> tuple[Example, dict[str, Path]]:
    """Let local files of the example travel as artifacts, named by artifact://, so that a moved package works.

    Parameters
    ----------
    example : Example
    artifacts : mapping of str to Path
        Absolute, by name.
    package : Path
        The directory that paths in INPUT_EXAMPLE are relative to.
    flags : Flags
    problems : list of str
        What is wrong is added to it.

    Returns
    -------
    Example, dict of str to Path
        The example as it travels, and all artifacts.
    """
    carried = dict(artifacts)
    if not isinstance(example.data, pd.DataFrame) or URI_COLUMN not in example.data:
        return example, carried
    from_flag = flags.example_uri is not None
    uris = []
    for uri in example.data[URI_COLUMN]:
        where = "--example-uri" if from_flag else "INPUT_EXAMPLE"
        if not isinstance(uri, str):
            problems.append(f"{where}: expected a path or URI in the column {URI_COLUMN}, got {uri!r}")
            continue
        named = named_file(uri, package)
        if not named:
            uris.append(uri)
        elif not named.path.exists():
            problems.append(f"{where}: no such file or directory: {uri}")
        elif not from_flag and not is_data(os.path.relpath(named.path, package)):
            problems.append(f'{where}: expected a file inside {DATA}/, got "{uri}": move it there')
        else:
            uris.append(_artifact_uri(named.path, carried) + quote(named.part, safe="/:"))
    if len(uris) != len(example.data):
        return example, carried
    return replace(example, data=example.data.assign(input_uri=uris)), carried


def _artifact_uri(path: Path, artifacts: dict[str, Path]) -> str:
    for name, known in artifacts.items():
        if path.resolve() == known.resolve():
            return f"artifact://{name}"
        if known.is_dir() and path.resolve().is_relative_to(known.resolve()):
            return f"artifact://{name}/{quote(path.resolve().relative_to(known.resolve()).as_posix())}"
    number = sum(name.startswith("input_example") for name in artifacts)
    name = f"input_example_{number}" if number else "input_example"
    artifacts[name] = path
    return f"artifact://{name}"


URI_COLUMN = "input_uri"


@dataclass(frozen=True)
class Example:
    """An input example.

    Parameters
    ----------
    data : object
        What predict takes: a DataFrame, an ndarray, or a mapping of names to arrays.
    params : mapping
        Those that the example gives; the others take their defaults.
    """

    data: Any
    params: Mapping[str, Any] = field(default_factory=dict)

    def for_mlflow(self) -> Any:
        """Return it as ``save_model(input_example=...)`` takes it."""
        return (self.data, dict(self.params)) if self.params else self.data


def read_example(flag: str | None, declared: Any, problems: list[str]) -> Example | None:
    """Return the example of ``--example-uri``, else of INPUT_EXAMPLE; what is wrong is added to `problems`."""
    if flag is not None:
        return Example(pd.DataFrame({URI_COLUMN: [flag]}))
    if declared is None:
        problems.append("INPUT_EXAMPLE: not given: write one there, or give --example-uri: it proves the package")
        return None
    data, params = declared if isinstance(declared, tuple) and len(declared) == 2 else (declared, {})
    if not isinstance(params, dict):
        problems.append(f"INPUT_EXAMPLE: expected params in a dict, got a {type(params).__name__}")
        return None
    if not _has_rows(data):
        problems.append("INPUT_EXAMPLE: it has no rows")
        return None
    return Example(data, params)


def _has_rows(data: Any) -> bool:
    """Tell whether an example holds anything: a prediction of nothing proves nothing."""
    if isinstance(data, Mapping):
        return bool(data) and all(map(_has_rows, data.values()))
    return not hasattr(data, "__len__") or bool(np.size(data) if isinstance(data, np.ndarray) else len(data))
