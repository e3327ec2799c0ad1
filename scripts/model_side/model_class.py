"""Find the model's class and hold it to what MLflow needs of it. Import it in the model environment only."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

import mlflow.pyfunc

from .errors import StepError, UsageError
from .spec import describe
from .tracebacks import author_traceback


def load_model_class(name: str, package: Path) -> type[mlflow.pyfunc.PythonModel]:
    """Import ``module:Class``; the package's directory must be on sys.path.

    Raises
    ------
    UsageError
        If there is no such class, it is no PythonModel, or a method of it is still to be written.
    StepError
        If importing the author's code raises.
    """
    module_name, colon, class_name = name.partition(":")
    if not colon or not class_name:
        raise UsageError("--model-class", "wrong form", expected="module:Class", got=repr(name))
    module = _import(module_name, package)
    found = getattr(module, class_name, None)
    if found is None:
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        near = get_close_matches(class_name, classes, 1)
        advice = f"Did you mean {module_name}:{near[0]}?" if near else "Write it there, or give --model-class."
        raise UsageError(f"{module_name}:{class_name}", "no such class in that module", advice=advice)
    if not (inspect.isclass(found) and issubclass(found, mlflow.pyfunc.PythonModel)):
        raise UsageError(name, "not a model", expected="a subclass of mlflow.pyfunc.PythonModel", got=describe(found))
    _refuse_unwritten(found, package)
    _refuse_unloadable(found, package)
    return found


def _import(name: str, package: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            where = name.replace(".", "/") + ".py"
            raise UsageError(
                "--model-class", f"no module {error.name}", expected=f"the file {where}", advice="Check MODEL_CLASS."
            ) from error
        advice = f"If {error.name} is a package, add it to requirements.in."
        raise _raised(name, error, package, advice) from error
    except Exception as error:  # the author's code may raise anything
        raise _raised(name, error, package, "The traceback above starts in your code.") from error


def _raised(name: str, error: Exception, package: Path, advice: str) -> StepError:
    fault = f"importing it raised {type(error).__name__}: {error}"
    return StepError(name, fault, advice=advice, author_traceback=author_traceback(error, [package / "model_code"]))


def _refuse_unwritten(model_class: type, package: Path) -> None:
    unwritten = []
    for base in model_class.__mro__:
        for name, method in vars(base).items():
            if not inspect.isfunction(method) or getattr(model_class, name) is not method:
                continue
            code = method.__code__
            if Path(code.co_filename).is_relative_to(package / "model_code") and _is_unwritten(method):
                unwritten.append(f"{name} ({_place(code.co_filename, package)}:{code.co_firstlineno})")
    if unwritten:
        raise UsageError(model_class.__name__, f"still to be written: {', '.join(unwritten)}", advice="Write it there.")


def _is_unwritten(method: object) -> bool:
    """Tell whether a function's body is `raise NotImplementedError` and nothing but a docstring beside it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))  # type: ignore[arg-type]
    except (OSError, TypeError, SyntaxError):
        return False
    function = tree.body[0]
    body = [each for each in getattr(function, "body", []) if not _is_docstring(each)]
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _refuse_unloadable(model_class: type[mlflow.pyfunc.PythonModel], package: Path) -> None:
    """MLflow saves a load_context whose argument has another name, and fails when the model is loaded."""
    code = model_class.load_context.__code__
    names = list(inspect.signature(model_class.load_context).parameters)
    if names != ["self", "context"]:
        raise UsageError(
            f"{_place(code.co_filename, package)}:{code.co_firstlineno}",
            "MLflow cannot call this load_context",
            expected="load_context(self, context)",
            got=f"load_context({', '.join(names)})",
        )


def _place(filename: str, package: Path) -> str:
    path = Path(filename)
    return path.relative_to(package).as_posix() if path.is_relative_to(package) else filename
