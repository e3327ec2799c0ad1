"""The chain: scaffold → compile-reqs → sync-env → download-data → package → payload → predict → serve-predict → verify.

`invoke package --model foo` first brings everything upstream of `package` up to date, and runs only what is stale.
"""

import os
import sys
from pathlib import Path

from invoke import Exit, task

# Invoke turns bytecode off, and then every no-op compiles the pipeline anew: 15 ms.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
sys.path.insert(0, str(Path(__file__).parent / "scripts"))

from chain import verbs  # noqa: E402
from chain.request import Request  # noqa: E402

HELP = {
    "model": "a model's name; repeat it for several (default: the one in invoke.yaml)",
    "all": "every model in the models directory",
    "models_dir": "where the <name>_mlflow_pkg directories live",
    "jobs": "how many commands may run at once",
    "dry_run": "say what would happen, write nothing",
    "force": "run the task's own step even where it is up to date",
    "force_step": "run this step even where it is up to date",
    "json": "print one JSON document on stdout instead",
}


def verb(**flags):
    """Make a task of a function; `flags` explains those that are its own."""

    def make(body):
        names = body.__code__.co_varnames[: body.__code__.co_argcount]
        known = {name: text for name, text in {**HELP, **flags}.items() if name in names}
        return task(body, iterable=["model"], help=known)

    return make


def _do(call, context, flags, *arguments, **options):
    _run(lambda: call(Request.of(context.config.chain, flags), *arguments, **options), flags.get("json"))


def _run(call, as_json=False):
    code = verbs.run(call, as_json=bool(as_json))
    if code:
        raise Exit(code=code)


@verb(
    archetype="the input-to-output shape of a new model (default: file_uri_to_tensor)",
    update="merge what the template has become into the files that you edited",
    diff="show what --update would do",
)
def scaffold(
    context, model, archetype="", update=False, diff=False, all=False, models_dir="", dry_run=False, json=False
):
    """Make a new model's package, or refresh the tool's own files in it."""
    _do(verbs.scaffold, context, locals(), archetype, update=update, diff=diff)


@task(help={"json": HELP["json"]})
def archetypes(context, json=False):
    """List the input-to-output shapes that a new model can have, with what each takes and gives."""
    _run(lambda: verbs.archetypes(as_json=json), json)


@verb(upgrade="move the pins to the newest releases that fit")
def compile_reqs(
    context,
    model,
    upgrade=False,
    all=False,
    models_dir="",
    jobs=0,
    dry_run=False,
    force=False,
    force_step="",
    json=False,
):
    """Pin requirements.in, with mlflow in the set, to requirements.txt."""
    _do(verbs.build, context, locals(), "compile-reqs", ["--upgrade"] * upgrade)


@verb()
def sync_env(context, model, all=False, models_dir="", jobs=0, dry_run=False, force=False, force_step="", json=False):
    """Build the model environment, .venv, from requirements.txt."""
    _do(verbs.build, context, locals(), "sync-env")


@verb(
    lock="fill in missing sha256 in model_data.toml after a first download",
    check="read every byte again and compare",
    offline="fail at once with what is missing",
)
def download_data(
    context,
    model,
    lock=False,
    check=False,
    offline=False,
    all=False,
    models_dir="",
    jobs=0,
    dry_run=False,
    force=False,
    force_step="",
    json=False,
):
    """Bring the files that model_data.toml declares, verified, to model_data/."""
    _do(verbs.download, context, locals(), lock=lock, check=check, offline=offline)


@verb()
def package(context, model, all=False, models_dir="", jobs=0, dry_run=False, force=False, force_step="", json=False):
    """Save the MLflow Model, proven by a forward pass in a fresh process."""
    _do(verbs.build, context, locals(), "package")


@verb(
    format="write it in this request format, too: dataframe_split, dataframe_records, inputs, instances or csv",
    negative="write a directory of payloads that must be refused, too",
)
def payload(
    context,
    model,
    format="",
    negative=False,
    all=False,
    models_dir="",
    jobs=0,
    dry_run=False,
    force=False,
    force_step="",
    json=False,
):
    """Write a test payload from the model's signature; an edited one is kept."""
    _do(verbs.payload, context, locals(), format, negative=negative)


@verb()
def predict(context, model, all=False, models_dir="", jobs=0, dry_run=False, force=False, force_step="", json=False):
    """Predict in-process, in the model environment."""
    _do(verbs.build, context, locals(), "predict")


@verb(
    strict="take test_output.json from the manual way's command, unaltered: MLflow makes an environment of its own",
    env_manager="the environment manager: uv, virtualenv, conda or local; implies --strict",
)
def serve_predict(
    context,
    model,
    strict=False,
    env_manager="",
    all=False,
    models_dir="",
    jobs=0,
    dry_run=False,
    force=False,
    force_step="",
    json=False,
):
    """Predict in an environment rebuilt from the model alone, by mlflow models predict and over REST."""
    _do(verbs.build, context, locals(), "serve-predict")


@verb(port="on 127.0.0.1 (default: one that is free)")
def serve(context, model, port=0, models_dir=""):
    """Keep the model's server up until Ctrl-C, and print a curl line that asks it."""
    _do(verbs.serve, context, locals(), port)


@verb()
def verify(context, model, all=False, models_dir="", jobs=0, dry_run=False, force=False, force_step="", json=False):
    """Prove that all ways of running the model agree."""
    _do(verbs.build, context, locals(), "verify")


@verb()
def watch(context, model, models_dir="", jobs=0):
    """Follow your edits: after each, call your code at once, then bring package and prediction up to date."""
    _do(verbs.watch, context, locals())


@verb(quiet="print nothing; the exit code tells")
def status(context, model, all=False, models_dir="", quiet=False, json=False):
    """Say which steps are up to date, stale or pending, and why; exit 1 if any is not up to date."""
    _do(verbs.status, context, locals(), quiet=quiet)


@verb(step="the step to explain")
def explain(context, model, step="", models_dir="", json=False):
    """Show every dependency of a step: what the record says, what is there now."""
    _do(verbs.explain, context, locals(), step)


@verb()
def graph(context, model, models_dir=""):
    """Print the chain with its files and states as Mermaid text."""
    _do(verbs.graph, context, locals())


@task(
    help={
        "model_uri": "the MLflow Model: a local path or any URI that MLflow resolves",
        "manifest_only": "check the files, run nothing of the model",
        "json": HELP["json"],
    }
)
def check(context, model_uri, manifest_only=False, json=False):
    """Check a model received from someone else: its files, then its example."""
    _run(lambda: verbs.check(model_uri, manifest_only=manifest_only, as_json=json), json)


@task(help={"prune": "remove what was not used for so many days; 0 for all", "json": HELP["json"]})
def cache(context, prune="", json=False):
    """Show or prune the cache of downloads that all models share."""
    _run(lambda: verbs.cache(prune, as_json=json), json)


@verb(env="the model environment, too", all="everything that steps made")
def clean(context, model, env=False, all=False, models_dir="", dry_run=False, json=False):
    """Remove what steps made, never a file of the author's; what it would lose it lists."""
    _do(verbs.clean, context, {**locals(), "all": False}, environment=env, everything=all)
