"""The files of a request: the same under other names, and spoilt ones, to which there is no answer.

Import it in the model environment only.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..base.errors import ReportedError, StepError
from ..base.named_files import Named, named_file
from ..base.opened import opened_in
from ..model.model import ModelFiles
from ..output.arrays import as_array
from ..output.comparison import form_of
from ..payload.forms import content_of, form_of_payload, write_form
from .routes import LISTED, REFUSED, Route, failed
from .scene import Payload, Scene

LARGE = 2**30  # bytes of a file that is not copied for each question
BAD_INPUTS = "bad_inputs"
_ARTIFACT = "artifact://"
_TEXT, _BYTES = b"This is another kind of file.\n" * 99, bytes(range(256)) * 9


def no_files(scene: Scene) -> str:
    """Return why the files of a request cannot be asked for under another name; nothing where they can."""
    return "" if files_of(scene) else "the request names no local files"


def ask_files(scene: Scene) -> Iterator[Route]:
    """Ask for copies of the files of the request, of another name where nothing lies beside them."""
    found = _holds_copies(scene, "copies of its files, named otherwise")
    if not found.agrees and (opened := opened_beside(scene)):
        found = _holds_copies(scene, "copies of its files, with those that it opens beside them", opened)
    yield found


def _holds_copies(scene: Scene, name: str, opened: Collection[Path] = ()) -> Route:
    copies = {
        text: f"{_copied(named.path, scene.directory, opened)}{named.part}" for text, named in files_of(scene).items()
    }
    return scene.holds(name, renamed(scene, copies), scene.first)


def opened_beside(scene: Scene) -> set[Path]:
    """Return what the model opens beside the files of the request, by whatever code."""
    files = {named.path for named in files_of(scene).values()}
    with opened_in({path.parent for path in files}) as opened, suppress(StepError):
        scene.witness.predict(scene.payload)
        return opened() - files
    return set()


def no_bad_inputs(scene: Scene) -> str:
    """Return why no file of a request can be spoilt; nothing where one can."""
    large = (f"a file is over {LARGE / 2**30:g} GiB" for path in _one_of_each_column(scene).values() if _is_large(path))
    return no_files(scene) or next(large, "")


def ask_bad_inputs(scene: Scene) -> Iterator[Route]:
    """Ask for a copy of a file of each column that is spoilt in one way after the other, and look for an error."""
    for text, path in _one_of_each_column(scene).items():
        copy, part = _copied(path, scene.directory), files_of(scene)[text].part
        for kind, spoil in (_OF_A_DIRECTORY if path.is_dir() else _OF_A_FILE).items():
            if spoil(copy):
                scene.asking(kind)
                yield _refusal(scene, kind, copy, renamed(scene, {text: f"{copy}{part}"}))


def _refusal(scene: Scene, kind: str, spoilt: Path, payload: Payload) -> Route:
    """Return whether a model refuses a request, and names the file; what MLflow serves is an answer, fit or not."""
    told = _answered(scene.files)
    try:
        output = scene.witness.model.output(payload)
    except StepError as error:
        is_named = spoilt.name in f"{error}{error.author_traceback}"
        fault = "" if is_named else f"its error does not name the file: {error.fault}"
        return Route(kind, told=REFUSED) if is_named else Route(kind, told=told, fault=fault)
    try:
        answer = as_array(output, scene.files.signature)
    except StepError as error:
        return Route(kind, told=told, fault=f"answered: {error.fault}")
    return Route(kind, answer, told=told, fault=f"answered: {form_of(answer)}")


def _answered(files: ModelFiles) -> str:
    return "" if files.metadata.get("strict_inputs") is True else LISTED


def ended(kind: str, error: ReportedError, files: ModelFiles) -> Route:
    """Return what a spoilt file did that ended the process, or took it too long.

    Parameters
    ----------
    kind : str
        What was done to the file.
    error : ReportedError
        What became of the process.
    files : ModelFiles
    """
    return replace(failed(kind, error), fault=error.fault, told=_answered(files))


def _one_of_each_column(scene: Scene) -> dict[str, Path]:
    """Return the path of the first file that each column of a request names, by the text that names it."""
    files, first = files_of(scene), dict[str, str]()
    for column, text in _texts(scene):
        if text in files:
            first.setdefault(column, text)
    return {text: files[text].path for text in first.values()}


def _is_large(path: Path) -> bool:
    return sum(each.stat().st_size for each in (path, *path.rglob("*"))) > LARGE


def _cut(path: Path) -> bool:
    """Cut a file in half, if that can be seen: a text may end anywhere."""
    data = path.read_bytes()
    if _is_text(data):
        return False
    path.write_bytes(data[: len(data) // 2])
    return True


def _other_kind(path: Path) -> bool:
    path.write_bytes(_BYTES if _is_text(path.read_bytes()) else _TEXT)
    return True


def _is_text(data: bytes) -> bool:
    return b"\0" not in data


def _empty(path: Path) -> bool:
    path.write_bytes(b"")
    return True


def _empty_directory(path: Path) -> bool:
    shutil.rmtree(path)
    path.mkdir()
    return True


def _file_instead(path: Path) -> bool:
    path.rmdir()
    path.write_bytes(_TEXT)
    return True


def _absent(path: Path) -> bool:
    path.unlink()
    return True


# What is done to a copy, in this order; each tells whether it can be done. The one before it may have been.
_OF_A_FILE: Mapping[str, Callable[[Path], bool]] = {
    "a file that is cut in half": _cut,
    "a file of another kind": _other_kind,
    "an empty file": _empty,
    "an absent file": _absent,
}
_OF_A_DIRECTORY: Mapping[str, Callable[[Path], bool]] = {
    "an empty directory": _empty_directory,
    "a file for a directory": _file_instead,
    "an absent directory": _absent,
}


def scratch() -> Path:
    """Return a new directory, which goes with this process: results may lie beside inputs, and are looked at again."""
    return Path(tempfile.mkdtemp())


def files_of(scene: Scene) -> dict[str, Named]:
    """Return the local files and directories that a request names, by the text that names each."""
    found = {text: _local(text, scene.directory) for _, text in _texts(scene)}
    return {text: named for text, named in found.items() if named and named.path.exists()}


def _texts(scene: Scene) -> list[tuple[str, str]]:
    """Return what a request says in the columns that name files, and what names one of the model's, with its column."""
    columns = getattr(scene.witness.model.model.unwrap_python_model(), "FILE_COLUMNS", ("input_uri",))
    rows = content_of(scene.payload, scene.files.signature).rows()
    texts = [(str(name), text) for row in rows for name, text in row.items() if isinstance(text, str)]
    return [(name, text) for name, text in texts if name in columns or text.startswith(_ARTIFACT)]


def _local(text: str, model: Path) -> Named | None:
    if not text.startswith(_ARTIFACT):
        return named_file(text)
    name, _, rest = text.removeprefix(_ARTIFACT).partition("/")
    flavour = yaml.safe_load((model / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
    entry: Mapping[str, Any] = flavour.get("artifacts", {}).get(name, {})
    return named_file("/".join(filter(None, [str(model / entry["path"]), rest]))) if entry else None


def _copied(path: Path, model: Path, opened: Collection[Path] = ()) -> Path:
    """Copy a file or directory; with what a reader may look for beside it, it keeps its name."""
    together = path.is_relative_to(model) and path.parent != model / "artifacts"  # as EXAMPLE_FILES travel
    others = (each for each in path.parent.iterdir() if each != path)
    beside = [each for each in others if together or each in opened or each.name.startswith(f"{path.stem}.")]
    place = scratch()
    target = place / (path.name if beside else f"another_name{''.join(path.suffixes)}")
    for source, copy in ((path, target), *((each, place / each.name) for each in beside)):
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, copy)
    return target


def renamed(scene: Scene, names: Mapping[str, str]) -> Payload:
    """Return the request with other texts where it names these files."""
    signature, form = scene.files.signature, form_of_payload(scene.payload)
    rows = content_of(scene.payload, signature).rows()
    moved = [
        {key: names.get(value, value) if isinstance(value, str) else value for key, value in row.items()}
        for row in rows
    ]
    return {**scene.payload, form: write_form(form, moved, signature)}
