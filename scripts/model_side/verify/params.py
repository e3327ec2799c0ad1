"""Prove that each declared param matters, in its own call alone, and that its default is one and the same.

MLflow itself never says that a model passes over a param, and never lets the code's own default count.

Import it in the model environment only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from ..base.errors import StepError
from ..model.settings import settings_of
from ..model.signature import Array, Param, Scalar, Type
from ..output.arrays import Arrays
from ..output.comparison import Tolerance, compare
from ..payload.values import INTEGERS, faults, show
from ..run.in_process import Loaded
from .routes import Route, compared
from .scene import Payload, Scene

# What another value of a param does: it changes the answer, it does not, or predict raises.
Effect = Callable[[Any], bool | None]
_DATES = ("2000-01-01T00:00:00", "2020-06-15T12:00:00")


def no_params(scene: Scene) -> str:
    """Return why params cannot be asked for; nothing where they can."""
    return "" if scene.files.signature.params else "the model has no params"


def ask_others(scene: Scene) -> None:
    """Ask with other values of all params."""
    params, given = scene.files.signature.params, scene.payload.get("params") or {}
    values = {each.name: given.get(each.name, each.default) for each in params}
    others = {each.name: next(other_values(values[each.name], each), values[each.name]) for each in params}
    with suppress(StepError):  # a value that the model refuses is as good
        scene.witness.predict({**scene.payload, "params": others})


def ask_params(scene: Scene) -> Iterator[Route]:
    """Ask with other values of all params, and then as at first; with the defaults, said in each way that there is."""
    ask_others(scene)
    stayed = scene.holds("after other params", scene.payload, scene.first)
    yield stayed
    if stayed.agrees:
        with suppress(StepError):  # a model may need a value that has no default
            yield from _ask_defaults(scene)


def _ask_defaults(scene: Scene) -> Iterator[Route]:
    plain = {name: part for name, part in scene.payload.items() if name != "params"}
    defaults = {each.name: each.default for each in scene.files.signature.params if each.default is not None}
    expected = scene.witness.predict(plain) if scene.payload.get("params") else scene.first
    yield scene.holds("with its defaults as values", {**plain, "params": defaults}, expected)
    if own := _by_own_defaults(scene, plain):
        yield compared("by the defaults of its code", expected, own[0], Tolerance.of(scene.files.metadata))


def _by_own_defaults(scene: Scene, payload: Payload) -> list[Arrays]:
    """Return what a model gives that is handed no params, as its code is where MLflow is not around it.

    There is nothing where it needs them: then its code has no defaults.
    """
    with _without_schema(scene.witness.model):
        for nothing in ({**payload}, {**payload, "params": {}}):
            with suppress(StepError):
                return [scene.witness.predict(nothing)]
    return []


@contextmanager
def _without_schema(model: Loaded) -> Iterator[None]:
    """Let MLflow fill in no defaults."""
    signature = model.model.metadata.signature
    kept, signature.params = signature.params, None
    try:
        yield
    finally:
        signature.params = kept


def prove_params(model: Loaded, first: Arrays) -> None:
    """Predict the example with each param changed: another answer, or an error, shows that the param is used.

    Parameters
    ----------
    model : Loaded
    first : ndarray or dict of str to ndarray
        Its answer to the example.

    Raises
    ------
    StepError
        If a param has no effect, or one of INERT_PARAMS has.
    """
    files = model.files
    example, inert = files.example or {}, files.metadata.get("inert_params") or ()
    if not settings_of(files.metadata)["repeatable"]:
        print("note: params: not tried: two answers of this model may differ", file=sys.stderr)
        return
    for param in files.signature.params:
        given = (example.get("params") or {}).get(param.name, param.default)
        if given is None:
            print(f"note: params: {param.name}: not tried: INPUT_EXAMPLE gives no value for it", file=sys.stderr)
            continue
        check = _require_none if param.name in inert else _require_some
        check(param, given, partial(_effect, model, example, first, param.name))


def _effect(model: Loaded, example: Mapping[str, Any], first: Arrays, name: str, value: Any) -> bool | None:
    params = {**(example.get("params") or {}), name: value}
    try:
        return not compare(
            first, model.predict({**example, "params": params}), Tolerance.of(model.files.metadata)
        ).agrees
    except StepError:
        return None


def _require_some(param: Param, given: Any, effect: Effect) -> None:
    tried = list(other_values(given, param))
    if all(effect(value) is False for value in tried):
        fault = f'"{param.name}" has no effect: the answer to INPUT_EXAMPLE is the same'
        said = f"for {', '.join(map(show, [given, *tried]))}"
        advice = (
            "Use it in predict; or give INPUT_EXAMPLE a value of it that shows its effect; or name it in INERT_PARAMS."
        )
        raise StepError("params", f"{fault} {said}", advice=advice)


def _require_none(param: Param, given: Any, effect: Effect) -> None:
    value = next(other_values(given, param), given)
    if effect(value):
        fault = f'"{param.name}" changes the answer to INPUT_EXAMPLE: it is another for {show(given)} and {show(value)}'
        raise StepError("INERT_PARAMS", fault, advice="Take it out of that list, or widen TOLERANCE.")


def other_values(given: Any, param: Param) -> Iterator[Any]:
    """Yield values of a param that differ from one, its default first; none that would ask for much more work."""
    known = [None, given]
    for value in (param.default, *_others(given, param.type)):
        if value not in known and not any(faults(value, param.type, "")):
            known.append(value)
            yield value


def _others(given: Any, type_: Type) -> Iterator[Any]:
    match type_:
        case Array(items):
            first, *more = given or [None]
            yield from ([value, *more] for value in _others(first, items))
            yield []
        case Scalar("boolean"):
            yield not given
        case Scalar("string"):
            yield f"{given}x" if given and "/" not in given else "x"  # no path beside one of the author's
        case Scalar("float" | "double"):
            number = given or 0.0
            yield from (2.0 * number + 1.0, number / 2, -number - 1.0, 1000.0 * number)
        case Scalar(name) if name in INTEGERS:
            number = given or 0
            yield from (number + 1, 1, 2 * number + 1, 10 * number + 10)
        case _:
            yield from _DATES
