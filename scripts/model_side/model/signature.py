"""Read the signature in an MLmodel file, without mlflow: a payload is checked before anything loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import UsageError


@dataclass(frozen=True)
class Scalar:
    """One of MLflow's data types, or numpy's inside a tensor: ``long``, ``float32``."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Array:
    """A list of any length."""

    items: Type

    def __str__(self) -> str:
        return f"array of {self.items}"


@dataclass(frozen=True)
class Object:
    """A JSON object with known properties."""

    properties: tuple[Field, ...]

    def __str__(self) -> str:
        return "object"


@dataclass(frozen=True)
class Map:
    """A JSON object with any keys and values of one type."""

    values: Type

    def __str__(self) -> str:
        return f"map of {self.values}"


@dataclass(frozen=True)
class Anything:
    """Any JSON value, null too."""

    def __str__(self) -> str:
        return "any"


@dataclass(frozen=True)
class Tensor:
    """Nested lists of one shape; -1 is a free length."""

    dtype: Scalar
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} tensor {self.shape}"

    def row(self) -> Tensor:
        """Return the tensor that one row of this one is."""
        return Tensor(self.dtype, self.shape[1:])


PARAM_DATE = Scalar("datetime[us]")  # what MLflow makes of a param's date: Python's datetime, not pandas' Timestamp
Type = Scalar | Array | Object | Map | Anything | Tensor


@dataclass(frozen=True)
class Field:
    """A column, a tensor, or a property of an object; its name is None where the signature has none."""

    name: str | None
    type: Type
    required: bool = True


def inner_types(type_: Type) -> tuple[Type, ...]:
    """Return the types inside an array, object or map; none for any other type."""
    match type_:
        case Array(inner) | Map(inner):
            return (inner,)
        case Object(properties):
            return tuple(each.type for each in properties)
    return ()


@dataclass(frozen=True)
class Param:
    """A parameter of predict; `type` is an Array where the param takes a list."""

    name: str
    type: Type
    default: Any


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    Parameters
    ----------
    inputs, outputs : tuple of Field
        Columns, or tensors; never both in one.
    params : tuple of Param
    from_type_hint : bool
        The signature comes from a type hint on the model's predict: MLflow then takes `inputs` alone.
    one_row : bool
        A request may have one row only.
    rows_match : bool
        The output has a row for each row of the input.
    output_files : bool
        The outputs are URIs of files, whose content counts.
    minimum_rows : int
        How few rows an output may have.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...] = ()
    params: tuple[Param, ...] = ()
    from_type_hint: bool = False
    one_row: bool = False
    rows_match: bool = False
    output_files: bool = False
    minimum_rows: int = 0

    @property
    def columns(self) -> dict[str | int, Field]:
        """The inputs by name, or by number where they have no names."""
        return {n if each.name is None else each.name: each for n, each in enumerate(self.inputs)}

    @property
    def is_tensors(self) -> bool:
        """Whether the inputs are tensors, not columns."""
        return any(isinstance(field.type, Tensor) for field in self.inputs)

    @property
    def is_named(self) -> bool:
        """Whether the inputs have names."""
        return all(field.name is not None for field in self.inputs)

    @property
    def is_nested(self) -> bool:
        """Whether a column holds more than one plain value in each row."""
        return any(isinstance(field.type, Array | Object | Map | Anything) for field in self.inputs)


def parse_signature(
    signature: Any, *, from_type_hint: bool = False, metadata: Mapping[str, Any] | None = None
) -> Signature:
    """Read a signature.

    Parameters
    ----------
    signature : Signature, mlflow.models.ModelSignature or mapping
        A mapping is what MLmodel holds under `signature`: JSON texts under `inputs`, `outputs` and `params`.
    from_type_hint : bool
        MLmodel's `is_signature_from_type_hint`.
    metadata : mapping, optional
        MLmodel's `metadata`, with what the packager recorded of the archetype.

    Raises
    ------
    UsageError
        If there is no input schema: such a model's payload cannot be known.
    """
    if isinstance(signature, Signature):
        return signature
    entry = signature.to_dict() if hasattr(signature, "to_dict") else signature or {}
    inputs, outputs, params = (json.loads(entry.get(key) or "[]") or [] for key in ("inputs", "outputs", "params"))
    if not inputs:
        raise UsageError("MLmodel", "no input signature", advice="Save the model with a signature: the packager does.")
    declared = metadata or {}
    archetype: dict[str, Any] = {name: declared.get(name) is True for name in ("one_row", "rows_match", "output_files")}
    archetype["minimum_rows"] = declared.get("minimum_rows") or 0
    made = tuple(map(_param, params))
    return Signature(tuple(map(_field, inputs)), tuple(map(_field, outputs)), made, from_type_hint, **archetype)


def _field(entry: Mapping[str, Any]) -> Field:
    return Field(entry.get("name"), _type(entry), entry.get("required") is not False)


def _param(entry: Mapping[str, Any]) -> Param:
    plain = _type(entry) if "type" in entry else Scalar(entry["dtype"])
    if plain == Scalar("datetime"):
        plain = PARAM_DATE
    return Param(entry["name"], Array(plain) if entry.get("shape") is not None else plain, entry.get("default"))


def _type(entry: Mapping[str, Any]) -> Type:
    match entry["type"]:
        case "tensor":
            spec = entry["tensor-spec"]
            return Tensor(Scalar(spec["dtype"]), tuple(spec["shape"]))
        case "array":
            return Array(_type(entry["items"]))
        case "sparkml_vector":
            return Array(Scalar("double"))
        case "map":
            return Map(_type(entry["values"]))
        case "object":
            return Object(tuple(_field({"name": name, **each}) for name, each in entry["properties"].items()))
        case "any":
            return Anything()
        case name:
            return Scalar(name)
