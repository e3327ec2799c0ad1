"""Payloads: build one from a signature, check one strictly, read an answer: strict JSON, without mlflow."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..base.errors import StepError, UsageError
from ..model.model import ModelFiles, read_model
from ..model.signature import Array, Field, Map, Object, Param, Signature, Tensor, Type, parse_signature
from .coercion import coercion_faults
from .csv import payload_from_csv, payload_to_csv
from .forms import FORMS, Content, Row, read_form, write_form
from .values import DEEPEST, did_you_mean, faults, placeholder, show

LISTED = 20  # faults in one message
_KEYS = (*FORMS, "params")


def check_payload(payload: object, signature: object, *, subject: str = "payload") -> None:
    """Hold a payload to a signature, strictly.

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
        found = list(islice(payload_faults(payload, parse_signature(signature)), LISTED + 1))
    except RecursionError as error:
        raise _too_deep(subject) from error
    if found:
        more = ["and more"] if len(found) > LISTED else []
        lines = "".join(f"\n  {line}" for line in [*found[:LISTED], *more])
        raise UsageError(subject, f"does not fit the model's signature:{lines}")


def payload_faults(payload: object, signature: Signature) -> Iterator[str]:
    """Yield every fault of a payload."""
    if not isinstance(payload, dict):
        yield f"expected an object with one of the keys {', '.join(FORMS)}, got {show(payload)}"
        return
    for key in payload.keys() - set(_KEYS):
        yield f'unknown key "{key}": {did_you_mean(key, _KEYS)}'
    forms = [key for key in FORMS if key in payload]
    if len(forms) == 1:
        content = read_form(forms[0], payload[forms[0]], signature)
        fits = True
        for fault in content.all_faults():
            fits = False
            yield fault
        if fits:
            yield from coercion_faults(forms[0], payload[forms[0]], content)
        if signature.one_row and not content.form_faults and (rows := content.row_count()) != 1:
            yield f"{forms[0]}: expected one row per request, as the model declares, got {rows}"
    else:
        yield f"expected one of the keys {', '.join(FORMS)}, got {' and '.join(forms) or 'none'}"
    if payload.get("params") is not None:  # null is what MLflow takes for none given
        yield from _param_faults(payload["params"], signature.params)


def _param_faults(params: Any, known: Sequence[Param]) -> Iterator[str]:
    if not isinstance(params, dict):
        yield f"params: expected an object, got {show(params)}"
        return
    by_name = {param.name: param for param in known}
    for name, value in params.items():
        if name not in by_name:
            yield f'params: unknown param "{name}": {did_you_mean(name, list(by_name))}'
        elif value is not None or by_name[name].default is not None:  # a default of null may be said
            yield from faults(value, by_name[name].type, f"params.{name}")


def read_payload(source: str | Path, signature: Signature) -> dict[str, Any]:
    """Return the payload in a JSON or CSV file, if it fits; "-" is JSON on standard input.

    Raises
    ------
    UsageError
        If it is missing, not JSON, or does not fit the model's signature.
    """
    subject = "standard input" if str(source) == "-" else str(source)
    try:
        text = sys.stdin.read() if str(source) == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(subject, "cannot be read", got=str(error), advice="Run `invoke payload`.") from error
    as_csv = subject.endswith(".csv")
    payload: dict[str, Any] = payload_from_csv(text, signature) if as_csv else loads_payload(text, subject)
    check_payload(payload, signature, subject=subject)
    return payload


def is_example(payload: Mapping[str, Any], files: ModelFiles) -> bool:
    """Return whether a payload that fits asks for the same as the model's stored example, in whatever format."""
    return files.example is not None and _request(payload, files) == _request(files.example, files)


def new_texts(payload: Mapping[str, Any], files: ModelFiles) -> set[str]:
    """Return the texts in the rows and params of a payload that fits which the model's stored example does not hold."""
    known = _request(files.example, files) if files.example is not None else ()
    return {*_texts(_request(payload, files))} - {*_texts(known)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def rows_to_match(payload: Mapping[str, Any], signature: Signature) -> int | None:
    """Return how many rows the answer to a payload that fits must have; None where the model does not say."""
    form = _form(payload)
    return read_form(form, payload[form], signature).row_count() if signature.rows_match else None


def rows_alone(payload: Mapping[str, Any], signature: Signature, most: int) -> list[dict[str, Any]]:
    """Return payloads that each ask for one of the first rows of a payload that fits.

    Parameters
    ----------
    most : int
        How many rows at most.

    Returns
    -------
    list of dict
        None where the model does not promise a row for each row, takes one row only, or is asked for one; where its
        tensors have a fixed number of rows; or where the payload's format cannot say it.
    """
    form = _form(payload)
    rows = read_form(form, payload[form], signature).rows()
    fixed = any(isinstance(each.type, Tensor) and each.type.shape[:1] != (-1,) for each in signature.inputs)
    if not signature.rows_match or signature.one_row or fixed or len(rows) < 2:
        return []
    try:
        return [{**payload, form: write_form(form, [row], signature)} for row in rows[:most]]
    except UsageError:
        return []


def _form(payload: Mapping[str, Any]) -> str:
    return next(form for form in FORMS if form in payload)


def _request(payload: Mapping[str, Any], files: ModelFiles) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows and all the params of a payload."""
    form = _form(payload)
    defaults = {param.name: param.default for param in files.signature.params}
    return read_form(form, payload[form], files.signature).rows(), {**defaults, **(payload.get("params") or {})}


def build_payload(model_dir: str | Path | ModelFiles, fmt: str | None = None) -> dict[str, Any]:
    """Return a payload for the model: its stored example, or placeholders where it has none, and every param.

    Parameters
    ----------
    model_dir : str, Path or ModelFiles
        The model's directory or URI, or what was read there.
    fmt : str, optional
        One of `FORMS`; by default the example's own, else dataframe_split for columns and inputs for tensors.

    Raises
    ------
    UsageError
        If the format cannot carry the inputs.
    """
    files = model_dir if isinstance(model_dir, ModelFiles) else read_model(str(model_dir))
    signature, example = files.signature, files.example or {}
    stored = next((form for form in FORMS if form in example), None)
    chosen = fmt or stored or _default_form(signature)
    data = example[stored] if stored == chosen else write_form(chosen, _rows(signature, stored, example), signature)
    given = example.get("params") or {}
    params = {param.name: given.get(param.name, param.default) for param in signature.params}
    return {chosen: data, **({"params": params} if params else {})}


def _default_form(signature: Signature) -> str:
    return "inputs" if signature.is_tensors or signature.from_type_hint else "dataframe_split"


def _rows(signature: Signature, stored: str | None, example: Mapping[str, Any]) -> list[Row]:
    if stored is None:
        row = {each.name if each.name is not None else n: _blank_cell(each) for n, each in enumerate(signature.inputs)}
        return [row]
    content = read_form(stored, example[stored], signature)
    if content.form_faults:
        raise UsageError(
            "serving_input_example.json", "; ".join(content.form_faults), advice="Package the model again."
        )
    return content.rows()


def _blank_cell(column: Field) -> Any:
    type_, name = column.type, str(column.name or "input")
    return _blank(type_.row() if hasattr(type_, "row") else type_, name)


def _blank(type_: Type, name: str) -> Any:
    """Return placeholders in the form of the type, so that a person sees where each value goes."""
    match type_:
        case Array():
            return [_blank(type_.items, name)]
        case Map():
            return {"key": _blank(type_.values, name)}
        case Object():
            return {str(each.name): _blank(each.type, f"{name}.{each.name}") for each in type_.properties}
        case _:
            return placeholder(type_, name)


def loads_payload(text: str, subject: str) -> Any:
    """Read JSON; NaN is let through, so that the check can say where it is.

    Raises
    ------
    UsageError
        If it is not JSON, or says a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, subject))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(subject, "not JSON", got=f"{error.msg} at {place}") from error
    except RecursionError as error:
        raise _too_deep(subject) from error
    except ValueError as error:  # a whole number of thousands of digits
        raise UsageError(subject, "cannot be read", got=str(error)) from error


def _too_deep(subject: str) -> UsageError:
    return UsageError(subject, "nested too deeply", expected=f"at most {DEEPEST} lists and objects inside one another")


def _unique(pairs: Iterable[tuple[str, Any]], subject: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise UsageError(subject, f'the key "{key}" stands there twice')
        made[key] = value
    return made


def dumps_strict(obj: object, *, indent: int | None = None) -> str:
    """Return `obj` as JSON text that every reader accepts; NaN and infinities are refused.

    Raises
    ------
    StepError
        If it holds what JSON cannot.
    """
    try:
        return json.dumps(obj, ensure_ascii=False, allow_nan=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise StepError("JSON", "cannot hold the value", got=str(error)) from error


def predictions_from_json(text: str, *, subject: str = "answer") -> Any:
    """Return the predictions of an answer in MLflow's response format; a bare NaN, as MLflow writes it, is read.

    Raises
    ------
    StepError
        If it is no such answer.
    """
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        raise StepError(subject, "not JSON", got=str(error)) from error
    if not isinstance(answer, dict) or "predictions" not in answer:
        raise StepError(subject, "not an answer of MLflow", expected='the key "predictions"', got=show(answer))
    return answer["predictions"]


__all__ = [
    "FORMS",
    "Content",
    "build_payload",
    "check_payload",
    "dumps_strict",
    "is_example",
    "loads_payload",
    "new_texts",
    "payload_faults",
    "payload_from_csv",
    "payload_to_csv",
    "predictions_from_json",
    "read_payload",
    "rows_alone",
    "rows_to_match",
]
