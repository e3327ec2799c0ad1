"""Find the model's class and check it for what MLflow needs. Import it in the model environment only."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import get_origin, get_type_hints

import mlflow.pyfunc
from mlflow.types.type_hints import TypeFromExample

from ..base.errors import StepError, UsageError, listed, near
from ..base.tracebacks import advice_on_missing, author_traceback, said
from .unfinished import unwritten

METHODS = ("_get_input", "_forward")  # what the base classes' predict calls, beside load_context, which MLflow does


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
        expected = "a subclass of mlflow.pyfunc.PythonModel"
        raise UsageError(name, "not a model", expected=expected, got=repr(model_class))
    _refuse_left_behind(model_class, package)
    if lines := unwritten(package, name):
        raise UsageError(class_name, f"it is not finished:{listed(lines)}")
    _refuse_unloadable(model_class, package)
    _refuse_unmakable(model_class)
    _refuse_overriding_hint(model_class)
    return model_class


def require_params(model_class: type[mlflow.pyfunc.PythonModel], params: Sequence[str]) -> None:
    """Check that params can reach the model: MLflow gives them to an argument called params, and drops them without it.

    Parameters
    ----------
    model_class : type
    params : sequence of str
        The names of those that must.

    Raises
    ------
    UsageError
        If predict has no such argument.
    """
    signature = inspect.signature(model_class.predict)
    takes = signature.parameters.get("params")
    if params and (takes is None or takes.kind not in (takes.POSITIONAL_OR_KEYWORD, takes.KEYWORD_ONLY)):
        fault = f"MLflow would not give it the params {', '.join(params)}"
        expected, got = "predict(self, context, model_input, params=None)", f"predict{signature}"
        raise UsageError(f"predict of {model_class.__name__}", fault, expected=expected, got=got)


def _import(name: str, package: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # the author's code may raise anything
        missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        if missing and f"{name}.".startswith(f"{missing}."):
            expected = f"the file {name.replace('.', '/')}.py"
            fault, advice = f"no module {missing}", "Check MODEL_CLASS."
            raise UsageError("--model-class", fault, expected=expected, advice=advice) from error
        advice = _missing_advice(missing, package) if missing else "The traceback above starts in your code."
        shown = author_traceback(error, [package / "model_code"])
        fault = f"importing it raised {said(error)}"
        raise StepError(name, fault, advice=advice, author_traceback=shown) from error


def _missing_advice(name: str, package: Path) -> str:
    first = name.partition(".")[0]
    code = package / "model_code"
    if first == code.name:
        return f"There is no {name.replace('.', '/')}.py: write it, or fix the import."
    if (code / f"{first}.py").is_file() or (code / first).is_dir():
        return f"It is in model_code/: import {code.name}.{name}, or relatively."
    return advice_on_missing(name)


def _refuse_left_behind(model_class: type, package: Path) -> None:
    """Of the package's own directory, model_code/ alone travels."""
    path = Path(getattr(sys.modules.get(model_class.__module__), "__file__", None) or "/")
    if path.is_relative_to(package) and not path.is_relative_to(package / "model_code"):
        expected = "the model's class in model_code/"
        raise UsageError(
            str(path.relative_to(package)), "it does not travel", expected=expected, advice="Move it there."
        )


def _refuse_unmakable(model_class: type[mlflow.pyfunc.PythonModel]) -> None:
    """Check that the model can be made and asked, as MLflow does it."""
    name = model_class.__name__
    if model_class.predict is mlflow.pyfunc.PythonModel.predict:
        raise UsageError(name, "it has no predict", expected="predict(self, context, model_input, params=None)")
    calls = getattr(inspect.unwrap(model_class.predict), "__code__", None)
    missing = [each for each in METHODS if calls and each in calls.co_names and not hasattr(model_class, each)]
    if missing:
        place = f"{model_class.__module__.replace('.', '/')}.py"
        raise UsageError(
            name, f"it has no {' and no '.join(missing)}, which predict calls", advice=f"Write it in {place}."
        )
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
        fault = f"the type hint of {named[0]} overrides MODEL_SIGNATURE"
        raise UsageError(f"predict of {model_class.__name__}", fault, got=str(hint), advice=advice)


def _refuse_unloadable(model_class: type[mlflow.pyfunc.PythonModel], package: Path) -> None:
    """MLflow saves a load_context whose argument has another name, and fails when the model is loaded."""
    names = list(inspect.signature(model_class.load_context).parameters)
    if names != ["self", "context"]:
        code = model_class.load_context.__code__
        place = f"{code.co_filename.removeprefix(f'{package}/')}:{code.co_firstlineno}"
        expected, got = "load_context(self, context)", f"load_context({', '.join(names)})"
        raise UsageError(place, "MLflow cannot call this load_context", expected=expected, got=got)
