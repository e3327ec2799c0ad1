"""The chain: scaffold → compile-reqs → sync-env → download-data → package → payload → predict → serve-predict → verify.

`invoke package --model foo` first brings everything upstream of `package` up to date, and runs only what is stale.
"""

import gc
import inspect
import os
import sys
from pathlib import Path

if not sys.platform.startswith("linux"):
    needs = "it finds in /proc what a step started, confines models by namespaces, and rebuilds environments of Linux"
    advice = "Use a Linux container or virtual machine, on Windows WSL 2; a finished MLflow Model does not need it."
    print(f"error: {sys.platform}: not supported: expected Linux: {needs}. {advice}", file=sys.stderr)
    raise SystemExit(2)

try:
    from invoke import Exit, task
except ModuleNotFoundError:
    advice = f"Activate {Path(__file__).parent}/.venv, which `make setup` makes, and run `invoke`."
    print(f"error: tasks.py: {sys.executable} has no invoke. {advice}", file=sys.stderr)
    raise SystemExit(2) from None

sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))  # Invoke turns it off: slow no-ops
sys.path.insert(0, str(Path(__file__).parent / "scripts"))

from chain import looking, publishing, verbs
from chain.flags import (
    ALL,
    BUILD,
    COHORT,
    DRY,
    GIVEN,
    JSON,
    LIMIT,
    MODEL,
    PLACE,
    PLAIN,
    PORT,
    PROOF,
    REGISTRY,
    STRICT,
    TRUST,
    WATCH,
)
from chain.request import Request

if "--complete" in sys.argv:
    from chain import completion

    if (names := completion.values(sys.argv)) is not None:
        print("\n".join(names))
        raise SystemExit(0)


def verb(*groups, **own):
    """Make a task of ``body(context, flags)``; `own` are flags that no other task has."""
    flags = {**own, **{name: flag for group in groups for name, flag in group.items()}}
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, keyword, default=default) for name, (default, _) in flags.items()]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)

    def make(body):
        def run(context, **given):
            code = verbs.run(lambda: body(context, given))
            gc.freeze()  # the process ends: a search for garbage would take as long as the rest of a no-op
            if code:
                raise Exit(code=code)

        run.__name__, run.__doc__ = body.__name__, body.__doc__
        run.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        return task(run, iterable=["model"], help={name: text for name, (_, text) in flags.items()})

    return make


def request(context, flags):
    """Return what is asked for, by the settings of invoke.yaml and a task's flags."""
    return Request.of(context.config.chain, flags)


@verb(
    PLACE,
    JSON,
    PLAIN,
    name=("", "the new model's name"),
    archetype=("", "the input-to-output shape (default: file_uri_to_tensor)"),
    weights=("", "a file, a URI (https://, hf://, s3://), or package==version:file/in/the/wheel"),
    requirements=("", "lines of requirements.in, separated by commas"),
)
def new(context, flags):
    """Make a first model's package: on a terminal, what flags leave open is asked."""
    return verbs.new(request(context, flags), flags)


@verb(
    MODEL,
    ALL,
    PLACE,
    DRY,
    JSON,
    PLAIN,
    archetype=("", "the input-to-output shape of a new model (default: file_uri_to_tensor)"),
    update=(False, "merge what the template has become into the files that you edited"),
    diff=(False, "show what --update would do"),
)
def scaffold(context, flags):
    """Make a new model's package, or refresh the tool's own files in it."""
    return verbs.scaffold(request(context, flags), flags["archetype"], update=flags["update"], diff=flags["diff"])


@verb(JSON)
def archetypes(context, flags):
    """List the input-to-output shapes that a new model can have, with what each takes and gives."""
    return verbs.archetypes(as_json=flags["json"])


@verb(BUILD, upgrade=(False, "move the pins to the newest releases that fit"))
def compile_reqs(context, flags):
    """Pin requirements.in, with mlflow in the set, to requirements.txt."""
    return verbs.build(request(context, flags), "compile-reqs", ["--upgrade"] * flags["upgrade"])


@verb(BUILD)
def sync_env(context, flags):
    """Build the model environment, .venv, from requirements.txt."""
    return verbs.build(request(context, flags), "sync-env")


@verb(
    BUILD,
    lock=(False, "fill in missing sha256 in model_data.toml after a first download"),
    check=(False, "read every byte again and compare"),
    offline=(False, "fail at once with what is missing"),
)
def download_data(context, flags):
    """Bring the files that model_data.toml declares, verified, to model_data/."""
    own = {name: flags[name] for name in ("lock", "check", "offline")}
    return verbs.download(request(context, flags), **own)


@verb(BUILD, LIMIT)
def package(context, flags):
    """Save the MLflow Model, proven by a forward pass in a fresh process."""
    return verbs.build(request(context, flags), "package")


@verb(
    BUILD,
    format=("", "write it in this request format, too: dataframe_split, dataframe_records, inputs, instances or csv"),
    negative=(False, "write a directory of payloads that must be refused, too"),
)
def payload(context, flags):
    """Write a test payload from the model's signature; an edited one is kept."""
    return verbs.payload(request(context, flags), flags["format"], negative=flags["negative"])


@verb(BUILD, LIMIT)
def predict(context, flags):
    """Predict in-process, in the model environment."""
    return verbs.build(request(context, flags), "predict")


@verb(BUILD, LIMIT, STRICT)
def serve_predict(context, flags):
    """Predict in an environment rebuilt from the model alone, by mlflow models predict and over REST."""
    return verbs.build(request(context, flags), "serve-predict")


@verb(MODEL, PLACE, PLAIN, LIMIT, PORT)
def serve(context, flags):
    """Keep the model's server up until Ctrl-C, and print a curl line that asks it."""
    return verbs.serve(request(context, flags), flags["port"])


@verb(BUILD, LIMIT, PROOF)
def verify(context, flags):
    """Prove that all ways of running the model agree."""
    return verbs.verify(request(context, flags), flags["only"], full=flags["full"])


@verb(BUILD, PORT, serve=(False, "then serve it, with a page that asks the model, until Ctrl-C"))
def report(context, flags):
    """Write report.html of the verified model: one page, without a network, for the people who get it."""
    return verbs.report_page(request(context, flags), flags["port"], is_served=flags["serve"])


@verb(BUILD)
def card(context, flags):
    """Write a model card for the upload, model_card/README.md; your own text in it stays."""
    return verbs.build(request(context, flags), "card")


@verb(BUILD)
def sbom(context, flags):
    """List the model and its environment as a CycloneDX 1.6 bill of materials, sbom.cdx.json."""
    return verbs.build(request(context, flags), "sbom")


@verb(MODEL, PLACE, DRY, JSON, **COHORT)
def batch(context, flags):
    """Predict a cohort: many inputs through the model as it is, and only what is stale."""
    own = {name: flags[name] for name in (*COHORT, "dry_run", "json")}
    return verbs.batch(request(context, flags), own)


@verb(WATCH)
def watch(context, flags):
    """Follow your edits: after each, call your code at once, then bring package and prediction up to date."""
    return verbs.watch(request(context, flags))


@verb(MODEL, ALL, PLACE, JSON, quiet=(False, "print nothing; the exit code tells"))
def status(context, flags):
    """Say which steps are up to date, stale or pending, and why; exit 1 if any is not up to date."""
    return looking.status(request(context, flags), quiet=flags["quiet"])


@verb(MODEL, PLACE, JSON, step=("", "the step to explain"))
def explain(context, flags):
    """Show every dependency of a step: what the record says, what is there now."""
    return looking.explain(request(context, flags), flags["step"])


@verb(MODEL, PLACE)
def graph(context, flags):
    """Print the chain with its files and states as Mermaid text."""
    return looking.graph(request(context, flags))


@verb(
    PLACE,
    JSON,
    REGISTRY,
    TRUST,
    model_uri=(GIVEN, "the MLflow Model: a local path or any URI that MLflow resolves"),
    manifest_only=(False, "check the files, run nothing of the model"),
)
def check(context, flags):
    """Check a model received from someone else: its files, then its example."""
    own = ("models_dir", "json")
    words = {name: value for name, value in flags.items() if name not in own and value}
    words["tracking_uri"] = flags["tracking_uri"] or publishing.store_of(
        flags["model_uri"], request(context, flags).models_dir
    )
    return verbs.check(words, as_json=flags["json"])


@verb(
    MODEL,
    PLACE,
    JSON,
    REGISTRY,
    name=(GIVEN, "of the registered model"),
    alias=("", "of the version, for example candidate"),
)
def register(context, flags):
    """Register a verified model as a version in MLflow's model registry."""
    return publishing.register(request(context, flags), flags["name"], flags["tracking_uri"], flags["alias"])


@verb(
    MODEL,
    PLACE,
    JSON,
    private_key=("", "an elliptic curve key, PEM, without a password"),
    certificate=("", "of the key, PEM; then those between it and one that receivers trust"),
    sigstore=(False, "sign as who you are on the web, without a key"),
)
def sign(context, flags):
    """Sign a verified model, in the format of OpenSSF's model-signing: model.sig."""
    return publishing.sign(
        request(context, flags), flags["private_key"], flags["certificate"], sigstore=flags["sigstore"]
    )


@verb(MODEL, PLACE, JSON, output_path=("", "a directory (default: image/ in the package)"))
def image(context, flags):
    """Write a build context for a container that serves a verified model."""
    return publishing.image(request(context, flags), flags["output_path"])


@verb(PLACE, JSON, prune=("", "remove what was not used for so many days; 0 for all"))
def cache(context, flags):
    """Show or prune the cache of downloads that all models share, and the former results of the models."""
    return verbs.cache(request(context, flags), flags["prune"])


@verb(MODEL, PLACE, DRY, JSON, env=(False, "the model environment, too"), all=(False, "everything that steps made"))
def clean(context, flags):
    """Remove what steps made, never a file of the author's; what it would lose it lists."""
    every = {**flags, "all": False}
    return looking.clean(request(context, every), environment=flags["env"], everything=flags["all"])
