"""Show that the ways of running a model agree: gather the answers, compare them, decide, publish the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import StepError, UsageError, invoke
from ..base.files import publish, read_text, remove_files, require_file, require_writable
from ..base.found import report_found
from ..base.processes import figures_of
from ..base.variables import variables_advice
from ..model.model import ModelFiles, local_directory, quiet_mlflow, read_model
from ..model.settings import budget_of, time_limit_of
from ..output.arrays import Arrays
from ..output.comparison import Tolerance
from ..output.files import golden_path, write_output
from ..payload.payload import is_example, read_payload, rows_to_match
from ..payload.text import dumps_strict, loads_payload
from .checks import TRIED, advice_on, held_checks, lines
from .routes import DIRECT, REFERENCE, Route, cells, golden_route, read_answer, table
from .surroundings import what_it_follows

# What may be written into the directory *.failed.
_SIDES = [f"{check}.{side}.npz" for check in TRIED for side in ("expected", "got")]
KEPT = ("direct.npz", "example.npz", *_SIDES)


@dataclass(frozen=True)
class Asked:
    """What verify.py is asked for; its flags say what each is."""

    model_uri: str
    predict_output: Path
    test_output: Path
    rest_output: Path | None
    serve_report: Path | None
    json_payload_file: Path | None
    package: Path | None
    again: bool
    only: str
    full: bool
    time_limit: float | None
    output_path: Path


@dataclass(frozen=True)
class Evidence:
    """What the model gave in each way, when it was packaged, and when it predicted again.

    Parameters
    ----------
    files : ModelFiles
    report : mapping
        What serve_predict.py found; empty where it was not asked.
    answers : tuple of Route
        Those in files; the first is in-process.
    direct : Route
    golden : Route, optional
        None where no output is stored or there is no payload.
    example : Route, optional
        What the model gives for its example, where the payload is another one.
    trials : mapping of str to sequence of Route
        By the check that they are for; each compared.
    """

    files: ModelFiles
    report: Mapping[str, Any]
    answers: tuple[Route, ...]
    direct: Route
    golden: Route | None
    example: Route | None
    trials: Mapping[str, Sequence[Route]]

    @property
    def tolerance(self) -> Tolerance:
        """How far two floats may be apart."""
        return Tolerance.of(self.files.metadata)


@dataclass(frozen=True)
class Verdict:
    """What verify decided.

    Parameters
    ----------
    result : mapping
        As verification.json says it.
    text : str
        The same, for a person.
    faults : tuple of str
    advice : str
        Which files hold answers that differ, and what to do.
    kept : mapping of str to ndarray or dict
        Outputs that differ and are in no file yet.
    """

    result: Mapping[str, Any]
    text: str
    faults: tuple[str, ...]
    advice: str
    kept: Mapping[str, Arrays]


def verify(asked: Asked) -> None:
    """Compare the ways of running a model, and write the verdict.

    Raises
    ------
    UsageError
        If something that is asked for is missing or cannot be read.
    StepError
        If the verdict is no.
    """
    require_writable(asked.output_path)
    if asked.package:
        require_file(asked.package / "model_spec.py", "--package")
    evidence = gather(asked)
    routes = compare(evidence)
    publish_verdict(verdict(asked, evidence, routes, _why(asked, evidence.files, routes)), asked.output_path)


def _why(asked: Asked, files: ModelFiles, routes: Sequence[Route]) -> str:
    """Return what made the answers of other processes differ, if it is found by asking further ones."""
    others = {route.name for route in routes if route.differs and route.output is not None} - {DIRECT}
    model = local_directory(asked.model_uri)
    if not (others and asked.again and asked.json_payload_file and model):
        return ""
    seconds = time_limit_of(files.metadata, asked.time_limit)
    return what_it_follows(model, asked.json_payload_file, files, seconds)


def gather(asked: Asked) -> Evidence:
    """Read the answers, and ask the author's code and the model again where that is asked for."""
    files, found = read_model(asked.model_uri), asked.serve_report
    advice = f"Run {invoke('serve-predict', found)}."
    report = loads_payload(read_text(found, advice), str(found)) if found else {}
    payload = read_payload(asked.json_payload_file, files.signature) if asked.json_payload_file else None
    # Result files may lie where the next prediction of the same input puts its own: these first.
    rows, costs = rows_to_match(payload, files.signature) if payload else None, figures_of(report)
    paths = {REFERENCE: asked.predict_output, "served": asked.test_output, "rest": asked.rest_output}
    in_process, *others = (
        read_answer(name, path, files, rows, costs.get(name)) for name, path in paths.items() if path
    )
    direct = Route(DIRECT, why_not="it needs the package that the model was made from")
    trials: Mapping[str, Sequence[Route]] = {}
    golden, example = _golden_path(asked) if payload is not None else None, None
    is_other = payload is not None and not is_example(payload, files)
    if asked.package or asked.again:
        if payload is None:
            raise UsageError("--json-payload-file", "not given", advice="--package and --again ask the model for it.")
        quiet_mlflow()  # the rest is slow, and imports mlflow
        from .trials import direct_route, example_route, predicted_again

        seconds = time_limit_of(files.metadata, asked.time_limit)
        if asked.again:
            again = (asked.model_uri, payload, files, in_process, seconds)
            slow = "rest" in costs and costs["rest"].seconds > budget_of(files.metadata)
            in_process, trials = predicted_again(*again, full=asked.full, slow=slow)
            if golden and is_other and files.example:
                example = example_route(asked.model_uri, files, seconds)
        if asked.package:
            left_out = trials.get(DIRECT)
            direct = left_out[0] if left_out else direct_route(asked.package, payload, files, seconds)
    stored = _golden(golden, files, example, is_other=is_other) if golden else None
    return Evidence(files, report, (in_process, *others), direct, stored, example, trials)


def _golden_path(asked: Asked) -> Path | None:
    directory = local_directory(asked.model_uri)
    return golden_path(directory) if directory else None


def _golden(path: Path, files: ModelFiles, example: Route | None, *, is_other: bool) -> Route:
    """Return what was stored, unless there is nothing to compare it with."""
    if example is None:
        not_asked = Route("golden", why_not="the payload is not the model's example")
        return not_asked if is_other else golden_route(path, files)
    stored = golden_route(path, files) if example.output is not None else example
    return replace(stored, name="golden", figures=example.figures)


def compare(found: Evidence) -> list[Route]:
    """Return the routes, compared with the in-process one, golden with the example's."""
    reference = found.answers[0].output
    routes = [route.against(reference, found.tolerance) for route in (found.direct, *found.answers)]
    beside = found.example.output if found.example else reference
    return [*routes, *([found.golden.against(beside, found.tolerance)] if found.golden else [])]


def verdict(asked: Asked, found: Evidence, routes: Sequence[Route], why: str = "") -> Verdict:
    """Decide whether all routes agree and every check passed; `why` some do not, where that is known."""
    entries = {name: [each.trial_entry() for each in made] for name, made in found.trials.items()}
    checks, tolerance = held_checks(found.files.metadata, found.report, entries), found.tolerance
    faults = tuple(_faults(routes, checks))
    result: dict[str, Any] = {"ok": not faults, "model_uuid": found.files.uuid}
    result |= {"routes": [route.entry() for route in routes], "checks": checks}
    result["tolerance"] = {"rtol": tolerance.rtol, "atol": tolerance.atol}
    trials = [each for made in found.trials.values() for each in made]
    advice = why + _rounding([*routes, *trials], tolerance) + _where(asked, found, routes)
    advice += advice_on(checks, asked.package)
    text = "\n".join([table(routes), lines(checks), *cells(found.trials)])
    return Verdict(result, text, faults, advice, _to_keep(found, routes))


def publish_verdict(decided: Verdict, target: Path) -> None:
    """Print the verdict and write it to a file, *.failed.json where it is no; what differs goes to *.failed.

    Parameters
    ----------
    decided : Verdict
    target : Path
        The file for a verdict that is yes.

    Raises
    ------
    StepError
        If it is no.
    """
    print(decided.text)
    failed, kept = target.with_name(f"{target.stem}.failed{target.suffix}"), target.with_name(f"{target.stem}.failed")
    remove_files(kept, KEPT)
    for earlier in (target, failed):
        earlier.unlink(missing_ok=True)
    publish(f"{dumps_strict(decided.result, indent=2)}\n", failed if decided.faults else target)
    report_found(decided.result)
    if decided.faults:
        for name, output in decided.kept.items():
            kept.mkdir(exist_ok=True)
            write_output(output, kept / f"{name}.npz")
        what = f" What differs is in {kept}." if decided.kept else ""
        advice = f"See the table, and {failed}.{decided.advice}{what}"
        raise StepError("verify", "; ".join(decided.faults), advice=advice)


def _faults(routes: Sequence[Route], checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if wrong := [route.name for route in routes if route.differs]:
        yield f"not every route agrees: {', '.join(wrong)}"
    yield from (f"{check['check']}: {check['fault']}" for check in checks if check["status"] == "failed")


def _where(asked: Asked, found: Evidence, routes: Sequence[Route]) -> str:
    """Return in which files the answers are that differ, and what to do about it."""
    files = {"served": asked.test_output, "rest": asked.rest_output}
    files |= {} if found.example else {"golden": _golden_path(asked)}
    differing = [route.name for route in routes if route.differs]
    wrong = [files[name] for name in differing if name in files]
    *others, last = map(str, [asked.predict_output, *wrong])
    said = f" The answers are in {', '.join(others)} and {last}." if wrong else ""
    if differing == ["served"] and found.report.get("without_other_files"):
        said += " It ran without other files: a file that the model reads where there is one was not there."
    if {"served", "rest"} & {*differing}:
        said += variables_advice((found.report.get("used_from_outside") or {}).get("variables", ()))
    if differing == ["golden"]:
        said += " golden is what the model gave when it was packaged: package it again if it is meant to give another."
    return said


def _rounding(differing: Sequence[Route], tolerance: Tolerance) -> str:
    """Return how far floats are apart that differ, and what would allow it; nothing where none do."""
    found = [each.comparison for each in differing if each.comparison and not each.comparison.agrees]
    floats = [each for each in found if any(isinstance(cell.expected, float) for cell in each.differing)]
    apart = [(each.max_absolute or 0.0, each.max_relative or 0.0) for each in floats]
    if not apart:
        return ""
    absolute, relative = map(max, zip(*apart, strict=True))
    return (
        f" Floats are up to absolute {absolute:.3g}, relative {relative:.3g} apart; TOLERANCE allows atol"
        f" {tolerance.atol:g}, rtol {tolerance.rtol:g}: widen it where that is rounding."
    )


def _to_keep(found: Evidence, routes: Sequence[Route]) -> dict[str, Arrays]:
    differing = {route.name: route.output for route in routes if route.differs}
    now = found.example.output if found.example and "golden" in differing else None
    outputs = {"direct": differing.get("direct"), "example": now}
    for check, made in found.trials.items():
        wrong = next((each for each in made if each.output is not None), None)
        outputs |= {f"{check}.expected": wrong.expected, f"{check}.got": wrong.output} if wrong else {}
    return {name: output for name, output in outputs.items() if output is not None}
