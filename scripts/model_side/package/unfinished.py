"""Tell from an author's files alone, nothing of them imported, what is still to be written before there is a model."""

from __future__ import annotations

import ast
from pathlib import Path

SPEC = "model_spec.py"
EXAMPLE, MODEL_CLASS = "INPUT_EXAMPLE", "MODEL_CLASS"
_DYNAMIC = ("exec", "globals", "locals", "vars")  # what they bind shows only when they run

Function = ast.FunctionDef | ast.AsyncFunctionDef


def unfinished(package: Path) -> list[str]:
    """Name what an author still has to write; what the text alone cannot tell counts as written.

    Parameters
    ----------
    package : Path
        The package's directory.

    Returns
    -------
    list of str
        A line with file and line number for each method of the model's class that only raises NotImplementedError, for
        an input example that is not given, and for each syntax error.
    """
    faults: list[str] = []
    spec = _parse(package, SPEC, faults)
    module, _, name = _model_class(spec, package).partition(":")
    file = f"{module.replace('.', '/')}.py"
    code = _parse(package, file, faults) if all(map(str.isidentifier, module.split("."))) else None
    unwritten = [f"{file}:{each.lineno}: {each.name} is still to be written" for each in _unwritten(code, name)]
    return [*faults, *unwritten, *_missing_example(spec)]


def is_unwritten(function: Function) -> bool:
    """Tell whether a function's body is `raise NotImplementedError` and nothing but a docstring beside it."""
    body = function.body[ast.get_docstring(function) is not None :]
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return False
    raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _parse(package: Path, file: str, faults: list[str]) -> ast.Module | None:
    """Return a file's statements; None where it is missing, or has a syntax error, which is added to `faults`."""
    try:
        return ast.parse((package / file).read_bytes())
    except FileNotFoundError:
        return None  # the packager says what belongs there
    except (SyntaxError, ValueError) as error:
        faults.append(f"{file}:{getattr(error, 'lineno', None) or 1}: not valid Python: {getattr(error, 'msg', error)}")
        return None


def _model_class(spec: ast.Module | None, package: Path) -> str:
    """Return MODEL_CLASS where it is a text, else the module that it is in by default."""
    values = _values(spec, MODEL_CLASS)
    if values and isinstance(values[-1], ast.Constant):
        return str(values[-1].value)
    return f"model_code.{package.resolve().name.removesuffix('_mlflow_pkg')}_mlflow_model:"


def _missing_example(spec: ast.Module | None) -> list[str]:
    values = _values(spec, EXAMPLE)
    if values is None or any(not isinstance(value, ast.Constant) or value.value is not None for value in values):
        return []
    return [f"{SPEC}:{values[-1].lineno if values else 1}: {EXAMPLE} is not given"]


def _values(tree: ast.Module | None, name: str) -> list[ast.expr] | None:
    """Return what a name is assigned at module level; None where anything else mentions it, or may bind any name."""
    statements = tree.body if tree else []
    plain = [
        node.value for node in statements if isinstance(node, ast.Assign | ast.AnnAssign) and _is_target(name, node)
    ]
    values = [value for value in plain if value is not None]
    mentions = sum(_mentions(node, name) for node in ast.walk(tree)) if tree else -1
    return values if mentions == len(values) else None


def _is_target(name: str, node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _mentions(node: ast.AST, name: str) -> bool:
    named = [getattr(node, field, None) for field in ("id", "name", "asname", "value")]
    return name in named or named[0] in _DYNAMIC or named[1] == "*"


def _unwritten(code: ast.Module | None, name: str) -> list[Function]:
    """Return the unwritten methods of a class, and of its first base as long as that is in the same module."""
    nodes = list(ast.walk(code)) if code else []
    bound = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    methods: list[Function] = []
    while name in classes:
        owner = classes.pop(name)
        members = _members(owner)
        own = [member for member in members.values() if member and member.name not in bound]
        methods += [member for member in own if not member.decorator_list and is_unwritten(member)]
        bound |= members.keys()
        name = next((base.id for base in owner.bases[:1] if isinstance(base, ast.Name)), "")
    return methods


def _members(owner: ast.ClassDef) -> dict[str, Function | None]:
    """Return what a class may bind: a method by its name, None for whatever else."""
    members: dict[str, Function | None] = {}
    for statement in owner.body:
        if isinstance(statement, Function):
            members[statement.name] = statement
        else:
            names = (getattr(node, "name", None) or getattr(node, "id", "") for node in ast.walk(statement))
            members |= {str(name): None for name in names}
    return members
