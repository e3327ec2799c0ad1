"""The chain from weights and an inference function to a verified MLflow Model, as data; so are the other commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from engine.step import Command, Preparation, Says, Step
from engine.walk import Pipeline
from environments.settings import uv_anchored, uv_files, uv_settings, uv_tables, uv_version
from model_side.base.variables import QUIET
from model_side.model.added import TOPS

from .packages import REPOSITORY, Package, own
from .shipping import CLEANED, shipping

MODEL, PAYLOAD = "mlflow_model_artifacts", "test_input_payload.json"
PREDICTED, SERVED, VERIFIED = "predict_output.json", "test_output.json", "verification.json"
REST, REPORT = "rest_output.json", "serve_report.json"
# What the packager reads, as far as names alone tell; what else it reads, it reports.
AUTHORED = ("model_spec.py", "model_code", "model_data", "mlflow_packager.py")
DOWNLOADS = "model_data/.downloads"  # what downloads leave unfinished, and their record
BESIDE = tuple(f"{MODEL}/{name}" for name in TOPS)  # what is there beside the model's own files changes nothing
CALLED = ("model_spec.py", "model_code", "model_data")  # the author's code, where no MLflow is around it
LOCKED = ("requirements.txt", ".python-version", ".venv")
# What scaffold keeps up to date: files, whose edits are the author's, and a copy of the tool's code that nobody edits.
TOOLS_FILES, TOOLS_CODE = ("mlflow_packager.py", "model_code/__init__.py"), ".pipeline/model_side"
ASK = f"--model-uri {MODEL} --json-payload-file {PAYLOAD}"
COMPARE = f"{ASK} --predict-output {PREDICTED} --test-output {SERVED} --rest-output {REST} --serve-report {REPORT}"
PINS = ".pipeline/pins"  # what compile-reqs starts from
# Imports mlflow once for all the steps that run in the model environment.
WARM = (".venv/bin/python", "{scripts}/model_side/run/worker.py", "mlflow.pyfunc", "mlflow.tracing.processor.otel")
# What `invoke clean` removes: what is quickly made again; the environment; what takes an index or a download.
CHEAP = ("package", "payload", "predict", "serve-predict", "verify", *CLEANED)
ENVIRONMENT = ("sync-env",)
COSTLY = ("compile-reqs", "download-data")
RUN_THE_MODEL = ("package", "predict", "serve-predict", "verify")


def pipeline_for(package: Package, extra: Mapping[str, Sequence[str]] | None = None) -> Pipeline:
    """Return the chain of a package, ready to build; `extra` gives steps arguments for this run alone.

    What the package is shipped with belongs to it where `extra` names it, or where it was made.
    """
    once = {name: tuple(words) for name, words in (extra or {}).items()}
    steps = tuple(
        replace(step, command=step.runs._replace(once=once[step.name])) if once.get(step.name) else step
        for step in steps_for(package, once)
    )
    return Pipeline(package.root, steps, package.name)


def command_of(package: Package, name: str) -> Command:
    """Return the command of one of the chain's steps."""
    return next(step.runs for step in steps_for(package) if step.name == name)


def trial(package: Package, words: Sequence[str] = ()) -> Step:
    """Return the step that calls an author's code on the payload, with more arguments, and saves nothing."""
    line = " ".join([f"{{scripts}}/try_model.py --json-payload-file {PAYLOAD}", *words])
    command = _Commands.of(package).model(line, Says.AFTERWARDS)
    return Step("try", command, (*CALLED, PAYLOAD), ignored=(DOWNLOADS,))


def serving(package: Package) -> Command:
    """Return the command that keeps the server of a package's model up."""
    return _Commands.of(package).tool(f"serve_model {ASK}")


def model_command(package: Package, line: str) -> Command:
    """Return the command of one of the tool's own scripts in a package's environment that no step has."""
    return _Commands.of(package).model(f"{{scripts}}/{line}")


def tool_command(line: str) -> Command:
    """Return the command of one of the tool's own scripts that no package's chain has."""
    return _Commands({"python": sys.executable, "scripts": str(REPOSITORY / "scripts")}, _environment()).tool(line)


class _Commands(NamedTuple):
    """What makes the commands of one package; no word of a line holds a space."""

    places: Mapping[str, str]
    environment: Mapping[str, str]

    @classmethod
    def of(cls, package: Package) -> _Commands:
        places = {"python": sys.executable, "models": str(package.models_dir)}
        places |= {"repository": str(REPOSITORY), "scripts": str(REPOSITORY / "scripts")}
        return cls(places, _environment())

    def tool(self, line: str, says: Says = Says.LOG) -> Command:
        """Return the command of a script that runs in the tool's environment."""
        script, *arguments = line.split()
        return Command(("{python}", f"{{scripts}}/{script}.py", *arguments), self.places, self.environment, says)

    def model(self, line: str, says: Says = Says.LOG, *, light: bool = False) -> Command:
        """Return the command of a script that runs in the model environment, in its warm interpreter."""
        words = (".venv/bin/python", *line.split())
        # mlflow_packager.py takes the tool's own code from there, as the other scripts do, not from the package's copy.
        environment = {**self.environment, "MODEL_SIDE": "{scripts}"}
        return Command(words, self.places, environment, says, host=WARM, light=light)


def _environment() -> dict[str, str]:
    return {**QUIET, **uv_anchored(os.environ)}


class _Uv(NamedTuple):
    """What of uv, its settings and the package's own rules for it can change an environment."""

    files: Mapping[str, str]
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    rules: tuple[str, ...]

    @classmethod
    def of(cls, package: Package) -> _Uv:
        own = str(package.root.absolute() / "uv.toml")  # a dependency by its name
        files = {label: path for label, path in uv_files(os.environ, package.root) if path != own}
        settings = {**uv_settings(os.environ), **uv_tables(os.environ, package.root)}
        here = ("uv.toml",) if package.file("uv.toml").is_file() else ()
        rules = (*package.requirement_files("constraints.txt", "overrides.txt"), *here)
        return cls(files, settings, {"uv": uv_version()}, rules)


def steps_for(package: Package, wanted: Container[str] = ()) -> tuple[Step, ...]:
    """Return the steps of a package, in the order in which a person thinks of them."""
    commands, uv = _Commands.of(package), _Uv.of(package)
    proof = _proof(package, commands, uv)
    shipped = shipping(package.root, proof[-1], commands.tool, wanted)
    return (*_inputs(package, commands, uv), *_model(package, commands, uv), *proof, *shipped)


def _inputs(package: Package, commands: _Commands, uv: _Uv) -> tuple[Step, ...]:
    """Return the steps that bring all that a model is packaged from."""
    named = {*package.requirement_files("requirements.in"), *uv.rules} - {"requirements.in", "requirements.txt"}
    example = [f"examples/{package.name}"] if package.example else []
    overlay = "".join(f" --overlay {{repository}}/{path}" for path in example)
    scaffold, hashes = "generate_model_pkg_dir_structure", " --generate-hashes" if package.generate_hashes else ""
    return (
        Step(
            "scaffold",
            commands.tool(
                f"{scaffold} --model-name {package.name} --target {{models}} --refresh{overlay}", Says.AFTERWARDS
            ),
            targets=(*TOOLS_FILES, TOOLS_CODE),
            tools=own(
                f"scripts/{scaffold}.py", "scripts/scaffolding", "scripts/model_side", "model_template", *example
            ),
            editable=TOOLS_FILES,
            atomic=True,
            restorable=False,  # it also makes what an author then edits
        ),
        Step(
            "compile-reqs",
            commands.tool(f"compile_requirements{hashes}", Says.AFTERWARDS),
            dependencies=("requirements.in", ".python-version", *sorted(named)),
            targets=("requirements.txt", PINS),
            tools={**own("scripts/compile_requirements.py", "scripts/environments"), **uv.files},
            params=uv.settings,
            versions=uv.versions,
            after=("scaffold",),
            atomic=True,
        ),
        Step(
            "sync-env",
            commands.tool("sync_environment"),
            dependencies=("requirements.txt", ".python-version", *uv.rules),
            targets=(".venv",),
            tools={**own("scripts/sync_environment.py", "scripts/environments"), **uv.files},
            params={**uv.settings, "location": str(package.root)},
            versions=uv.versions,
        ),
        Step(
            "download-data",
            commands.tool("download_data", Says.LIVE),
            dependencies=("model_data.toml", *([".venv"] if package.runs_commands() else []), *package.scripts()),
            targets=package.data(),
            tools=own("scripts/download_data.py", "scripts/downloads"),
            after=("scaffold",),
            atomic=True,
            restorable=False,  # it keeps a record of what came from where, and its own cache
        ),
    )


def _model(package: Package, commands: _Commands, uv: _Uv) -> tuple[Step, ...]:
    """Return the steps that make the MLflow Model, and predict with it in-process."""
    write_payload, model_side = "scripts/generate_mlflow_test_payload.py", "scripts/model_side"
    predict = commands.model(f"{{scripts}}/predict_func.py {ASK} --output-path {PREDICTED}", Says.AFTERWARDS)
    return (
        Step(
            "package",
            commands.model(f"mlflow_packager.py --out-dir {MODEL}", Says.AFTERWARDS),
            dependencies=(*AUTHORED, *LOCKED, *uv.rules),
            ignored=(DOWNLOADS, *BESIDE),
            targets=(MODEL,),
            tools=own(model_side),
            params={"model_data.toml": package.sources_text(), **package.variables()},
            after=("download-data",),
            atomic=True,
            refusal=package.unfinished,
        ),
        Step(
            "payload",
            commands.model(
                f"{{repository}}/{write_payload} --model-uri {MODEL} --json-payload-filepath {PAYLOAD}", light=True
            ),
            dependencies=(MODEL, ".venv"),
            ignored=BESIDE,
            targets=(PAYLOAD,),
            tools=own(write_payload, model_side),
            editable=(PAYLOAD,),
        ),
        Step(
            "predict",
            predict._replace(late=lambda: ["--as-packaged"] * package.is_slow()),
            dependencies=(MODEL, PAYLOAD, ".venv"),
            ignored=BESIDE,
            targets=(PREDICTED,),
            tools=own("scripts/predict_func.py", model_side),
            params=package.variables(),
            atomic=True,
            apart=package.is_serial,
        ),
    )


def _proof(package: Package, commands: _Commands, uv: _Uv) -> tuple[Step, ...]:
    """Return the steps that prove the MLflow Model."""
    strict = f" --strict --env-manager {package.env_manager}" if package.strict else ""
    model_side = "scripts/model_side"
    line = f"serve_predict {ASK} --output-path {SERVED} --rest-output {REST} --report {REPORT}{strict}"
    serve = commands.tool(line, Says.AFTERWARDS)
    return (
        Step(
            "serve-predict",
            serve._replace(late=lambda: ["--serial"] * package.is_serial() + ["--slow"] * package.is_slow()),
            dependencies=(MODEL, PAYLOAD, *([".venv"] if strict else [])),
            ignored=BESIDE,
            targets=(SERVED, REST, REPORT),
            evidence=("rest_output.failed",),
            tools={
                **own("scripts/serve_predict.py", "scripts/environments", model_side, "scripts/serving"),
                **uv.files,
            },
            params={**uv.settings, **package.variables()},
            versions=uv.versions,
            atomic=True,
            apart=package.is_serial,
            preparation=None if strict else Preparation(commands.tool("prepare_environment"), beside="package"),
        ),
        Step(
            "verify",
            commands.model(
                f"{{scripts}}/verify.py {COMPARE} --package . --again --output-path {VERIFIED}", Says.AFTERWARDS
            ),
            dependencies=(MODEL, PAYLOAD, PREDICTED, SERVED, REST, REPORT, ".venv", *CALLED),
            ignored=(DOWNLOADS, *BESIDE),
            targets=(VERIFIED,),
            evidence=("verification.failed.json", "verification.failed"),
            tools=own("scripts/verify.py", model_side),
            params=package.variables(),
            atomic=True,
            proofs=(VERIFIED,),
        ),
    )
