"""What of an author's files may be imported before they run, so that they run as by hand all the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

CODE, SPEC = "model_code", Path("model_spec.py")
# What sets environment variables, by the names that the os module has for it.
_ENVIRONMENT = ("environ", "environb", "putenv", "unsetenv")
_NEVER = ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'")  # tests that fail where a file is imported
# What only makes a value, by the last part of its name: anything else may change what a later import does.
_MAKES_A_VALUE = re.compile(
    "bool|bytes|dict|enumerate|float|frozenset|int|len|list|range|sorted|str|sum|tuple|zip"
    "|property|staticmethod|classmethod|abstractmethod|contextmanager|dataclass|field|namedtuple|TypeVar|Path|getLogger"
    "|ModelSignature|Schema|ColSpec|TensorSpec|ParamSchema|ParamSpec|DataFrame|Series|read_csv"
    "|array|asarray|arange|linspace|ones|zeros|full|dtype|float32|float64|int32|int64"
)

# What one import statement names: a module, and a name in it that may be a module, too ("" for none).
Imported = tuple[str, str]


def tree_of(file: Path) -> ast.Module | None:
    """Return a file's statements; None where it cannot be read, or is not Python now."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def imports_ahead(files: Mapping[Path, ast.Module]) -> tuple[Imported, ...]:
    """Return what may be imported before the model's module is, in the order in which that does it, by absolute names.

    It is what that module, and those of these files which it imports, name at their top before they do more than define
    names and make values. Nothing, where a file may change what a later import does: it sets environment variables,
    also in a function; it calls what gives nothing to keep, such as a configuration function, or assigns to what is not
    its own; it imports what lies beside these files, which may do that, too; or it is model_spec.py, which runs before
    that module, and it calls what may do more than make a value.

    Parameters
    ----------
    files : mapping of Path to ast.Module
        By paths from the package's directory, which is the working directory.
    """
    spec = files.get(SPEC, ast.Module([], []))
    if any(map(_disturbs, files.values())) or not all(map(_is_inert, _defining(spec))):
        return ()
    return tuple(dict.fromkeys(takewhile(any, _Walk(files).module(_main(spec)))))


def _main(spec: ast.Module) -> str:
    """Return the name of the model's module: what model_spec.py says, or what it is called by default."""
    for statement in spec.body:
        name, _, value = ast.unparse(statement).partition(" = ")
        if name.partition(":")[0] == "MODEL_CLASS":
            return value.strip("'").partition(":")[0]
    return f"{CODE}.{Path.cwd().name.removesuffix('_mlflow_pkg')}_mlflow_model"


class _Walk:
    """Follow the imports of an author's files in the order in which they run, each file once."""

    def __init__(self, files: Mapping[Path, ast.Module]) -> None:
        self._left = dict(files)

    def module(self, name: str) -> Iterator[Imported]:
        """Yield what a module and those above it import, and ("", "") where they may do something else."""
        above = name.rpartition(".")[0]
        if above:
            yield from self.module(above)
        place = Path(*name.split("."))
        for file, package in ((place / "__init__.py", name), (place.with_suffix(".py"), above)):
            if tree := self._left.pop(file, None):
                yield from self._file(tree, package.split("."))

    def _file(self, tree: ast.Module, package: Sequence[str]) -> Iterator[Imported]:
        for statement in _flat(tree.body):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                for module, name in map(partial(_absolute, package), _names(statement)):
                    if module.partition(".")[0] == CODE:
                        yield from self.module(f"{module}.{name}".rstrip("."))
                    else:
                        yield (module, name) if module != SPEC.stem else ("", "")
            elif not _is_inert(statement):
                yield "", ""


def _absolute(package: Sequence[str], imported: Imported) -> Imported:
    module = imported[0].lstrip(".")
    level = len(imported[0]) - len(module)
    return ".".join([*package[: len(package) + 1 - level], module] if level else [module]).rstrip("."), imported[1]


def _disturbs(file: ast.Module) -> bool:
    """Tell whether a file may change what an import in any of them does."""
    imported = [each for each in _flat(file.body) if isinstance(each, ast.Import | ast.ImportFrom)]
    beside = any(_is_beside(name) for each in imported for name in _names(each))
    acting = any(_acts(node) for each in _defining(file) if not _is_inert(each) for node in _at_once(each))
    return beside or acting or _sets_environment(file)


def _defining(file: ast.Module) -> list[ast.stmt]:
    """Return what a file does at its top but for its imports."""
    return [each for each in _flat(file.body) if not isinstance(each, ast.Import | ast.ImportFrom)]


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
    """Tell whether a statement does no more than to define the file's own names, and to make values."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        given = (*statement.args.defaults, *filter(None, statement.args.kw_defaults))
        return all(map(_makes_a_value, statement.decorator_list)) and not any(map(_calls, given))
    if isinstance(statement, ast.ClassDef):
        above = (*statement.bases, *statement.keywords)
        return (
            all(map(_makes_a_value, statement.decorator_list))
            and not any(map(_calls, above))
            and all(map(_is_inert, statement.body))
        )
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return all(isinstance(target, ast.Name) for target in targets) and not _calls(statement)
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and not _calls(statement))


def _calls(node: ast.AST) -> bool:
    """Tell whether a node calls what may do more than make a value."""
    nodes = [*ast.walk(node)]
    others = any(not _makes_a_value(each.func) for each in nodes if isinstance(each, ast.Call))
    return others or any(isinstance(each, ast.Await | ast.NamedExpr) for each in nodes)


def _makes_a_value(function: ast.expr) -> bool:
    named = function.func if isinstance(function, ast.Call) else function  # of a decorator with arguments
    return bool(_MAKES_A_VALUE.fullmatch(ast.unparse(named).rpartition(".")[2]))


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
