"""Tell from an author's files alone, nothing of them imported, what is still missing before there can be a model."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ..model.declared_data import DECLARATION, declared_paths, declared_sources
from .travel import artifact_faults

SPEC = "model_spec.py"
_EXAMPLE, _DATA = "INPUT_EXAMPLE", "model_data"
_DYNAMIC = ("exec", "globals", "locals", "vars")  # what they bind shows only when they run

Function = ast.FunctionDef | ast.AsyncFunctionDef


def unfinished(package: Path, root: Path | None = None) -> list[str]:
    """Name what an author still has to write; what the text alone cannot tell counts as written.

    Parameters
    ----------
    package : Path
        The directory of its files.
    root : Path, optional
        That of the package, where its files are still to be brought there.

    Returns
    -------
    list of str
        A line with file and line number for each method of the model's class that only raises NotImplementedError, and
        for an input example that is not given; or for a syntax error. A line for each file of an artifact that cannot
        travel, where it is there and no source brings it; and one where no model can be loaded from there.

    Raises
    ------
    UsageError
        If model_data.toml cannot be read.
    """
    try:
        spec = _parse(package, SPEC)
        place = str(root or package)
        told = f"{place}: MLflow loads no model from this path: rename it, without a % before two digits"
        lines = [told] if unquote(place) != place else []
        lines += unwritten(package, _model_class(spec))
        return [*lines, *_missing_example(spec), *_artifact_faults(package, spec)]
    except SyntaxError as error:
        return [f"{error.filename}:{error.lineno or 1}: not valid Python: {error.msg}"]


def unwritten(package: Path, model_class: str) -> list[str]:
    """Name the methods of a class that only raise NotImplementedError, if its module mentions them nowhere else.

    Parameters
    ----------
    package : Path
        The package's directory.
    model_class : str
        ``module:Class``.

    Returns
    -------
    list of str
        A line with file and line number for each.

    Raises
    ------
    SyntaxError
        If the module has one.
    """
    module, _, name = model_class.partition(":")
    file = f"{module.replace('.', '/')}.py"
    code = _parse(package, file)
    owners = [node for node in ast.walk(code) if isinstance(node, ast.ClassDef) and node.name == name]
    methods = [each for owner in owners for each in owner.body if isinstance(each, Function) and _only_raises(each)]
    alone = [each for each in methods if _mentions(code, each.name) == _mentions(each, each.name)]
    return [f"{file}:{each.lineno}: {each.name} is still to be written" for each in alone]


def _parse(package: Path, file: str) -> ast.Module:
    """Return a file's statements, none where it is missing: the packager says what belongs there."""
    path = package / file
    return ast.parse(path.read_bytes() if path.is_file() else b"", file)


def _only_raises(function: Function) -> bool:
    """Tell whether a function's body is `raise NotImplementedError` and nothing but a docstring beside it."""
    match function.body[ast.get_docstring(function) is not None :]:
        case [ast.Raise(exc=ast.Name("NotImplementedError") | ast.Call(func=ast.Name("NotImplementedError")))]:
            return not function.decorator_list
    return False


def _model_class(spec: ast.Module) -> str:
    """Return MODEL_CLASS where it is a text, else nothing."""
    return next((str(value.value) for value in _assigned(spec, "MODEL_CLASS")), "")


def _missing_example(spec: ast.Module) -> list[str]:
    values = list(_assigned(spec, _EXAMPLE))
    if not spec.body or any(each.value is not None for each in values) or _mentions(spec, _EXAMPLE) != len(values):
        return []
    return [f"{SPEC}:{values[-1].lineno if values else 1}: {_EXAMPLE} is not given"]


def _artifact_faults(package: Path, spec: ast.Module) -> Iterator[str]:
    """Yield what is wrong with the artifacts that the text names, where no download brings them."""
    sources = declared_sources(package / DECLARATION)
    brought = [PurePosixPath(_DATA, name) for source in sources for name in declared_paths(source)]
    for name, value in _named_artifacts(spec):
        path = PurePosixPath(value)
        is_own = not any(path == other or path in other.parents or other in path.parents for other in brought)
        if path.parts[:1] == (_DATA,) and ".." not in path.parts and is_own and (package / path).exists():
            yield from artifact_faults({name: package / path}, {})


def _named_artifacts(spec: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield name and path of each artifact that is written as texts."""
    for statement in spec.body:
        match statement:
            case ast.Assign(targets=[ast.Name("ARTIFACTS")], value=ast.Dict(keys, values)):
                for pair in zip(keys, values, strict=True):
                    match pair:
                        case ast.Constant(str() as name), ast.Constant(str() as path):
                            yield name, path


def _assigned(spec: ast.Module, name: str) -> Iterator[ast.Constant]:
    """Yield the constants that a name is assigned at module level."""
    for statement in spec.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id)], value=ast.Constant() as value) if id == name:
                yield value


def _mentions(tree: ast.AST, name: str) -> int:
    """Count what may bind a name, or use it; what may bind any name counts, too."""
    count = 0
    for node in ast.walk(tree):
        words = [getattr(node, field, None) for field in ("id", "attr", "name", "asname", "value")]
        count += name in words or words[0] in _DYNAMIC or words[2] == "*"
    return count
