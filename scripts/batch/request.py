"""What is asked of a batch, checked before any work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from model_side.base.errors import UsageError, require_known
from model_side.model.model import ModelFiles
from model_side.output.tables import FILES, LIBRARIES, OUTPUT_DIR, require_format
from model_side.payload.payload import payload_faults
from model_side.payload.text import loads_payload

SCHEMES = "://"
COMMAND = "BATCH_COMMAND"  # the words of the command that started this one, as JSON


class Request(NamedTuple):
    """One call.

    Parameters
    ----------
    model_uri, inputs, out : str
    params : str
        JSON.
    workers : int
        0: one for each processor.
    format : str
        Empty: the best that can hold the output.
    manifest_format : str
    rows : int
        Of a payload file, how many make one request.
    time_limit : float
        Seconds for one unit.
    retry_failed, dry_run, verified_only, envelope, json : bool
    ray : str
        ``auto`` or a cluster's address; empty: this machine.
    actor_cpus, actor_gpus : float
    """

    model_uri: str
    inputs: str = ""
    out: str = "predictions"
    params: str = ""
    workers: int = 0
    format: str = ""
    manifest_format: str = "parquet"
    rows: int = 1
    time_limit: float = 3600.0
    retry_failed: bool = False
    dry_run: bool = False
    verified_only: bool = False
    envelope: bool = False
    json: bool = False
    ray: str = ""
    actor_cpus: float = 1.0
    actor_gpus: float = 0.0

    @property
    def is_remote(self) -> bool:
        """Whether the outputs go to a URI."""
        return SCHEMES in self.out and not self.out.startswith("file://")

    def place(self) -> Path:
        """Return the local directory of outputs, or that of the journal where outputs go elsewhere."""
        if not self.is_remote:
            return Path(self.out.removeprefix("file://")).absolute()
        from environments.settings import user_cache

        name = "".join(each if each.isalnum() else "_" for each in self.out)
        return user_cache(os.environ, "MODEL_BATCH_CACHE", "batch") / name

    def checked(self) -> Request:
        """Return the same, its numbers in range and its paths whole.

        Raises
        ------
        UsageError
            With the flag that is wrong.
        """
        if not self.inputs and not self.envelope:
            raise UsageError("--inputs", "missing", advice="Give a pattern, a directory, a list, a table or a payload.")
        least = {"workers": 0, "rows": 1, "actor_cpus": 0, "actor_gpus": 0}
        for name, value in {**least, "time_limit": 0.001}.items():
            if not getattr(self, name) >= value:  # NaN neither
                flag, got = f"--{name.replace('_', '-')}", str(getattr(self, name))
                raise UsageError(flag, "out of range", expected=f"at least {value}", got=got)
        require_known(self.manifest_format, ("parquet", "csv"), "--manifest-format", "format")
        if self.manifest_format == "parquet":
            require_pyarrow("--manifest-format parquet", "Or take --manifest-format csv.")
        return self


def require_pyarrow(subject: str, advice: str = "") -> None:
    """Check that this environment has pyarrow.

    Raises
    ------
    UsageError
        With the extra that brings it.
    """
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise UsageError(subject, "pyarrow is not installed", advice=f"`make setup EXTRA=parquet` brings it. {advice}")


def read_params(text: str, files: ModelFiles) -> dict[str, Any]:
    """Return the params of a request.

    Parameters
    ----------
    text : str
        JSON; empty: none.
    files : ModelFiles

    Raises
    ------
    UsageError
        If they are not the model's, with the nearest name that is.
    """
    params = loads_payload(text, "--params") if text else {}
    if files.signature.output_files and OUTPUT_DIR in params:
        advice = "Leave it out: each input's results go to a directory of --out."
        raise UsageError("--params", f"{OUTPUT_DIR} is not yours to give", advice=advice)
    wrong = [each for each in payload_faults({"params": params}, files.signature) if each.startswith("params")]
    if wrong:
        raise UsageError("--params", "; ".join(each.removeprefix("params: ") for each in wrong))
    return {name: params[name] for name in sorted(params)}


def format_of(request: Request, files: ModelFiles, distributions: Mapping[str, str] | None = None) -> str:
    """Return the format of the outputs.

    Parameters
    ----------
    request : Request
    files : ModelFiles
    distributions : mapping of str to str, optional
        What the model's environment has installed, by name.

    Raises
    ------
    UsageError
        If it does not suit the output, or the environment lacks a library for it.
    """
    form = require_format(request.format, files.signature)
    if form == FILES and OUTPUT_DIR not in {each.name for each in files.signature.params}:
        advice = "A model that scaffold made has it: add it to the signature, and write the results there."
        fault = "its results are files, and no param says where to write them"
        raise UsageError(request.model_uri, fault, expected=f"a param {OUTPUT_DIR} of type string", advice=advice)
    if distributions is not None:
        require_libraries(form, distributions)
    return form


def require_libraries(form: str, distributions: Mapping[str, str]) -> None:
    """Check that an environment can write a format.

    Parameters
    ----------
    form : str
    distributions : mapping of str to str
        What it has installed, by name.

    Raises
    ------
    UsageError
        With the library that it lacks.
    """
    missing = [name for name in LIBRARIES.get(form, ()) if name not in distributions]
    if missing:
        advice = f"Name {missing[0]} in the model's requirements.in, or take another format."
        raise UsageError(f"--format {form}", f"the model's environment has no {', '.join(missing)}", advice=advice)


def unit_key(digest: str, params: Mapping[str, Any], fingerprint: str, form: str) -> str:
    """Return what an output was made of, as one value: another means that it is stale."""
    import hashlib

    text = json.dumps([digest, params, fingerprint, form], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
