"""The packager's flags as one validated record, before anything heavy is imported; every problem is collected."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..base.errors import UsageError, require_known

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "str"),
)
SERIALIZATIONS = ("pickle", "code")
PARAM_TYPES = ("boolean", "integer", "long", "float", "double", "string", "datetime")


class ParamFlag(NamedTuple):
    """One param of predict as a flag declares it.

    Parameters
    ----------
    name, type : str
        `type` is one of `PARAM_TYPES`.
    default : object
        None: the request may leave the param out, and the methods' own default holds.
    shape : tuple of int or None
        ``(-1,)`` for a list.
    """

    name: str
    type: str
    default: Any = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Flags:
    """What the command line says; None, or nothing under a name, leaves the entry of model_spec.py as it is.

    Parameters
    ----------
    artifacts : mapping of str to Path
        By the name in ``context.artifacts``.
    output_shape : tuple of int or None
        -1 is a length that varies.
    output_dtype : str or None
        One of `DTYPES`.
    params : tuple of ParamFlag or None
    serialization : str or None
        One of `SERIALIZATIONS`.
    link_artifacts : bool
    """

    model_class: str | None = None
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    model_config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    example_uri: str | None = None
    example_files: tuple[str, ...] = ()
    output_shape: tuple[int, ...] | None = None
    output_dtype: str | None = None
    params: tuple[ParamFlag, ...] | None = None
    serialization: str | None = None
    link_artifacts: bool = False


def read_flags(args: argparse.Namespace) -> Flags:
    """Validate parsed arguments.

    Raises
    ------
    UsageError
        With every problem: which flag, where, expected and found.
    """
    problems: list[str] = []

    def read(value: Any, reader: Callable[[Any], Any]) -> Any:
        try:
            return None if value is None else reader(value)
        except UsageError as error:
            problems.append(str(error))
            return None

    artifacts = read(args.artifact, lambda pairs: _pairs(pairs, "--artifact", "NAME=PATH")) or {}
    if args.checkpoint:
        artifacts["checkpoint"] = args.checkpoint
    flags = Flags(
        model_class=args.model_class,
        artifacts={name: Path(path).absolute() for name, path in artifacts.items()},
        model_config=read(args.model_config_json, _config),
        tags=read(args.model_tag, lambda pairs: _pairs(pairs, "--model-tag", "NAME=VALUE")),
        example_uri=read(args.example_uri, lambda uri: uri if "://" in uri else str(Path(uri).absolute())),
        example_files=tuple(str(Path(path).absolute()) for path in args.example_file),
        output_shape=read(args.output_shape, _shape),
        output_dtype=read(args.output_dtype, lambda name: require_known(name, DTYPES, "--output-dtype", "dtype")),
        params=read(args.extra_params_spec_json, _params),
        serialization=args.serialization,
        link_artifacts=args.link_artifacts,
    )
    if problems:
        raise UsageError("command line", "; ".join(problems).rstrip("."))
    return flags


def _json(text: str, flag: str, kind: type, expected: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(flag, "not JSON", got=f"{error.msg} at {place} of {text!r}") from error
    if not isinstance(value, kind):
        raise UsageError(flag, "wrong kind", expected=expected, got=text)
    return value


def _config(text: str) -> Any:
    """Read JSON text, or the file of that name."""
    if not text.lstrip().startswith("{") and Path(text).is_file():
        text = Path(text).read_text(encoding="utf-8")
    return _json(text, "--model-config-json", dict, "a JSON object")


def _shape(text: str) -> tuple[int, ...]:
    expected = "a JSON list of lengths such as [-1,2048]"
    lengths = _json(text, "--output-shape", list, expected)
    if not lengths or not all(type(length) is int and length >= -1 for length in lengths):
        raise UsageError("--output-shape", "wrong kind", expected=expected, got=text)
    return tuple(lengths)


def _params(text: str) -> tuple[ParamFlag, ...]:
    flag = "--extra-params-spec-json"
    entries = _json(text, flag, dict, 'a JSON object such as {"batch_size":"integer"}')
    return tuple(_param(name, entry, f'{flag}: "{name}"') for name, entry in entries.items())


def _param(name: str, entry: Any, subject: str) -> ParamFlag:
    entry = {"type": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, dict) or "type" not in entry or not entry.keys() <= {"type", "default", "shape"}:
        expected = 'a type, or an object with "type" and perhaps "default" and "shape"'
        raise UsageError(subject, "wrong kind", expected=expected, got=json.dumps(entry))
    type_ = require_known(str(entry["type"]), PARAM_TYPES, subject, "type")
    shape = entry.get("shape")
    return ParamFlag(name, type_, entry.get("default"), tuple(shape) if isinstance(shape, list) else None)


def _pairs(texts: Iterable[str], flag: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise UsageError(flag, "wrong form", expected=form, got=repr(text))
        if name in pairs:
            raise UsageError(flag, f"{name!r} is given twice", advice="Give each name once.")
        pairs[name] = value
    return pairs
