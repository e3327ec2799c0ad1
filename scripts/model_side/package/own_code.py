"""Load this model's own model_code, also beside other models in one process. The tool's file; it travels with the code.

Python keeps one module of a name. The first model's code is imported as model_code. Where that name is another model's,
the code is imported as a part of this module, whose name no other code has; what it imports as model_code is its own.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

SHARED = "model_code"
HERE, FILE = Path(__file__).resolve().parent, Path(__file__).name
__path__ = [str(HERE)]


def new(module: str, name: str, alone: bool, *arguments: object) -> Any:
    """Return an instance of the model's class, for a pickle to fill; `alone` if with objects of model_code.

    Raises
    ------
    ImportError
        If the pickle names model_code, and that is another model's here.
    """
    made = model_class(module, name)
    if alone and made.__module__ != module:
        advice = 'Load it in a process of its own, or package it with SERIALIZATION = "code".'
        raise ImportError(
            f"{HERE.parent}: its pickle needs {SHARED}, which is another model's in this process. {advice}"
        )
    return made.__new__(made, *arguments)


def model_class(module: str, name: str) -> Any:
    """Return the model's class, of the code of the model that is being loaded.

    Parameters
    ----------
    module, name : str
        As its author calls them.
    """
    # MLflow puts the code of the model that it loads first. The same code in another place has a state of its own.
    latest = next((Path(place).resolve() for place in sys.path if Path(place, FILE).is_file()), HERE)
    if latest != HERE:
        made: Any = _same_code(latest).model_class(module, name)
        return made
    is_shared = module.partition(".")[0] != SHARED or _has_shared_name()
    if not is_shared and Path(sys.path[0]).resolve() == HERE:
        sys.path.append(sys.path.pop(0))  # worker processes of the other model look for model_code, too
    return getattr(importlib.import_module(module if is_shared else f"{__name__}.{module}"), name)


def _has_shared_name() -> bool:
    """Tell whether what is called model_code in this process is this model's code: it is where there was none."""
    package = importlib.import_module(SHARED)
    places = [Path(place).resolve() for place in getattr(package, "__path__", ())]
    # Another model may have been in this place when it was imported.
    return places == [HERE / SHARED] and vars(package).setdefault("__model__", __name__) == __name__


def _same_code(place: Path) -> ModuleType:
    """Return this module as that of another place."""
    name = f"{__name__.partition('__')[0]}__{sha256(bytes(place)).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, place / FILE)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place}/{FILE}: cannot be loaded")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> ModuleType:
    """Import as builtins.__import__ does, but this model's code where model_code is asked for."""
    if level or name.partition(".")[0] != SHARED:
        return builtins.__import__(name, globals, locals, fromlist, level)
    if fromlist:
        return builtins.__import__(f"{__name__}.{name}", globals, locals, fromlist)
    importlib.import_module(f"{__name__}.{name}")
    return sys.modules[f"{__name__}.{SHARED}"]


class _Loader(SourceFileLoader):
    """Runs a module so that its import statements, at its top or in a function, are `_import`."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds the modules below this one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname.startswith(f"{__name__}.") else None
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _Finder())
