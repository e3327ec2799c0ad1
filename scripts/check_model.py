#!/usr/bin/env python
"""Check an MLflow Model that somebody else packaged: every file by its manifest, then its example by running it.

The environment is rebuilt from the model's own files, as serve_predict.py does. There the stored example is predicted,
and the answer is compared with the output that the package carries, within the model's tolerance. That runs the model's
code: a manifest shows that nothing changed on the way, not whom the model came from.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import StepError, UsageError, run_main
from model_side.model.manifest import check_manifest
from model_side.model.model import quiet_mlflow, whole_model
from serving.predict import predict_rebuilt
from serving.rebuilt import Rebuilt, rebuilt_environment

VERIFY = Path(__file__).with_name("verify.py")
EXAMPLE = "serving_input_example.json"


def check_model(model_uri: str, *, manifest_only: bool) -> None:
    """Check a model, and say on stderr what was seen.

    Raises
    ------
    UsageError
        If it carries no manifest or no example, or its environment cannot be made.
    StepError
        If a file is not as it was packaged, or the example's answer is another one.
    """
    with whole_model(model_uri) as model, tempfile.TemporaryDirectory() as scratch:
        digest = check_manifest(model)
        print(f"{model_uri}: every file is as it was packaged; {digest}", file=sys.stderr)
        if manifest_only:
            return
        if not (model / EXAMPLE).is_file():
            raise UsageError(model_uri, "it carries no example", advice="--manifest-only checks its files alone.")
        environment = rebuilt_environment(model, os.environ)
        answer = Path(scratch, "answer.json")
        predict_rebuilt(model, model / EXAMPLE, answer, environment)
        _compare(model, answer, environment)


def _compare(model: Path, answer: Path, environment: Rebuilt) -> None:
    words = ["--model-uri", str(model), "--predict-output", str(answer), "--test-output", str(answer)]
    words += ["--json-payload-file", str(model / EXAMPLE), "--output-path", str(answer.with_name("verification.json"))]
    command = [environment.program("python"), str(VERIFY), *words]
    done = subprocess.run(command, env=environment.variables(os.environ), check=False)
    if done.returncode:
        raise StepError(
            str(model), "the example's answer is not the one that it was packaged with", advice="See above."
        )
    print("its example gives the output that it was packaged with", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument("--manifest-only", action="store_true", help="check the files, run nothing of the model")
    args = parser.parse_args(argv)
    quiet_mlflow()
    check_model(args.model_uri, manifest_only=args.manifest_only)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_main(main))
