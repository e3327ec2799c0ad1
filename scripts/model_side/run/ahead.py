"""What of an author's files may be imported before they run, so that they run as by hand all the same."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

# What sets environment variables, by the names that the os module has for it.
_ENVIRONMENT = ("environ", "environb", "putenv", "unsetenv")
_NEVER = ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")  # tests that fail where a file is imported

# What one import statement names: a module, and a name in it that may be a module, too ("" for none).
Imported = tuple[str, str]


def tree_of(file: Path) -> ast.Module | None:
    """Return a file's statements; None where it cannot be read, or is not Python now."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def imports_ahead(files: Iterable[ast.Module]) -> tuple[Imported, ...]:
    """Return what may be imported before the files run, in the order in which it stands, by absolute names.

    Nothing, where a file may change what a later import does: it sets environment variables, also in a function; it
    calls what gives nothing to keep, such as a configuration function, or assigns to what is not its own; or it imports
    what lies beside these files, which may do that, too; or, before an import, it calls anything, branches, or imports
    another of these files.
    """
    ahead: dict[Imported, None] = {}
    for file in files:
        if _sets_environment(file):
            return ()
        sure = True
        for statement in _flat(file.body):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                names = _names(statement)
                if any(map(_is_beside, names)):
                    return ()
                if any(map(_is_authors, names)):
                    sure = False
                elif not sure:
                    return ()
                else:
                    ahead.update(dict.fromkeys(names))
            elif not _is_inert(statement):
                sure = False
                if any(map(_acts, _at_once(statement))):
                    return ()
    return tuple(ahead)


def _acts(node: ast.AST) -> bool:
    """Tell whether a node imports, or is there for what it does to others."""
    if isinstance(node, ast.Expr):
        return _calls(node)
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [getattr(node, "target", None)]
    foreign = any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
    return foreign or isinstance(node, ast.Import | ast.ImportFrom)


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those that are tried in the place of the trial, without what no run of the file reaches."""
    for statement in body:
        if isinstance(statement, ast.Try) and all(map(_is_inert, _instead(statement))):
            yield from _flat(statement.body)
        elif not (isinstance(statement, ast.If) and ast.unparse(statement.test) in _NEVER):
            yield statement


def _instead(trial: ast.Try) -> Iterator[ast.stmt]:
    yield from (statement for handler in trial.handlers for statement in handler.body)
    yield from (*trial.orelse, *trial.finalbody)


def _at_once(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run when it does: not the bodies of functions."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _is_inert(statement: ast.stmt) -> bool:
    """Tell whether a statement changes nothing beyond the file's own names."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        given = (*statement.args.defaults, *statement.args.kw_defaults)
        return not statement.decorator_list and not any(value and _calls(value) for value in given)
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return all(isinstance(target, ast.Name) for target in targets) and not _calls(statement)
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and not _calls(statement))


def _calls(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call | ast.Await | ast.NamedExpr) for each in ast.walk(node))


def _names(statement: ast.Import | ast.ImportFrom) -> list[Imported]:
    if isinstance(statement, ast.Import):
        return [(alias.name, "") for alias in statement.names]
    return [("." * statement.level + (statement.module or ""), alias.name) for alias in statement.names]


def _is_authors(imported: Imported) -> bool:
    """Tell whether a module is a file of the author's, which runs in the command alone."""
    top = imported[0].partition(".")[0]
    return not top or Path(top).is_dir() or Path(f"{top}.py").is_file()


def _is_beside(imported: Imported) -> bool:
    """Tell whether a module is a file of the author's that is none of those which are read here."""
    return _is_authors(imported) and imported[0].partition(".")[0] not in ("", "model_code", "model_spec")


def _sets_environment(file: ast.Module) -> bool:
    """Tell whether a file may set environment variables, also where a function does."""
    nodes = list(ast.walk(file))
    reading = sum(
        (isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_environment(node.value))
        or (isinstance(node, ast.Attribute) and node.attr in ("get", "items", "copy") and _is_environment(node.value))
        or (isinstance(node, ast.Compare) and _is_environment(node.comparators[-1]))
        for node in nodes
    )
    renamed = any(isinstance(node, ast.alias) and node.asname and node.name in _ENVIRONMENT for node in nodes)
    return renamed or sum(map(_is_environment, nodes)) > reading


def _is_environment(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in _ENVIRONMENT
