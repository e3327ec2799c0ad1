"""Flags of the verbs that have many, or share them: the default of each, and its help."""

import inspect

GIVEN = inspect.Parameter.empty  # it has no default
MODEL = {"model": (GIVEN, "a model's name; repeat it for several (default: the one in invoke.yaml)")}
PLACE = {"models_dir": ("", "where the <name>_mlflow_pkg directories live")}
ALL = {"all": (False, "every model in the models directory")}
DRY = {"dry_run": (False, "say what would happen, write nothing")}
JSON = {"json": (False, "print one JSON document on stdout instead")}
JOBS = {"jobs": (0, "how many commands may run at once")}
FORCE = {
    "force": (False, "run the task's own step even where it is up to date"),
    "no_restore": (False, "run what could be brought back from a former run"),
    "force_step": ("", "run this step even where it is up to date"),
}
PLAIN = {"plain": (False, "print plain lines on a terminal, too")}
LIMIT = {"time_limit": (0, "seconds for each prediction (default: TIME_LIMIT of model_spec.py)")}
REGISTRY = {"tracking_uri": ("", "the registry's server or store (default: $MLFLOW_TRACKING_URI, else in models/)")}
BUILD = {**MODEL, **ALL, **PLACE, **JOBS, **DRY, **FORCE, **JSON, **PLAIN}
WATCH = {**MODEL, **PLACE, **JOBS, **LIMIT}
PORT = {"port": (0, "on 127.0.0.1 (default: one that is free)")}
COHORT = {
    "inputs": ("", "a pattern, a directory, a list (.txt), a table (.csv, .parquet) or a payload (.json)"),
    "out": ("", "the directory of outputs, or any fsspec URI (default: predictions)"),
    "params": ("", "params of predict, as JSON"),
    "workers": (0, "processes (default: one for each processor)"),
    "format": ("", "of outputs: npy, npz, parquet, h5ad or json (default: the best that holds them)"),
    "manifest_format": ("", "parquet or csv (default: parquet)"),
    "rows": (0, "of a payload file, rows for each request (default: 1)"),
    "time_limit": (0.0, "seconds for one input (default: 3600)"),
    "retry_failed": (False, "run what failed, alone"),
    "ray": ("", "run on a Ray cluster: auto, or the address of its head, HOST:PORT"),
    "actor_cpus": (0.0, "of each Ray actor (default: 1)"),
    "actor_gpus": (0.0, "of each Ray actor (default: 0)"),
    "envelope": (False, "predict nothing: what --out tells of the hardware that is needed"),
    "verified_only": (False, "refuse a model that is not verified"),
}
STRICT = {
    "strict": (
        False,
        "take test_output.json from the manual way's command, unaltered, in an environment that MLflow makes",
    ),
    "env_manager": ("", "the environment manager: uv, virtualenv, conda or local; implies --strict"),
}
PROOF = {
    "full": (False, "ask a slow model for every relation, too; else what is left out is not checked: budget"),
    "only": ("", "ask again for this relation between answers alone, such as rows: no verdict is written"),
    "all_examples": (False, "every bundled model (default of --models-dir: models/examples)"),
}
# What a received model may do, and who must have signed it.
TRUST = {
    "unconfined": (False, "run the model's code with your own rights, where the system cannot confine it"),
    "allow_builds": (False, "install packages that have no wheel, too, which runs their code"),
    "public_key": ("", "whose signature it must carry: a key, PEM"),
    "certificates": ("", "those that you trust to vouch for who signed it, PEM"),
    "identity": ("", "who must have signed it with Sigstore"),
    "identity_provider": ("", "the OpenID Connect issuer that knows them"),
    "require_signature": (False, "refuse a model that is not signed"),
    "memory": ("", "gigabytes for each of the model's processes (default: those of the machine)"),
    "time_limit": ("", "seconds for the model to answer (default: 600)"),
}
