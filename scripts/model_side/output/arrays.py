"""What a model returns, as JSON and as arrays: one form for an output in this process and for a served answer."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from ..base.errors import StepError
from ..base.files import file_entry
from ..model.signature import Anything, Field, Map, Object, Scalar, Signature, Tensor, Type
from .kinds import MISSING, is_frame, is_series

Array = npt.NDArray[Any]
Arrays = Array | dict[str, Array]
_NUMPY = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}
# What numpy may read JSON numbers and texts as, where a kind of dtype is declared.
_READ_AS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b", "U": "U", "M": "MU"}


def jsonable(output: Any) -> Any:
    """Return an output as MLflow's scoring server writes it, in values that the json module takes.

    NaN, infinities and missing values become null; `hold_output` refuses them first where the model may not give them.
    """
    if isinstance(output, np.ndarray):
        return _list_of(output)
    if is_series(output):
        output = output.to_frame()
    if is_frame(output):
        columns = [jsonable(_values(output.iloc[:, n])) for n in range(len(output.columns))]
        return [dict(zip(output.columns, row, strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(output, Mapping):
        return {str(key): jsonable(value) for key, value in output.items()}
    if isinstance(output, list | tuple):
        return [jsonable(value) for value in output]
    return _scalar(output)


def as_array(predictions: object, signature: Signature) -> Arrays:
    """Return predictions in the declared dtypes, so that they can be compared.

    Parameters
    ----------
    predictions : object
        The predictions of an answer, as the json module reads them, or an output of predict.
    signature : Signature

    Returns
    -------
    ndarray or dict of str to ndarray
        One array where the output has one field without a name, else an array per name. Texts, objects and lists of
        any length are in arrays of objects; null is NaN. Where the outputs are URIs of files, the digests of these.

    Raises
    ------
    StepError
        If a value is not of the declared type, or a file has been removed.
    """
    fields = output_fields(signature)
    try:
        parts = parts_of(predictions, fields)
        if is_frame(predictions) and not any(map(len, parts.values())):
            parts = {name: [] for name in fields} | parts  # JSON does not say which columns a table without rows has
        arrays = {name: _to_array(value, fields.get(name)) for name, value in parts.items()}
    except (ValueError, TypeError, OverflowError) as error:
        raise StepError("predictions", f"do not fit the output signature: {error}") from error
    if signature.output_files:
        arrays = {name: np.fromiter(map(_content, array), object, len(array)) for name, array in arrays.items()}
    return arrays["0"] if _is_one_unnamed(fields) and list(arrays) == ["0"] else arrays


def taken(output: Arrays, rows: Sequence[int]) -> Arrays:
    """Return rows of an output, in this order.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
    rows : sequence of int
    """
    chosen = list(rows)
    return {name: array[chosen] for name, array in output.items()} if isinstance(output, dict) else output[chosen]


def output_fields(signature: Signature) -> dict[str, Field]:
    """Return the declared outputs by name, or number without one; a signature without any takes anything."""
    outputs = signature.outputs or (Field(None, Anything()),)
    return {str(number) if each.name is None else each.name: each for number, each in enumerate(outputs)}


def parts_of(output: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the columns or tensors of an output by name.

    Raises
    ------
    ValueError
        If it cannot be taken apart into these fields.
    """
    first, *others = fields.values()
    if _is_one_unnamed(fields) and isinstance(first.type, Object | Map | Anything):
        output = jsonable(output) if is_frame(output) or is_series(output) else output
        return {"0": output if isinstance(output, list | np.ndarray) else [output]}
    named = _named_parts(output)
    if named is not None and _is_one_unnamed(fields):
        if len(named) != 1:
            raise ValueError(f"expected {first.type}, got {kind_of(output)} with the names {', '.join(named)}")
        return dict(zip(fields, named.values(), strict=True))
    if isinstance(output, list) and not output and not any(isinstance(each.type, Tensor) for each in fields.values()):
        return dict.fromkeys(fields, output)
    if named is not None or not others:
        return {next(iter(fields)): output} if named is None else named
    if any(each.name is not None or isinstance(each.type, Tensor) for each in fields.values()):
        raise ValueError(f"expected a DataFrame or a dict with {', '.join(fields)}, got {kind_of(output)}")
    table = np.asarray(output)
    if table.ndim != 2:
        raise ValueError(f"expected rows of {len(fields)} values, got {kind_of(output)} of shape {table.shape}")
    return {str(number): table[:, number] for number in range(table.shape[1])}


def _is_one_unnamed(fields: Mapping[str, Field]) -> bool:
    return [each.name for each in fields.values()] == [None]


def numpy_dtype(type_: Type) -> np.dtype[Any] | None:
    """Return the dtype that a tensor or a column of plain numbers must have, None for any other type."""
    if isinstance(type_, Tensor):
        return np.dtype(type_.dtype.name)
    if isinstance(type_, Scalar) and type_.name in _NUMPY:
        return np.dtype(_NUMPY[type_.name])
    return None


def array_of(value: Any, type_: Type) -> Array:
    """Return a value as an array, pandas' own numbers as numpy's; an empty list has the lengths that the type declares.

    Parameters
    ----------
    value : ndarray, list, tuple or Series
    type_ : Type
        A tensor's shape says it.
    """
    array = np.asarray(value, getattr(value.dtype, "numpy_dtype", None) if is_series(value) else None)
    if array.size or not (isinstance(value, list) and isinstance(type_, Tensor)):
        return array
    return array.reshape([*array.shape, *(max(length, 0) for length in type_.shape[array.ndim :])])


def kind_of(value: object) -> str:
    """Return what `value` is, for a message."""
    return "None" if value is None else f"a {type(value).__name__}"


def _named_parts(output: Any) -> dict[str, Any] | None:
    """Return the parts of an output that has names, None for any other."""
    if is_series(output):
        output = output.to_frame()
    if is_frame(output):
        return {str(name): output.iloc[:, n] for n, name in enumerate(output.columns)}
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if isinstance(output, list) and output and all(isinstance(row, Mapping) for row in output):
        rows = [{str(key): value for key, value in row.items()} for row in output]
        return {key: [row.get(key) for row in rows] for key in dict.fromkeys(key for row in rows for key in row)}
    return None


def _values(series: Any) -> Array:
    """Return the values of a Series; times with all their digits."""
    values: Array = series.to_numpy(object) if series.dtype.kind == "M" else series.to_numpy()
    return values


def _list_of(array: Array) -> Any:
    if array.dtype.kind in "OMmSV":
        values = array.astype("datetime64[us]") if array.dtype.kind == "M" else array
        return [jsonable(value) for value in values.tolist()] if array.ndim else _scalar(values.item())
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        objects = array.astype(object)
        objects[~np.isfinite(array)] = None
        return objects.tolist()
    return array.tolist()


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return jsonable(np.asarray(value))
    if type(value).__name__ in MISSING or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, bytes | bytearray):
        return base64.encodebytes(value).decode("ascii")
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else value


def _to_array(value: Any, field: Field | None) -> Array:
    dtype = numpy_dtype(field.type) if field else None
    if dtype is None or dtype.kind == "O":
        return _objects(value)
    array = array_of(value, field.type if field else Anything())
    is_nullable = array.dtype.kind == "O" and dtype.kind == "f" and all(map(_is_number_or_null, array.ravel().tolist()))
    if array.dtype == dtype or not array.size or is_nullable:
        return array.astype(dtype)
    if array.dtype.kind not in _READ_AS.get(dtype.kind, dtype.kind):
        raise ValueError(f"expected {dtype}, got {array.dtype}")
    with np.errstate(over="ignore"):  # what became infinite is refused when the output is checked
        made = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(made, array):
        raise ValueError(f"expected {dtype}, got a number out of its range")
    return made


def _objects(value: Any) -> Array:
    values = jsonable(_values(value) if is_series(value) else value)
    if not isinstance(values, list):
        raise ValueError(f"expected a list, got {kind_of(value)}")
    return np.fromiter(values, dtype=object, count=len(values))


def _is_number_or_null(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def nulled(output: Arrays) -> Arrays:
    """Return an output as JSON can tell it: infinities as NaN, and lengths within an axis of length 0 as 0.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        As `as_array` returns it.

    Returns
    -------
    ndarray or dict of str to ndarray
        The same dtypes, and shapes unless they are without values.
    """
    if isinstance(output, dict):
        return {name: np.asarray(nulled(array)) for name, array in output.items()}
    if not output.size:
        known = output.shape.index(0) + 1
        return np.empty([*output.shape[:known], *([0] * (output.ndim - known))], output.dtype)
    return np.where(np.isinf(output), np.array(np.nan, output.dtype), output) if output.dtype.kind == "f" else output


def result_faults(uris: object, label: str) -> Iterator[str]:
    """Yield which of the URIs of a column does not name an existing file with content."""
    for number, uri in enumerate(list(uris) if hasattr(uris, "__iter__") else []):
        path = result_path(uri)
        if path is None or not path.is_file():
            yield f"{label}[{number}]: expected the file:// URI of a result file, got {uri!r}"
        elif not path.stat().st_size:
            yield f"{label}[{number}]: {uri}: the result file is empty"


def _content(uri: object) -> object:
    """Return ``sha256:<hex>`` of the file that a ``file://`` URI names; a digest is left as it is."""
    path = result_path(uri)
    try:
        return f"sha256:{file_entry(path).sha256}" if path else uri
    except OSError as error:
        raise StepError(str(uri), "the result file cannot be read", got=str(error), advice="Predict again.") from error


def result_path(uri: object) -> Path | None:
    """Return the path that a ``file://`` URI names, None for anything else."""
    parts = urlsplit(uri) if isinstance(uri, str) else None
    return Path(unquote(parts.path)) if parts and parts.scheme == "file" else None
