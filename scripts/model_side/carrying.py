"""Let the files of an input example travel in the model, named so that a moved model still finds them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .examples import URI_COLUMN, Example
from .flags import Flags

DATA = "model_data"


def is_data(path: str) -> bool:
    """Tell whether a declared path lies inside model_data/, where the pipeline sees it change."""
    normal = os.path.normpath(path)
    return normal == DATA or normal.startswith(DATA + os.sep)


def carry(
    example: Example, artifacts: Mapping[str, Path], package: Path, flags: Flags, problems: list[str]
) -> tuple[Example, dict[str, Path]]:
    """Let local files of the example travel as artifacts, named by artifact://, so that a moved package works."""
    carried = dict(artifacts)
    from_flag = flags.example_uri is not None
    uris = []
    for uri in example.data[URI_COLUMN]:
        where = "--example-uri" if from_flag else "INPUT_EXAMPLE"
        if not isinstance(uri, str):
            problems.append(f"{where}: expected a path or URI in the column {URI_COLUMN}, got {uri!r}")
            continue
        if "://" in uri and not uri.startswith("file://"):
            uris.append(uri)
            continue
        path = package / (unquote(urlsplit(uri).path) if uri.startswith("file://") else uri)
        if not path.is_file():
            problems.append(f"{where}: no such file: {uri}")
        elif not from_flag and not is_data(os.path.relpath(path, package)):
            problems.append(f'{where}: expected a file inside {DATA}/, got "{uri}": move it there')
        else:
            uris.append(_artifact_uri(path, carried))
    if len(uris) != len(example.data):
        return example, carried
    return replace(example, data=example.data.assign(input_uri=uris)), carried


def _artifact_uri(path: Path, artifacts: dict[str, Path]) -> str:
    for name, known in artifacts.items():
        if path.resolve() == known.resolve():
            return f"artifact://{name}"
        if known.is_dir() and path.resolve().is_relative_to(known.resolve()):
            return f"artifact://{name}/{path.resolve().relative_to(known.resolve()).as_posix()}"
    number = sum(name.startswith("input_example") for name in artifacts)
    name = f"input_example_{number}" if number else "input_example"
    artifacts[name] = path
    return f"artifact://{name}"
