"""What each request format of MLflow's scoring protocol can carry."""

from __future__ import annotations

from ..model.signature import Anything, Array, Field, Scalar, Signature, Tensor, Type, inner_types
from .values import is_text_type

FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
# Inside an array, object or map MLflow refuses these, since JSON has no such types; what can be declared instead.
_NOT_INSIDE = {"integer": "long", "float": "double", "binary": "string", "datetime": "string"}


def not_carried(form: str, signature: Signature) -> str:
    """Return what of a model's inputs a format cannot carry, and which can; nothing where it carries all."""
    if signature.from_type_hint:
        hint = "cannot carry this model's input, which is declared by a type hint: expected inputs"
        return "" if form == "inputs" else hint
    for each in signature.inputs:
        if inside := _not_inside(each.type):
            column = f'"{each.name}", {each.type}' if each.name is not None else str(each.type)
            instead = f"declare {_NOT_INSIDE[inside]} instead"
            return f"cannot carry {inside} inside {column}: MLflow refuses it in any format; {instead}"
        if form.startswith("dataframe") and not _is_table_column(each):
            return f"cannot carry a {each.type}: expected inputs or instances"
    return "" if form.startswith("dataframe") else _not_in_values(form, signature)


def _not_in_values(form: str, signature: Signature) -> str:
    """Return what `inputs` or `instances` cannot carry."""
    types = [each.type for each in signature.inputs]
    table = "expected dataframe_split or dataframe_records"
    if form == "instances" and signature.is_nested:
        return "cannot carry arrays, objects, maps or any: expected dataframe_split, dataframe_records or inputs"
    if Scalar("binary") in types:
        return f"cannot carry binary: MLflow would not decode it; {table}"
    if any(isinstance(each, Array) and isinstance(each.items, Array | Anything) for each in types):
        return f"cannot carry arrays of arrays or of any: {table}"
    if form == "instances" and any(isinstance(each, Tensor) and not each.shape for each in types):
        return "cannot carry a tensor without rows: expected inputs"
    is_mixed = not signature.is_named and len(set(types)) > 1
    return f"cannot carry unnamed columns of different types: {table}" if is_mixed else ""


def _is_table_column(field: Field) -> bool:
    """Tell whether a data frame can carry a field: any column, and a tensor that pandas can make of one."""
    if not isinstance(field.type, Tensor):
        return True
    first, *others = field.type.shape or (0,)
    if first != -1 or len(others) > 1 or -1 in others:
        return False
    dtype = field.type.dtype.name
    return field.name is not None if is_text_type(dtype) else bool(others) or not dtype.startswith("datetime")


def _not_inside(type_: Type) -> str:
    """Return the name of a type that is inside this one and must not be, or nothing."""
    names = (each.name if isinstance(each, Scalar) else _not_inside(each) for each in inner_types(type_))
    return next((name for name in names if name in _NOT_INSIDE), "")
