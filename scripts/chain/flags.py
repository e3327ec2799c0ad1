"""Flags of the verbs that have many, or share them: the default of each, and its help."""

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
