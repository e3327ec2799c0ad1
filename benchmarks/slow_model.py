"""What a cold verify asks of a model whose predictions take ten seconds, and how long it takes against one in full."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from manual_way import INVOKE, LEFT_OUT
from measuring import Figure, run
from no_op import copy_tool

NAME, SECONDS, ROWS = "sleeper", 10, 3
FORWARD = "import time\n        time.sleep({seconds})\n        return input_obj * np.float32(2)"
BODIES = {"load_context": "pass", "_get_input": "return tensor", "_forward": FORWARD.format(seconds=0)}


class Cold(NamedTuple):
    """One cold verify: its wall time in seconds, and how often it asked and loaded the model."""

    seconds: float
    predictions: int
    loads: int


def measure(place: Path, _: int) -> list[Figure]:
    """Measure in `place`, an empty directory; once: sleeping is what takes the time."""
    copy_tool(place)
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment["MODEL_ENVIRONMENT_CACHE"] = str(place / "environments")
    words = ["--model", NAME]
    run([INVOKE, "scaffold", "--archetype", "tensor_to_tensor", *words], place, environment)
    code = _fill_in(place / "models" / f"{NAME}_mlflow_pkg")

    def cold(*flags: str) -> Cold:
        run([INVOKE, "clean", *words], place, environment)
        started = time.perf_counter()
        command = [INVOKE, "verify", "--json", "--no-restore", *flags, *words]
        done = subprocess.run(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - started
        found = [step.get("found") or {} for step in json.loads(done.stdout)["models"][0]["steps"]]
        predictions, loads = (sum(each.get(name, 0) for each in found) for name in ("predictions", "loads"))
        return Cold(seconds, predictions, loads)

    cold()  # the environments are made
    code.write_text(code.read_text(encoding="utf-8").replace("sleep(0)", f"sleep({SECONDS})"), encoding="utf-8")
    few, full = cold(), cold("--full")
    how = f"{SECONDS} s for each prediction, {ROWS} rows, both environments made"
    return [
        Figure("predictions of a cold `invoke verify` of a slow model", few.predictions, "times", 8, how),
        Figure("its loads", few.loads, "times", 4, how),
        Figure("its time / that of `--full`", few.seconds / full.seconds, "x", 0.45, how),
        Figure("for scale: predictions of `--full`", full.predictions, "times", None, how),
        Figure("for scale: loads of `--full`", full.loads, "times", None, how),
    ]


def _fill_in(package: Path) -> Path:
    """Write what an author does, and return the file of the code."""
    code = package / "model_code" / f"{NAME}_mlflow_model.py"
    text = code.read_text(encoding="utf-8")
    for name, body in BODIES.items():
        text = text.replace(f'raise NotImplementedError("{name}")', body)
    code.write_text(text, encoding="utf-8")
    (package / "requirements.in").write_text("numpy\nmlflow\n", encoding="utf-8")
    spec = package / "model_spec.py"
    example = f'INPUT_EXAMPLE = np.arange({ROWS * 3}, dtype="float32").reshape({ROWS}, 3)'
    spec.write_text(spec.read_text(encoding="utf-8").replace("INPUT_EXAMPLE = None", example), encoding="utf-8")
    return code
