"""Ask the author's code and the saved model again, each in a process of its own.

Import it in the model environment only.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..base.errors import ReportedError
from ..base.processes import Figures, peak_memory
from ..model.model import ModelFiles, disable_tracing, whole_model
from ..model.settings import budget_of, settings_of
from ..output.arrays import Arrays, nulled
from ..output.comparison import Tolerance
from ..payload.inputs import read_only_places
from ..run.child import run_in_child
from ..run.clock import movable_clock
from ..run.direct import call_directly
from ..run.in_process import load_in_process
from .budget import asked_before, packed
from .files import BAD_INPUTS, ended
from .others import EARLIER, ask_another
from .relations import RELATIONS
from .routes import BUDGET, DIRECT, REFERENCE, Route, failed
from .scene import MAY_DIFFER, Scene
from .witness import Witness
from .world import WORLD, enter

Payload = Mapping[str, Any]
Trials = Mapping[str, Sequence[Route]]  # by the check that they are of
Ask = Callable[..., tuple[Route | None, Trials]]
TWO = "in two processes"
_PATIENCE = 3  # time limits, after which nothing more is asked of a model that hangs


def direct_route(package: Path, payload: Payload, files: ModelFiles, seconds: float) -> Route:
    """Call the author's code in a package, for so many seconds at most.

    Parameters
    ----------
    package : Path
        Its directory.
    payload : mapping
    files : ModelFiles
        Of the MLflow Model that was made from it.
    seconds : float
    """
    try:
        found = call_directly(package, payload, files, seconds)
    except ReportedError as error:
        return failed(DIRECT, error)
    return Route(DIRECT, nulled(found.output), figures=found.figures)


def predicted_again(
    model_uri: str,
    payload: Payload,
    files: ModelFiles,
    before: Route,
    seconds: float,
    only: str = "",
    *,
    full: bool = False,
    slow: bool = False,
) -> tuple[Route, Trials]:
    """Load a model and let it predict again, for so many seconds at most, as often as its settings ask for.

    Parameters
    ----------
    model_uri : str
    payload : mapping
    files : ModelFiles
    before : Route
        What it gave in another process.
    seconds : float
    only : str
        The one relation that is asked for.
    full : bool
        Whether a slow model is asked for all of them, too.
    slow : bool
        Whether it is known to be slow.

    Returns
    -------
    Route
        The one before, with what loading and the first prediction cost.
    mapping of str to sequence of Route
        What it gave, by the check that it is for; where it is slow, `DIRECT` says that the author's code is not called.
    """
    settings, tolerance = settings_of(files.metadata), Tolerance.of(files.metadata)
    wanted = {*settings} - {"world"} if only == "history" else {only or name for name in settings}  # of all calls
    on = {name for name in wanted if settings[name]}
    earlier = (EARLIER,) if "history" in on and before.output is not None else ()
    world = (*earlier, *(WORLD if "world" in on else ())) if settings["repeatable"] else ()
    budget = math.inf if full or only else budget_of(files.metadata)
    ask = partial(_asked, model_uri, payload, files, before.output, seconds, budget=budget, slow=slow and not full)
    first, trials = ask(world, on)
    if earlier and world and (other := first and first.against(before.output, tolerance)) and not other.agrees:
        world = tuple(part for part in world if part != EARLIER)
        first, trials = ask(world, on)
        is_cause = first and first.against(before.output, tolerance).agrees
        if is_cause and not any(each.differs for made in trials.values() for each in made):  # no other finds it
            trials = {**trials, "history": [replace(other, name=f"with another {EARLIER}")]}
    if world and first and first.output is None:  # it is the world that it cannot bear, maybe
        _, trials = ask((), on)
    if first and settings["repeatable"] and before.output is not None:
        name, other = _elsewhere(ask, before.output, first, tolerance, world)
        trials = {**trials, name: [*trials.get(name, ()), other]}
        if name == "repeatable" and world:
            trials = {**trials, "world": [Route("world", why_not=f"{name} failed")]}
    if "world" in on and not settings["repeatable"]:
        trials = {**trials, "world": [Route("world", why_not=MAY_DIFFER)]}
    return replace(before, figures=first.figures if first else None), trials


def _elsewhere(ask: Ask, here: Arrays, there: Route, tolerance: Tolerance, world: Sequence[str]) -> tuple[str, Route]:
    """Return how the answer of another process compares, by the check; where it differs, what of the world made it."""
    other = _named(there.against(here, tolerance), f"with another {', '.join(world)}" if world else TWO)
    if other.agrees or not world:
        return "world" if {*world} - {EARLIER} else "history" if world else "repeatable", other
    for parts in ((), *((part,) for part in world)):
        alone, _ = ask(parts, ())
        if alone and not (route := alone.against(here, tolerance)).agrees:
            name = ("world", f"with another {parts[0]}") if parts else ("repeatable", TWO)
            return name[0], _named(route, name[1])
    return "world", other


def _named(route: Route, name: str) -> Route:
    """Return a route as a trial: with both outputs only where they differ."""
    return replace(route, name=name, output=None, expected=None) if route.agrees else replace(route, name=name)


def example_route(model_uri: str, files: ModelFiles, seconds: float) -> Route:
    """Load a model and let it predict its stored example, for so many seconds at most.

    Parameters
    ----------
    model_uri : str
    files : ModelFiles
    seconds : float
    """
    subject = "the model's example"
    found, _ = _asked(model_uri, files.example or {}, files, None, seconds, (), (), subject=subject)
    route = found or Route(REFERENCE)
    return replace(route, fault=f"{subject}: {route.fault}") if route.fault else route


def _asked(
    model_uri: str,
    payload: Payload,
    files: ModelFiles,
    before: Arrays | None,
    seconds: float,
    world: Sequence[str],
    relations: Collection[str],
    budget: float = math.inf,
    subject: str = "predict again",
    *,
    slow: bool = False,
) -> tuple[Route | None, Trials]:
    """Return what the model gives in a process that has not imported the author's code, and what it was asked again.

    Where a relation ends its process, or hangs, the others are asked without it in another one.
    """
    disable_tracing()
    trials: dict[str, Sequence[Route]] = {}
    ask = partial(_asked, model_uri, payload, files, before, seconds, world)
    until, wanted = time.monotonic() + _PATIENCE * seconds, {*relations}
    with whole_model(model_uri) as place:
        model, here = place.resolve(), Path.cwd()
        kept = read_only_places(payload, model)
        child = partial(run_in_child, subject=subject, directory=here, code=[model], seconds=seconds, scratch=True)
        while True:
            now: Any = multiprocessing.get_context("fork").Array("c", 300)
            try:
                found, made = child(
                    _predict, model, payload, files, before, world, wanted, now, budget, slow, kept=kept
                )
                return found, {**trials, **made}
            except ReportedError as error:
                at, _, what = now.value.decode(errors="ignore").partition(": ")
                if not at or not wanted:
                    return failed(REFERENCE, error), trials
                trials |= _ended(ask, at.split(), what, error, files)
            wanted -= trials.keys()
            if time.monotonic() > until:
                left_out = f"{BUDGET}: the process did not get there: {', '.join(trials)} took too long"
                return None, {**trials, **{name: [Route(name, why_not=left_out)] for name in wanted}}


def _ended(ask: Ask, names: Sequence[str], what: str, error: ReportedError, files: ModelFiles) -> Trials:
    """Return the trials of relations in whose question a process ended: of several, each is asked for alone."""
    if len(names) == 1:
        return {names[0]: [ended(what, error, files) if names[0] == BAD_INPUTS else failed(what or names[0], error)]}
    trials = {name: made for each in names for name, made in ask({each}, budget=0.0)[1].items() if name == each}
    broken = any(each.differs for made in trials.values() for each in made)
    return trials if broken else {**trials, names[-1]: [failed(what, error)]}


def _predict(
    directory: Path,
    payload: Payload,
    files: ModelFiles,
    before: Arrays | None,
    world: Sequence[str],
    relations: Collection[str],
    now: Any,
    budget: float,
    slow: bool,
) -> tuple[Route, Trials]:
    enter(part for part in world if part != EARLIER)
    start, clock = time.perf_counter(), movable_clock()
    witness, began = Witness(load_in_process(directory, files)), time.time()
    loaded = time.perf_counter() - start
    asked: Trials = {}
    if EARLIER in world and before is not None:
        earlier = Scene(directory, files, payload, witness, before, clock, began, now)
        asked = asked_before(earlier, relations) if slow else ask_another(earlier)
    start = time.perf_counter()
    first = witness.predict(payload)
    took = time.perf_counter() - start
    route = Route(REFERENCE, nulled(first), figures=Figures(loaded + took, peak_memory()))
    scene = Scene(directory, files, payload, witness, first, clock, began, now)
    if took > budget and relations:
        left_out = f"{BUDGET}: a prediction took {took:.1f} s; `verify --full` asks for it"
        return route, {**packed(scene, relations, left_out, asked), DIRECT: [Route(DIRECT, why_not=left_out)]}
    trials: dict[str, Sequence[Route]] = {}
    for relation in RELATIONS:
        if relation.name in relations:
            trials[relation.name] = relation.asked(scene, trials)
    return route, trials
