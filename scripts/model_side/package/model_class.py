"""Find the model's class and check it for what MLflow needs. Import it in the model environment only."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_origin, get_type_hints

import mlflow.pyfunc
from mlflow.types.type_hints import TypeFromExample

from ..base.errors import StepError, UsageError, near
from ..base.tracebacks import author_traceback, said
from .spec import describe
from .unfinished import Function, is_unwritten


def load_model_class(name: str, package: Path) -> type[mlflow.pyfunc.PythonModel]:
    """Import ``module:Class``; the package's directory must be on sys.path.

    Parameters
    ----------
    name : str
        ``module:Class``.
    package : Path
        The package's directory.

    Raises
    ------
    UsageError
        If there is no such class, it is not a PythonModel, or a method of it is still to be written.
    StepError
        If importing the author's code raises.
    """
    module_name, colon, class_name = name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        expected = "module:Class, such as model_code.mine:Mine"
        raise UsageError("--model-class", "wrong form", expected=expected, got=repr(name))
    module = _import(module_name, package)
    model_class = getattr(module, class_name, None)
    if model_class is None:
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        advice = near(class_name, classes) or "Write it there, or give --model-class."
        raise UsageError(f"{module_name}:{class_name}", "no such class in that module", advice=advice)
    if not (inspect.isclass(model_class) and issubclass(model_class, mlflow.pyfunc.PythonModel)):
        raise UsageError(
            name, "not a model", expected="a subclass of mlflow.pyfunc.PythonModel", got=describe(model_class)
        )
    _refuse_left_behind(model_class, package)
    _refuse_unwritten(model_class, package)
    _refuse_unloadable(model_class, package)
    _refuse_unmakable(model_class)
    _refuse_overriding_hint(model_class)
    return model_class


def _import(name: str, package: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            where = name.replace(".", "/") + ".py"
            raise UsageError(
                "--model-class", f"no module {error.name}", expected=f"the file {where}", advice="Check MODEL_CLASS."
            ) from error
        raise _raised(name, error, package, _missing_advice(error.name or "", package)) from error
    except Exception as error:  # the author's code may raise anything
        raise _raised(name, error, package, "The traceback above starts in your code.") from error


def _raised(name: str, error: Exception, package: Path, advice: str) -> StepError:
    shown = author_traceback(error, [package / "model_code"])
    return StepError(name, f"importing it raised {said(error)}", advice=advice, author_traceback=shown)


def _missing_advice(name: str, package: Path) -> str:
    first = name.partition(".")[0]
    code = package / "model_code"
    if first == code.name:
        return f"There is no {name.replace('.', '/')}.py: write it, or fix the import."
    if (code / f"{first}.py").is_file() or (code / first).is_dir():
        return f"It is in model_code/: import {code.name}.{name}, or relatively."
    return f"If {name} is a package, add it to requirements.in."


def _refuse_left_behind(model_class: type, package: Path) -> None:
    """Of the package's own directory, model_code/ alone travels."""
    path = Path(getattr(sys.modules.get(model_class.__module__), "__file__", None) or "/")
    if path.is_relative_to(package) and not path.is_relative_to(package / "model_code"):
        where = path.relative_to(package).as_posix()
        raise UsageError(
            where, "it does not travel", expected="the model's class in model_code/", advice="Move it there."
        )


def _refuse_unwritten(model_class: type, package: Path) -> None:
    unwritten = [
        f"{name} ({_place(method.__code__.co_filename, package)}:{method.__code__.co_firstlineno})"
        for name, method in inspect.getmembers(model_class, inspect.isfunction)
        if Path(method.__code__.co_filename).is_relative_to(package / "model_code") and _is_unwritten(method)
    ]
    if unwritten:
        raise UsageError(model_class.__name__, f"still to be written: {', '.join(unwritten)}", advice="Write it there.")


def _is_unwritten(method: FunctionType) -> bool:
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    except (OSError, TypeError, SyntaxError):
        return False
    return isinstance(function, Function) and is_unwritten(function)


def _refuse_unmakable(model_class: type[mlflow.pyfunc.PythonModel]) -> None:
    """Check that the model can be made and asked, as MLflow does it."""
    name = model_class.__name__
    if model_class.predict is mlflow.pyfunc.PythonModel.predict:
        raise UsageError(name, "it has no predict", expected="predict(self, context, model_input, params=None)")
    try:
        inspect.signature(model_class).bind()
    except TypeError as error:
        advice = "Give what it needs in MODEL_CONFIG and ARTIFACTS."
        raise UsageError(name, "it cannot be made without arguments", got=str(error), advice=advice) from error


def _refuse_overriding_hint(model_class: type[mlflow.pyfunc.PythonModel]) -> None:
    """MLflow takes a list hint of predict's input, or TypeFromExample, for the signature, whatever is declared."""
    predict = inspect.unwrap(model_class.predict)
    named = [name for name in inspect.signature(predict).parameters if name not in ("self", "context")]
    try:
        hint = get_type_hints(predict).get(named[0]) if named else None
    except (NameError, TypeError, AttributeError):  # a name for type checkers only: MLflow passes over it, too
        return
    if list in (hint, get_origin(hint)) or hint is TypeFromExample:
        advice = "Remove it, or write pandas.DataFrame or numpy.ndarray: MLflow would take it for MODEL_SIGNATURE."
        subject = f"predict of {model_class.__name__}"
        raise UsageError(
            subject, f"the type hint of {named[0]} overrides MODEL_SIGNATURE", got=str(hint), advice=advice
        )


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
