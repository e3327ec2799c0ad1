"""Load this model's own model_code, also beside other models in one process. The tool's file; it travels with the code.

Python keeps one module of a name. The first model's code is imported as model_code. Where that name is another model's,
the code is imported as a part of this module, whose name no other code has; what it imports as model_code is its own.
Where it asks for model_code by other means, in importlib.import_module, sys.modules or a pickle, it gets an error, not
that model's; so does a thread of which nobody can say whose it is, and a later model that has no file such as this.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Sequence
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

SHARED = "model_code"
HERE, FILE = Path(__file__).resolve().parent, Path(__file__).name
__path__ = [str(HERE)]
_NEUTRAL = ("__name__", "__class__", "__path__")
_PIPES = ("multiprocessing.connection", "multiprocessing.queues")  # what is named there was named in this process
_OWN = re.compile(rf"({SHARED}_[0-9a-f]{{12}}(?:__[0-9a-f]{{12}})?)(\.|$)")  # modules as this one, and the code in them


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
    if module.partition(".")[0] != SHARED:
        return getattr(importlib.import_module(module), name)
    is_shared = _has_shared_name()
    _watch()
    if not is_shared:
        _guard()
        if Path(sys.path[0]).resolve() == HERE:
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


class _Shared(ModuleType):
    """A module that is called model_code, or of it, while other models are loaded."""

    def __getattribute__(self, name: str) -> Any:
        caller = sys._getframe(1).f_code.co_name if name == "__spec__" else ""
        if name not in _NEUTRAL and caller != "_find_and_load_unlocked":  # which asks the finder next
            # For code that looks through sys.modules, such as inspect, the attribute is just not there.
            kind = ImportError if caller == "_find_and_load" else AttributeError  # of importlib.import_module
            _refuse(super().__getattribute__("__name__"), kind)
        return super().__getattribute__(name)

    def __setattr__(self, name: str, value: object) -> None:
        _refuse(self.__name__, AttributeError)
        super().__setattr__(name, value)


class _SharedLoader(SourceFileLoader):
    """Loads such a module later."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Shared(spec.name)


def _guard() -> None:
    """From now on, let what is called model_code be its own model's alone: other code that asks gets an error."""
    if _is_guarded():
        return
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == SHARED and type(module) is ModuleType:
            module.__class__ = _Shared


def _is_guarded() -> bool:
    return type(sys.modules.get(SHARED)).__name__ == _Shared.__name__


def _watch() -> None:
    """From now on, look at who unpickles objects of model_code, and at models without a name of their own."""
    shared: Any = sys.modules[SHARED]
    if "__watched__" not in vars(shared):
        shared.__watched__ = True
        sys.addaudithook(_look_at)


def _look_at(event: str, arguments: tuple[Any, ...]) -> None:
    """Take an audit event."""
    if event == "pickle.find_class" and str(arguments[0]).partition(".")[0] == SHARED:
        _refuse(arguments[0])
    elif event == "exec" and not _is_guarded() and _foreign():
        _guard()


def _foreign() -> Path | None:
    """Return the place of the latest model's code, if what is called model_code is not its: MLflow puts it first."""
    latest = next((Path(place).resolve() for place in sys.path if Path(place, SHARED).is_dir()), None)
    places = [Path(place).resolve().parent for place in getattr(sys.modules.get(SHARED), "__path__", ())]
    return latest if latest and places and latest not in places else None


def _asker(frame: FrameType | None) -> str | None:
    """Return the module, as this one, of the model code that waits the last; nothing if it may have the shared name.

    None where there is no such code: in a thread, as of a pool, or where a model is loaded.
    """
    while frame:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] == SHARED or name in _PIPES:
            return ""
        if own := _OWN.match(name):
            return own[1] if own[2] else ""
        frame = frame.f_back
    return None


def _refuse(wanted: str, kind: type[Exception] = ImportError) -> None:
    """Raise an error if the code that asks for a module is a model's that has not its name, or may be one's."""
    asker = _asker(sys._getframe(2))
    advice = "Load it in a process of its own, or let it import relatively."
    if asker:
        fault = f"its code asks for {wanted} by name, which is another model's in this process"
        raise kind(f"{sys.modules[asker].HERE.parent}: {fault}. {advice}")
    if asker is None and (place := _foreign()):
        fault = f"its class is in {wanted}, which is another model's in this process"
        is_top = sys._getframe(2).f_code.co_name == "<module>"  # an import statement there, for which MLflow waits
        raise (ImportError if is_top else kind)(
            f"{place.parent}: {fault}. Load it in a process of its own, or package it anew."
        )
    is_thread = threading.current_thread() is not threading.main_thread()
    if asker is None and is_thread and kind is ImportError and _is_guarded():
        raise kind(f"{wanted}: a thread asks for it by name, and several models in this process have it. {advice}")


class _Finder(MetaPathFinder):
    """Finds the modules below this one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if _is_guarded() and fullname.startswith(f"{SHARED}."):
            _refuse(fullname)
        loader = _Loader if fullname.startswith(f"{__name__}.") else _SharedLoader
        is_ours = loader is _Loader or (fullname.startswith(f"{SHARED}.") and _is_guarded())
        spec = PathFinder.find_spec(fullname, path, target) if is_ours else None
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = loader(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _Finder())
