"""The name of a model: what it may be, and the names made of it."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys

from model_side.base.errors import UsageError

LONGEST = 100  # it becomes part of file names
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_model_name(name: str) -> None:
    """Refuse a name that cannot be part of a Python module's name, or that belongs to another module.

    Raises
    ------
    UsageError
        If it is not an identifier, or a keyword, or the name of a standard or installed module.
    """
    if fault := _fault(name):
        advice = "Choose another name of letters, digits and underscores, such as my_model."
        raise UsageError("--model-name", fault, expected="an identifier of its own", got=repr(name), advice=advice)


def _fault(name: str) -> str:
    if "/" in name or "\\" in name:
        return "it contains a path; --target says where the package goes"
    if not _IDENTIFIER.fullmatch(name):
        return "not an identifier"
    if len(name) > LONGEST:
        return f"longer than {LONGEST} letters"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "a keyword of Python"
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        return "the name of a module of the standard library, or of an installed one"
    return ""


def class_name(name: str) -> str:
    """Return the name of the model's class: ``pbmc_pca`` gives ``PbmcPcaMLflowModel``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "MLflowModel"
