"""Give an author's code a name that no other code has: by it, a model is loaded beside others in one process."""

from __future__ import annotations

import hashlib
import shutil
import sys
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from ..model.manifest import read_files

_CODE = b"model_code"  # as a pickle names it
_SOURCE = Path(__file__).with_name("own_code.py")


def write_own_code(code: Path) -> Path:
    """Write the module that loads a copy of the author's code beside it, and return its path.

    Parameters
    ----------
    code : Path
        The copy; its content decides the module's name.
    """
    content = "".join(f"{entry.sha256}  {name}\n" for name, entry in read_files(code).items())
    digest = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
    return Path(shutil.copyfile(_SOURCE, code.with_name(f"{code.name}_{digest[:12]}.py")))


def pickle_by(own: str, model_class: Any) -> None:
    """Let this process save instances of a class as what the module of that name will load.

    The module is not imported here: it would import the author's code again. A class that says itself how it is
    pickled is left alone.

    Parameters
    ----------
    own : str
        The module's name.
    model_class : type
    """

    def new(module: str, name: str, alone: bool, *arguments: object) -> Any:
        return model_class.__new__(model_class, *arguments)

    def reduce(self: Any, protocol: int) -> tuple[Any, ...]:
        _, (_, *arguments), *state = typing.cast(tuple[Any, ...], object.__reduce_ex__(self, 2))
        alone = _CODE in cloudpickle.dumps((arguments, state))
        return (new, (model_class.__module__, model_class.__name__, alone, *arguments), *state)

    new.__module__, new.__qualname__ = own, new.__name__
    stand_in: Any = ModuleType(own)
    stand_in.new, stand_in.model_class = new, lambda module, name: model_class
    sys.modules[own] = stand_in
    if model_class.__reduce_ex__ is object.__reduce_ex__ and model_class.__reduce__ is object.__reduce__:
        model_class.__reduce_ex__ = reduce
