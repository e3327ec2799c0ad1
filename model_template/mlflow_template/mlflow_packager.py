#!/usr/bin/env python
"""Package the model in this directory as an MLflow Model, and prove it before it takes the place of the last one.

Everything comes from model_spec.py; a flag overrides its entry. In a fresh process with an empty working directory, the
saved model is loaded, predicts its input example twice, and its output is checked against the declared
signature. Only then does it replace the last good one.

  python mlflow_packager.py
  python mlflow_packager.py --checkpoint model_data/tf_sapiens --output-shape '[-1,2048]' --output-dtype float32

Exit codes: 0 packaged, 1 the model failed, 2 an invalid request or package, 130 interrupted
"""

from __future__ import annotations

import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
# The tool's own code: a build names the repository's. No file beside this one, or beside that code, may hide a module.
TOOL = os.path.abspath(os.environ.get("MODEL_SIDE") or os.path.join(HERE, ".pipeline"))  # noqa: PTH100, PTH118
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != HERE]
if not os.path.isdir(os.path.join(TOOL, "model_side")):  # noqa: PTH112, PTH118
    name, models = os.path.basename(HERE).removesuffix("_mlflow_pkg"), os.path.dirname(HERE)  # noqa: PTH119, PTH120
    advice = f"`invoke scaffold --model {name} --models-dir {models}` puts it there."
    print(f"error: {TOOL}/model_side: no such directory. {advice}", file=sys.stderr)
    raise SystemExit(2)
sys.path.append(TOOL)

from model_side.command_line import main  # noqa: E402

sys.path.remove(TOOL)

if __name__ == "__main__":
    raise SystemExit(main(HERE, __doc__))
