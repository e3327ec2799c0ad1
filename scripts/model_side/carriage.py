"""Which of MLflow's request formats can carry a model's inputs at all, by their signature alone."""

from __future__ import annotations

from collections.abc import Iterator

from .signatures import Anything, Array, Field, Map, Object, Scalar, Signature, Tensor, Type

# Inside an array, object or map MLflow holds these to what JSON gives, and refuses them; what can be declared instead.
_NOT_INSIDE = {"integer": "long", "float": "double", "binary": "string", "datetime": "string"}


def not_carried(form: str, signature: Signature) -> str:
    """Return what of a model's inputs a format cannot carry, and which can; nothing where it carries all."""
    return next(_not_carried(form, signature), "")


def _not_carried(form: str, signature: Signature) -> Iterator[str]:
    if signature.from_type_hint:
        if form != "inputs":
            yield "cannot carry this model's input, which is declared by a type hint: expected inputs"
        return
    for each in signature.inputs:
        if (inside := _not_inside(each.type)) and not isinstance(each.type, Tensor):
            instead = f"declare {_NOT_INSIDE[inside]} instead"
            yield f"cannot carry {inside} inside {_short(each)}: MLflow refuses it in any format; {instead}"
    if form.startswith("dataframe"):
        yield from (_tensor_in_table(each) for each in signature.inputs if _tensor_in_table(each))
    else:
        yield from _not_in_values(form, signature)


def _not_in_values(form: str, signature: Signature) -> Iterator[str]:
    """Yield what `inputs` or `instances` cannot carry."""
    kinds = {str(each.type) for each in signature.inputs}
    table = "expected dataframe_split or dataframe_records"
    if form == "instances" and signature.is_nested:
        yield "cannot carry arrays, objects, maps or any: expected dataframe_split, dataframe_records or inputs"
    if "binary" in kinds:
        yield f"cannot carry binary: MLflow would not decode it; {table}"
    if any(isinstance(each.type, Array) and isinstance(each.type.items, Array | Anything) for each in signature.inputs):
        yield f"cannot carry arrays of arrays or of any: {table}"
    if form == "instances" and any(isinstance(each.type, Tensor) and not each.type.shape for each in signature.inputs):
        yield "cannot carry a tensor without rows: expected inputs"
    if not signature.is_named and len(kinds) > 1:
        yield f"cannot carry unnamed columns of different types: {table}"


def _tensor_in_table(field: Field) -> str:
    """Return why a data frame cannot carry a field; nothing where it can."""
    if not isinstance(field.type, Tensor):
        return ""
    tensor, named = field.type, field.name is not None
    first, *others = tensor.shape or (0,)
    fixed = first == -1 and len(others) <= 1 and -1 not in others
    text = is_text(tensor.dtype)
    read = named if text else bool(others) or not tensor.dtype.name.startswith("datetime")
    return "" if fixed and read else f"cannot carry a {tensor}: expected inputs or instances"


def is_text(dtype: Scalar) -> bool:
    """Tell whether a tensor of this dtype holds texts."""
    return dtype.name in ("str", "unicode") or dtype.name[:2] == "<U"


def _not_inside(type_: Type) -> str:
    """Return the name of a type that is inside this one and must not be, or nothing."""
    match type_:
        case Array(items):
            inner: tuple[Type, ...] = (items,)
        case Map(values):
            inner = (values,)
        case Object(properties):
            inner = tuple(each.type for each in properties)
        case _:
            return ""
    names = (each.name if isinstance(each, Scalar) else _not_inside(each) for each in inner)
    return next((name for name in names if name in _NOT_INSIDE), "")


def _short(field: Field) -> str:
    return f'"{field.name}", {field.type}' if field.name is not None else str(field.type)
