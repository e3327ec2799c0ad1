"""Payloads: build one from a signature, check one strictly, and compare one with the model's stored example."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ..base.errors import UsageError, invoke, listed
from ..base.redact import texts
from ..model.model import ModelFiles
from ..model.signature import Array, Map, Object, Param, Signature, Tensor, Type, parse_signature
from .carried import FORMS, not_carried
from .coercion import coercion_faults
from .csv import payload_from_csv
from .forms import Row, content_of, form_of_payload, read_form, write_form
from .text import loads_payload, too_deep
from .values import faults, placeholder, show, unknown

LISTED = 20  # faults in one message
_KEYS = (*FORMS, "params")


def check_payload(payload: object, signature: object, *, subject: str = "payload") -> None:
    """Check a payload against a signature, strictly.

    Parameters
    ----------
    payload : object
        What the json module reads from the request's body.
    signature : Signature, mlflow.models.ModelSignature or mapping
    subject : str
        The payload's file, for the message.

    Raises
    ------
    UsageError
        With every fault and its place in the payload.
    """
    try:
        lines = listed(payload_faults(payload, parse_signature(signature)), LISTED)
    except RecursionError as error:
        raise too_deep(subject) from error
    if lines:
        raise UsageError(subject, f"does not fit the model's signature:{lines}")


def payload_faults(payload: object, signature: Signature) -> Iterator[str]:
    """Yield every fault of a payload."""
    if not isinstance(payload, dict):
        yield f"expected an object with one of the keys {', '.join(FORMS)}, got {show(payload)}"
        return
    yield from (unknown("key", key, _KEYS) for key in payload.keys() - set(_KEYS))
    forms = [key for key in FORMS if key in payload]
    if len(forms) == 1:
        yield from _data_faults(forms[0], payload[forms[0]], signature)
    else:
        yield f"expected one of the keys {', '.join(FORMS)}, got {' and '.join(forms) or 'none'}"
    if payload.get("params") is not None:  # null is what MLflow takes for none given
        yield from _param_faults(payload["params"], signature.params)


def _data_faults(form: str, data: Any, signature: Signature) -> Iterator[str]:
    content = read_form(form, data, signature)
    plain_faults = content.all_faults()
    first = next(plain_faults, None)
    yield from coercion_faults(form, data, content) if first is None else chain([first], plain_faults)
    if signature.one_row and not content.form_faults and (rows := content.row_count()) != 1:
        yield f"{form}: expected one row per request, as the model declares, got {rows}"


def _param_faults(params: Any, known: Sequence[Param]) -> Iterator[str]:
    if not isinstance(params, dict):
        yield f"params: expected an object, got {show(params)}"
        return
    by_name = {param.name: param for param in known}
    for name, value in params.items():
        if name not in by_name:
            yield f"params: {unknown('param', name, by_name)}"
        elif value is not None or by_name[name].default is not None:  # a default of null may be said
            yield from faults(value, by_name[name].type, f"params.{name}")


def read_payload(source: str | Path, signature: Signature) -> dict[str, Any]:
    """Read a payload, and check it.

    Parameters
    ----------
    source : str or Path
        A JSON file, or CSV where it ends in ``.csv``; "-" is JSON on standard input.
    signature : Signature

    Returns
    -------
    dict
        A payload that fits.

    Raises
    ------
    UsageError
        If it is missing, is not JSON or CSV, or does not fit the model's signature.
    """
    subject = "standard input" if str(source) == "-" else str(source)
    try:
        text = sys.stdin.read() if str(source) == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        advice = f"Run {invoke('payload', Path(subject))}."
        raise UsageError(subject, "cannot be read", got=str(error), advice=advice) from error
    as_csv = subject.endswith(".csv")
    payload: dict[str, Any] = payload_from_csv(text, signature, subject) if as_csv else loads_payload(text, subject)
    check_payload(payload, signature, subject=subject)
    return payload


def is_example(payload: Mapping[str, Any], files: ModelFiles) -> bool:
    """Return whether a payload that fits asks for the same as the model's stored example, in whatever format."""
    return files.example is not None and _request(payload, files) == _request(files.example, files)


def new_texts(payload: Mapping[str, Any], files: ModelFiles) -> set[str]:
    """Return the texts in the rows and params of a payload that fits which the model's stored example does not hold."""
    known = _request(files.example, files) if files.example is not None else ()
    return {*texts(_request(payload, files))} - {*texts(known)}


def rows_to_match(payload: Mapping[str, Any], signature: Signature) -> int | None:
    """Return how many rows the answer to a payload that fits must have; None where the model does not say."""
    return content_of(payload, signature).row_count() if signature.rows_match else None


def why_no_rows(payload: Mapping[str, Any], signature: Signature) -> str:
    """Return why the rows of a payload that fits cannot be asked for by themselves; nothing where they can.

    Parameters
    ----------
    payload : mapping
    signature : Signature
    """
    form = form_of_payload(payload)
    if not signature.rows_match:
        return "the model does not promise a row for each row"
    if signature.one_row:
        return "a request has one row"
    if any(isinstance(each.type, Tensor) and each.type.shape[:1] != (-1,) for each in signature.inputs):
        return "its tensors have a fixed number of rows"
    if not content_of(payload, signature).row_count():
        return "the payload has no rows"
    return not_carried(form, signature)


def row_numbers(payload: Mapping[str, Any], signature: Signature) -> list[int]:
    """Return the numbers of a fitting payload's rows."""
    return list(range(content_of(payload, signature).row_count()))


def of_rows(payload: Mapping[str, Any], signature: Signature, numbers: Sequence[int]) -> dict[str, Any]:
    """Return a payload that asks for these rows of a payload that fits, in this order, each as often as it is named.

    Parameters
    ----------
    payload : mapping
    signature : Signature
    numbers : sequence of int
    """
    form, rows = form_of_payload(payload), content_of(payload, signature).rows()
    return {**payload, form: write_form(form, [rows[number] for number in numbers], signature)}


def other_rows(payload: Mapping[str, Any], signature: Signature) -> list[list[int]]:
    """Return which of a payload's rows to ask for while the payload itself is asked: all backwards, each end alone."""
    numbers = [] if why_no_rows(payload, signature) else row_numbers(payload, signature)
    return [numbers[::-1], numbers[:1], numbers[-1:]] if len(numbers) > 1 else []


def _request(payload: Mapping[str, Any], files: ModelFiles) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows and all the params of a payload."""
    defaults = {param.name: param.default for param in files.signature.params}
    return content_of(payload, files.signature).rows(), {**defaults, **(payload.get("params") or {})}


def build_payload(files: ModelFiles, fmt: str | None = None) -> dict[str, Any]:
    """Return a payload for the model: its stored example, or placeholders where it has none, and every param.

    Parameters
    ----------
    files : ModelFiles
    fmt : str, optional
        One of `FORMS`; by default the example's own, else dataframe_split for columns and inputs for tensors.

    Raises
    ------
    UsageError
        If the format cannot carry the inputs.
    """
    signature, example = files.signature, files.example or {}
    stored = next((form for form in FORMS if form in example), None)
    default = "inputs" if signature.is_tensors or signature.from_type_hint else "dataframe_split"
    chosen = fmt or stored or default
    data = example[stored] if stored == chosen else write_form(chosen, _rows(signature, stored, example), signature)
    params = {each.name: (example.get("params") or {}).get(each.name, each.default) for each in signature.params}
    return {chosen: data, **({"params": params} if params else {})}


def _rows(signature: Signature, stored: str | None, example: Mapping[str, Any]) -> list[Row]:
    if stored is None:
        return [{key: _blank(each.type, str(each.name or "input")) for key, each in signature.columns.items()}]
    content = read_form(stored, example[stored], signature)
    if content.form_faults:
        fault = "; ".join(content.form_faults)
        raise UsageError("serving_input_example.json", fault, advice="Package the model again.")
    return content.rows()


def _blank(type_: Type, name: str) -> Any:
    """Return placeholders in the form of the type, so that a person sees where each value goes."""
    match type_:
        case Array(items):
            return [_blank(items, name)]
        case Map(values):
            return {"key": _blank(values, name)}
        case Object(properties):
            return {str(each.name): _blank(each.type, f"{name}.{each.name}") for each in properties}
    return placeholder(type_.row() if isinstance(type_, Tensor) else type_, name)
