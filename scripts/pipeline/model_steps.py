"""The chain from weights and an inference function to a verified MLflow Model, as data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from .machine import uv_anchored, uv_files, uv_settings, uv_tables, uv_version
from .packages import REPOSITORY, Package
from .step import Step
from .walk import Pipeline

SCAFFOLD = "generate_model_pkg_dir_structure"
DOWNLOAD = "download_data"
WRITE_PAYLOAD = "generate_mlflow_test_payload"
MODEL, PAYLOAD = "mlflow_model_artifacts", "test_input_payload.json"
PREDICTED, SERVED, VERIFIED = "predict_output.json", "test_output.json", "verification.json"
REST, REPORT = "rest_output.json", "serve_report.json"
# What the packager reads, as far as names alone tell; what else it reads, it reports.
AUTHORED = ("model_spec.py", "model_code", "model_data", "mlflow_packager.py", "model_side")
CALLED = ("model_spec.py", "model_code", "model_data")  # the author's code, where no MLflow is around it
DOWNLOADS = "model_data/.downloads"  # what downloads leave unfinished, and their record
LOCKED = ("requirements.txt", ".python-version", ".venv")
TOOLS_OWN = ("mlflow_packager.py", "model_side")
SERVING = ("scripts/environments", "scripts/model_side", "scripts/serving")
ASKED = ("--model-uri", MODEL, "--json-payload-file", PAYLOAD)
ASK = " ".join(ASKED)
COMPARE = f"{ASK} --predict-output {PREDICTED} --test-output {SERVED} --rest-output {REST} --serve-report {REPORT}"
# Imports mlflow once for all the steps that run in the model environment.
WARM = (".venv/bin/python", "{scripts}/model_side/worker.py", "mlflow.pyfunc", "mlflow.tracing.processor.otel")
# What `invoke clean` removes: what is quickly made again; the environment; what takes an index or a download.
CHEAP = ("package", "payload", "predict", "serve-predict", "verify")
ENVIRONMENT = ("sync-env",)
COSTLY = ("compile-reqs", "download-data")
# A prediction must not depend on a project around it, and nothing is sent anywhere.
QUIET = {"MLFLOW_UV_AUTO_DETECT": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def pipeline_for(package: Package, extra: Mapping[str, Sequence[str]] | None = None) -> Pipeline:
    """Return the chain of a package, ready to build; `extra` gives steps arguments for this run alone."""
    once = extra or {}
    steps = steps_for(package)
    steps = tuple(replace(step, once=tuple(once[step.name])) if step.name in once else step for step in steps)
    return Pipeline(package.root, steps, package.name)


def trial(package: Package) -> Step:
    """Return the step that calls an author's code on the payload, and saves nothing."""
    return _step(package)(
        "try", _model(f"{{scripts}}/try_model.py --json-payload-file {PAYLOAD}"), host=WARM, told=True
    )


def _step(package: Package) -> Callable[..., Step]:
    """Return what makes a step of the package's chain."""
    places = {"python": sys.executable, "models": str(package.models_dir)}
    places |= {"repository": str(REPOSITORY), "scripts": str(REPOSITORY / "scripts")}
    return partial(Step, places=places, env={**QUIET, **uv_anchored(os.environ)})


def steps_for(package: Package) -> tuple[Step, ...]:
    """Return the steps of a package, in the order in which a person thinks of them."""
    step = _step(package)
    uv, own = {"uv": uv_version()}, str(package.root.absolute() / "uv.toml")  # a dependency by its name
    files = {label: path for label, path in uv_files(os.environ, package.root) if path != own}
    settings = {**uv_settings(os.environ), **uv_tables(os.environ, package.root)}
    rules = (*package.requirement_files("constraints.txt", "overrides.txt"), *_there(package, "uv.toml"))
    asked = {*package.requirement_files("requirements.in"), *rules} - {"requirements.in", "requirements.txt"}
    example = [f"examples/{package.name}"] if package.example else []
    overlay = "".join(f" --overlay {{repository}}/{path}" for path in example)
    strict = f" --strict --env-manager {package.env_manager}" if package.strict else ""
    hashes = " --generate-hashes" if package.generate_hashes else ""
    return (
        step(
            "scaffold",
            _tool(f"{SCAFFOLD} --model-name {package.name} --target {{models}} --refresh{overlay}"),
            targets=TOOLS_OWN,
            tools=_own(f"scripts/{SCAFFOLD}.py", "scripts/model_side", "model_template", *example),
            editable=TOOLS_OWN,
            atomic=True,
        ),
        step(
            "compile-reqs",
            _tool(f"compile_requirements{hashes}"),
            dependencies=("requirements.in", ".python-version", *sorted(asked)),
            targets=("requirements.txt",),
            tools={**_own("scripts/compile_requirements.py", "scripts/environments"), **files},
            params=settings,
            versions=uv,
            after=("scaffold",),
            atomic=True,
        ),
        step(
            "sync-env",
            _tool("sync_environment"),
            dependencies=("requirements.txt", ".python-version", *rules),
            targets=(".venv",),
            tools={**_own("scripts/sync_environment.py", "scripts/environments"), **files},
            params={**settings, "location": str(package.root)},
            versions=uv,
        ),
        step(
            "download-data",
            _tool(DOWNLOAD),
            dependencies=("model_data.toml", *([".venv"] if package.runs_commands() else []), *package.scripts()),
            targets=package.data(),
            tools=_own("scripts/download_data.py", "scripts/downloads"),
            after=("scaffold",),
            atomic=True,
            live=True,
        ),
        step(
            "package",
            _model(f"mlflow_packager.py --out-dir {MODEL}"),
            dependencies=(*AUTHORED, *LOCKED, *rules),
            targets=(MODEL,),
            left_out=DOWNLOADS,
            told=True,
            params={"model_data.toml": package.sources_text()},
            after=("download-data",),
            atomic=True,
            host=WARM,
        ),
        step(
            "payload",
            _model(f"{{scripts}}/{WRITE_PAYLOAD}.py --model-uri {MODEL} --json-payload-filepath {PAYLOAD}"),
            dependencies=(MODEL, ".venv"),
            targets=(PAYLOAD,),
            tools=_own(f"scripts/{WRITE_PAYLOAD}.py", "scripts/model_side"),
            editable=(PAYLOAD,),
            host=WARM,
            light=True,
        ),
        step(
            "predict",
            _model(f"{{scripts}}/predict_func.py {ASK} --output-path {PREDICTED}"),
            dependencies=(MODEL, PAYLOAD, ".venv"),
            targets=(PREDICTED,),
            told=True,
            tools=_own("scripts/predict_func.py", "scripts/model_side"),
            atomic=True,
            host=WARM,
        ),
        step(
            "serve-predict",
            _tool(f"serve_predict {ASK} --output-path {SERVED} --rest-output {REST} --report {REPORT}{strict}"),
            dependencies=(MODEL, PAYLOAD, *([".venv"] if strict else [])),
            targets=(SERVED, REST, REPORT),
            told=True,
            evidence=("rest_output.failed",),
            tools={**_own("scripts/serve_predict.py", *SERVING), **files},
            params=settings,
            versions=uv,
            atomic=True,
            ahead=() if strict else _tool("prepare_environment"),
            beside="package",
        ),
        step(
            "verify",
            _model(f"{{scripts}}/verify.py {COMPARE} --package . --again --output-path {VERIFIED}"),
            dependencies=(MODEL, PAYLOAD, PREDICTED, SERVED, REST, REPORT, ".venv", *CALLED),
            left_out=DOWNLOADS,
            targets=(VERIFIED,),
            told=True,
            evidence=("verification.failed.json", "verification.failed"),
            tools=_own("scripts/verify.py", "scripts/model_side"),
            atomic=True,
            host=WARM,
        ),
    )


def _tool(line: str) -> tuple[str, ...]:
    """Return the command of a script that runs in the tool's environment; no word of it holds a space."""
    script, *arguments = line.split()
    return ("{python}", f"{{scripts}}/{script}.py", *arguments)


def _model(line: str) -> tuple[str, ...]:
    """Return the command of a script that runs in the model environment."""
    return (".venv/bin/python", *line.split())


def _own(*names: str) -> dict[str, str]:
    """Return a step's own implementation: each part of the repository by its name in it."""
    return {name: str(REPOSITORY / name) for name in names}


def _there(package: Package, *names: str) -> tuple[str, ...]:
    return tuple(name for name in names if package.file(name).is_file())
