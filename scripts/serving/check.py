"""Check an MLflow Model that somebody else packaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from model_side.base.directories import temporary_directory
from model_side.base.errors import StepError, UsageError
from model_side.base.found import report_found
from model_side.base.variables import receivers_environment, strangers_environment
from model_side.model.model import quiet_mlflow, read_model, whole_model
from model_side.model.settings import variables_of

from .predict import Where, predict_rebuilt
from .rebuilt import Rebuilt, rebuilt_environment
from .received import building, check_received, what_runs
from .recipe import read_recipe
from .sandbox.leash import Limits, allows, ended, leashed

SCRIPTS = Path(__file__).parents[1]
EXAMPLE = "serving_input_example.json"
_GIGABYTE = 1e9


class Trust(NamedTuple):
    """What a received model may do.

    Parameters
    ----------
    unconfined : bool
        Whether it runs with the rights of who checks it.
    builds : bool
        Whether packages may be built, which runs their code.
    memory : float
        Gigabytes of its own that each of its processes may hold; 0 means those of the machine.
    seconds : float
        After which a run is killed: the receiver's word, whatever TIME_LIMIT the model declares.
    """

    unconfined: bool = False
    builds: bool = False
    memory: float = 0.0
    seconds: float = 600.0

    def limits(self, places: list[Path], model: Path, place: Path) -> Limits:
        """Return what it does without, where it can read these, and sees the model at `place`."""
        if self.unconfined:
            return Limits(kept=(str(model.absolute()),), seconds=self.seconds)
        memory = int(self.memory * _GIGABYTE) or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        moved = ((str(model.absolute()), str(place)),)
        return Limits(True, (str(place.parent),), tuple(map(str, places)), moved, True, memory, self.seconds)


def check_model(model_uri: str, trust: Trust, signed: Callable[[Path], str], *, manifest_only: bool) -> None:
    """Check a model, and say on stderr what was seen.

    Parameters
    ----------
    model_uri : str
    trust : Trust
    signed : callable
        Says of a model's directory who signed it, or raises.
    manifest_only : bool
        Whether only its files are checked.

    Raises
    ------
    UsageError
        If it carries no manifest or no example, its environment cannot be made, or it cannot be confined here.
    StepError
        If a file is not as it was packaged, or the example's answer is another one.
    """
    quiet_mlflow()
    with whole_model(model_uri) as model, temporary_directory("mlflow-model-chain-check-") as scratch:
        if signer := signed(model):
            print(f"{model_uri}: {signer}", file=sys.stderr)
        checked, needed = check_received(model), variables_of(read_model(str(model)).metadata)
        report_found({**checked._asdict(), "environment_variables": list(needed)})
        print(f"{model_uri}: every file is as it was packaged; {checked.digest}", file=sys.stderr)
        if checked.added:
            print(f"not of the package, and never loaded: {', '.join(checked.added)}", file=sys.stderr)
        if needed:
            print(f"it needs the environment variables {', '.join(needed)}", file=sys.stderr)
        if manifest_only:
            return
        if not (model / EXAMPLE).is_file():
            raise UsageError(model_uri, "it carries no example", advice="--manifest-only checks its files alone.")
        _run(model, scratch, needed, trust)
        print("its example gives the output that it was packaged with", file=sys.stderr)


def _run(model: Path, scratch: Path, needed: tuple[str, ...], trust: Trust) -> None:
    """Predict the example, and compare the answer with the one that the model carries."""
    variables = (receivers_environment if trust.unconfined else strangers_environment)(os.environ, needed)
    place = model if trust.unconfined else scratch / "model"
    place.mkdir(exist_ok=True)
    _require_confinement(trust.limits([], model, place))
    if not trust.builds and (line := building(read_recipe(model, os.environ))):
        raise StepError(str(model), "installing it runs code", got=line, advice="--allow-builds lets it.")
    how = "with your own rights" if trust.unconfined else "without network, with no files but its own"
    print(f"{what_runs(model)}; {how}", file=sys.stderr, flush=True)
    environment = replace(
        rebuilt_environment(model, os.environ, wheels_only=not trust.builds), bytecode=scratch / "bytecode"
    )
    (scratch / "home").mkdir()
    variables |= {} if trust.unconfined else {"HOME": str(scratch / "home")}
    limits = trust.limits([*environment.places(), SCRIPTS], model, place)
    payload = Path(shutil.copyfile(model / EXAMPLE, scratch / "payload.json"))
    where = Where(scratch, variables, scratch, limits=limits, quiet=True)._replace(seconds=trust.seconds)
    predict_rebuilt(place, payload, environment, where)
    _compare(place, scratch, environment, variables, limits, needed)


def _require_confinement(limits: Limits) -> None:
    if not allows(limits):
        advice = "--unconfined runs the model's code with your own rights; --manifest-only runs nothing."
        fault = "this system cannot confine a model: it allows no namespaces to you"
        raise UsageError("check", fault, advice=advice)


def _compare(
    place: Path, scratch: Path, environment: Rebuilt, variables: dict[str, str], limits: Limits, needed: tuple[str, ...]
) -> None:
    answer = str(scratch / "answer.json")
    words = ["--model-uri", str(place), "--predict-output", answer, "--test-output", answer]
    words += ["--json-payload-file", str(place / EXAMPLE), "--output-path", str(scratch / "verification.json")]
    command = [environment.program("python"), str(SCRIPTS / "verify.py"), *words]
    with leashed(command, environment.variables(variables), subprocess.PIPE, scratch, limits) as process:
        said = process.stdout.read().decode(errors="replace") if process.stdout else ""
        ended(process)
    print(said, end="")
    if process.returncode:
        fault = "the example's answer is not the one that it was packaged with"
        depends = f" It depends on {', '.join(needed)}, too, as set here." if needed else ""
        raise StepError(str(place), fault, advice=f"See above.{depends}")
