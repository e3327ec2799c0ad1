"""Let the files of an input example travel in the model, named so that a moved model still finds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from ..base.named_files import Named, named_file
from ..base.redact import texts
from .example import DATA, URI_COLUMN, Example, is_data
from .flags import Flags

EXAMPLE = "input_example"  # the artifact of its files


class Luggage:
    """What travels in the model beside its code: its artifacts, and the files of its example as artifacts.

    Parameters
    ----------
    package : Path
        The directory that paths in model_spec.py are relative to.
    flags : Flags
    artifacts : mapping of str to Path
        Those that the author names, absolute, by name.
    problems : list of str
        What is wrong is added to it.
    """

    def __init__(self, package: Path, flags: Flags, artifacts: Mapping[str, Path], problems: list[str]) -> None:
        self._package, self._flags, self._problems = package, flags, problems
        self.artifacts = dict(artifacts)
        self.parts: dict[str, tuple[Path, ...]] = {}

    def pack(self, example: Example, beside: Sequence[object]) -> Example:
        """Return the example as it travels: local files that it names are named by artifact:// instead.

        Parameters
        ----------
        example : Example
        beside : sequence of object
            The entry EXAMPLE_FILES: paths or patterns of what lies beside those files.
        """
        if not isinstance(example.data, pd.DataFrame):
            if names := [text for text in texts(example.data) if text.startswith(f"{DATA}/")]:
                got = f'"{names[0]}" in a {type(example.data).__name__}'
                self._problems.append(f"INPUT_EXAMPLE: files travel in a pandas.DataFrame only, got {got}")
            return example
        data = example.data.copy(deep=False)
        columns = {number: list(data.iloc[:, number]) for number, dtype in enumerate(data.dtypes) if dtype.kind == "O"}
        files = {number: [self._file(each, data.columns[number]) for each in columns[number]] for number in columns}
        self._group({file.path for found in files.values() for file in found if file}, [*self._beside(beside)])
        for number, found in files.items():
            if any(found):
                pairs = zip(found, columns[number], strict=True)
                data.isetitem(number, [self._uri(file) if file else value for file, value in pairs])
        return replace(example, data=data)

    def _file(self, value: object, column: object) -> Named | None:
        """Return the local file that a value names; outside the usual column, only what lies in model_data/ is one."""
        usual, from_flag = column == URI_COLUMN, self._flags.example_uri is not None
        where = "--example-uri" if from_flag else "INPUT_EXAMPLE"
        if not isinstance(value, str):
            if usual:
                self._problems.append(f"{where}: expected a path or URI in the column {column}, got {value!r}")
            return None
        likely = usual or DATA in value or value.startswith("file://")
        if not likely or not (named := named_file(value, self._package)):
            return None
        place = os.path.relpath(named.path, self._package)
        if not (usual or place.startswith(DATA + os.sep) or value.startswith("file://")):
            return None
        if not named.path.exists():
            self._problems.append(f"{where}: no such file or directory: {value}")
        elif not (is_data(place) or from_flag):
            self._problems.append(f'{where}: expected a file inside {DATA}/, got "{value}": move it there')
        else:
            return Named(Path(os.path.normpath(named.path)), named.part)
        return None

    def _beside(self, declared: Sequence[object]) -> Iterator[Path]:
        """Yield what is to lie beside the example's files."""
        from_flag = self._flags.example_files or self._flags.example_uri is not None
        where = "--example-file" if from_flag else "EXAMPLE_FILES"
        for pattern in self._flags.example_files if from_flag else declared:
            path = os.path.normpath(self._package / str(pattern))
            if not (from_flag or (isinstance(pattern, str) and is_data(os.path.relpath(path, self._package)))):
                self._problems.append(f"{where}: expected paths or patterns inside {DATA}/, got {pattern!r}")
                continue
            found = [Path(path)] if os.path.lexists(path) else sorted(Path("/").glob(path.lstrip("/")))
            if not found:
                self._problems.append(f"{where}: no such file or directory: {pattern}")
            yield from found

    def _group(self, files: set[Path], beside: Sequence[Path]) -> None:
        """Let files that must lie side by side travel in one directory, unless they do so already."""
        together = sorted({*files, *beside})
        homes = (all(_within(each, known) is not None for each in together) for known in self.artifacts.values())
        if not beside or any(homes):
            return
        top = Path(os.path.commonpath([each.parent for each in together]))
        self.artifacts = {EXAMPLE: top, **self.artifacts}
        self.parts[EXAMPLE] = tuple(each for each in together if not {*each.parents} & {*together})

    def _uri(self, file: Named) -> str:
        part = quote(file.part, safe="/:")
        for name, known in self.artifacts.items():
            if (inside := _within(file.path, known)) is not None:
                return f"artifact://{name}{quote(inside)}{part}"
        number = sum(name.startswith(EXAMPLE) for name in self.artifacts)
        name = f"{EXAMPLE}_{number}" if number else EXAMPLE
        self.artifacts[name] = file.path
        return f"artifact://{name}{part}"


def _within(path: Path, known: Path) -> str | None:
    """Return where a path is in an artifact, "/" and all, or None; of links, where they are or where they lead."""
    for one, other in ((path, known), (path.resolve(), known.resolve())):
        if one == other or (known.is_dir() and one.is_relative_to(other)):
            return "".join(f"/{each}" for each in one.relative_to(other).parts)
    return None
