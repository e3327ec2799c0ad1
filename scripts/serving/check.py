"""Check an MLflow Model that somebody else packaged."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from model_side.base.errors import StepError, UsageError
from model_side.base.found import report_found
from model_side.base.variables import receivers_environment
from model_side.model.manifest import check_manifest
from model_side.model.model import quiet_mlflow, read_model, whole_model
from model_side.model.settings import time_limit_of, variables_of

from .predict import Where, predict_rebuilt
from .rebuilt import rebuilt_environment
from .sandbox.leash import Limits

VERIFY = Path(__file__).parents[1] / "verify.py"
EXAMPLE = "serving_input_example.json"


def check_model(model_uri: str, *, manifest_only: bool, time_limit: float | None = None) -> None:
    """Check a model, and say on stderr what was seen; a prediction may take so many seconds.

    Raises
    ------
    UsageError
        If it carries no manifest or no example, or its environment cannot be made.
    StepError
        If a file is not as it was packaged, or the example's answer is another one.
    """
    quiet_mlflow()
    with whole_model(model_uri) as model, tempfile.TemporaryDirectory() as scratch:
        checked, metadata = check_manifest(model), read_model(str(model)).metadata
        needed, seconds = variables_of(metadata), time_limit_of(metadata, time_limit)
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
        variables, answer = receivers_environment(os.environ, needed), Path(scratch, "answer.json")
        environment = replace(rebuilt_environment(model, os.environ), bytecode=Path(scratch, "bytecode"))
        where = Where(Path(scratch), variables, limits=Limits(kept=(str(model.absolute()),)), quiet=True)
        where = where._replace(seconds=seconds)
        predict_rebuilt(model, model / EXAMPLE, environment, where)
        words = ["--model-uri", str(model), "--predict-output", str(answer), "--test-output", str(answer)]
        words += ["--json-payload-file", str(model / EXAMPLE), "--output-path", f"{scratch}/verification.json"]
        command = [environment.program("python"), str(VERIFY), *words]
        if subprocess.run(command, env=environment.variables(os.environ), check=False).returncode:
            fault = "the example's answer is not the one that it was packaged with"
            depends = f" It depends on {', '.join(needed)}, too, as set here." if needed else ""
            raise StepError(str(model), fault, advice=f"See above.{depends}")
        print("its example gives the output that it was packaged with", file=sys.stderr)
