"""Predict with a model in this process, or with the code of a package. No library is imported to refuse a payload."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from ..base.errors import invoke
from ..base.files import publish, read_text, require_writable
from ..base.found import is_reported, report_found
from ..model.model import ModelFiles, disable_tracing, local_directory, quiet_mlflow, read_model, whole_model
from ..model.settings import time_limit_of
from ..output.files import GOLDEN, JSON, export, read_golden, require_suitable
from ..payload.inputs import read_only_places
from ..payload.payload import is_example, read_payload
from ..payload.text import dumps_strict, loads_payload
from .late import advice


class _Answer(NamedTuple):
    """What a prediction gave: MLflow's response, unless it is in a file already, and what there is to say of it."""

    text: str
    form: str
    cost: str
    found: Mapping[str, Any]


def predict(
    model_uri: str,
    json_payload_file: str,
    output_path: Path | None,
    data: TextIO | None = None,
    time_limit: float | None = None,
    *,
    as_packaged: bool = False,
) -> None:
    """Write the answer to a file, else to `data`; what there is to say of it goes to `data`, else to stderr.

    Parameters
    ----------
    model_uri : str
    json_payload_file : str
        Its path; "-" is stdin.
    output_path : Path, optional
        The file, whose ending says what is written.
    data : file, optional
        By default stdout, to which nothing else is then written.
    time_limit : float, optional
        Seconds for loading and for predicting; by default TIME_LIMIT of model_spec.py.
    as_packaged : bool
        Whether the answer to the model's example is taken from the model, where it is stored.

    Raises
    ------
    UsageError
        If the payload does not fit, or the file cannot be written.
    StepError
        If the author's code raises, or the output does not fit the signature.
    """
    data = _stdout_for_data() if data is None else data
    files = read_model(model_uri)
    if output_path:
        require_writable(output_path)
        require_suitable(output_path, files.signature)
    payload = read_payload(json_payload_file, files.signature)
    said = data if output_path else sys.stderr
    is_json = output_path is None or output_path.suffix in JSON
    stored = _stored(model_uri, payload, files) if as_packaged and is_json else None
    answer = stored or _predicted(model_uri, payload, files, output_path, time_limit)
    print(answer.cost, answer.form, sep="\n", file=said, flush=True)
    report_found(answer.found)
    if answer.text and output_path:
        publish(answer.text, output_path)
    elif answer.text:
        print(answer.text, end="", file=data, flush=True)


def _predicted(
    model_uri: str, payload: Mapping[str, Any], files: ModelFiles, output_path: Path | None, time_limit: float | None
) -> _Answer:
    quiet_mlflow()
    disable_tracing()
    from .child import run_in_child

    with whole_model(model_uri) as directory:
        kept, here = read_only_places(payload, directory), Path.cwd()
        seconds = time_limit_of(files.metadata, time_limit)
        child = partial(run_in_child, subject="predict", directory=here, code=[directory], kept=kept, seconds=seconds)
        answer: _Answer = child(_predict, directory, payload, files, output_path)
        return answer


def _stored(model_uri: str, payload: Mapping[str, Any], files: ModelFiles) -> _Answer | None:
    """Return the answer to its example that a model carries; None where it has none, or is asked something else."""
    directory = local_directory(model_uri)
    if not directory or not (directory / GOLDEN).is_file() or not is_example(payload, files):
        return None
    if files.signature.output_files:  # it carries their digests
        return None
    from ..output.comparison import summary

    form, text = summary(read_golden(directory / GOLDEN, files.signature)), read_text(directory / GOLDEN)
    return _Answer(text, form, "as it was packaged: a prediction takes long", {"output": form})


def _predict(directory: Path, payload: Mapping[str, Any], files: ModelFiles, output_path: Path | None) -> _Answer:
    """Predict in a process that can write to no model and no input."""
    from ..output.arrays import jsonable
    from ..output.comparison import summary
    from .in_process import checked, load_in_process

    start, imported = time.perf_counter(), frozenset(sys.modules)
    model = load_in_process(directory, files)
    loaded = time.perf_counter()
    output = model.output(payload)
    predicted = time.perf_counter()
    quicker = advice(predicted - start, directory / "code", imported) if is_reported() else ""
    form = summary(checked(output, files, payload))
    found = {"output": form, "seconds": {"load": loaded - start, "predict": predicted - loaded}}
    text = ""
    if output_path and output_path.suffix not in JSON:
        export(output, output_path, files.signature)
    else:
        text = f"{dumps_strict({'predictions': jsonable(output)})}\n"
    return _Answer(text, f"{form}\n{quicker}".rstrip(), _cost(loaded - start, predicted - start), found)


def try_model(package: Path, json_payload_file: Path, time_limit: float | None) -> None:
    """Say on stdout what the author's code gives for a payload, and how long it took.

    Parameters
    ----------
    package, json_payload_file : Path
    time_limit : float, optional
        Seconds for loading and for predicting; by default TIME_LIMIT of model_spec.py.

    Raises
    ------
    StepError
        If the author's code raises, or the output does not fit.
    UsageError
        If the package or the payload is not as it should be.
    """
    payload = loads_payload(read_text(json_payload_file, f"Run {invoke('payload', package)}."), str(json_payload_file))
    quiet_mlflow()
    disable_tracing()
    from ..output.comparison import summary
    from .direct import call_directly

    answer = call_directly(package, payload, seconds=time_limit)
    cost = _cost(answer.load_seconds, answer.figures.seconds)
    print(f"{summary(answer.output)}; {cost}\n{answer.advice}", end="", flush=True)


def _cost(load: float, both: float) -> str:
    return f"loaded in {load:.2f} s, predicted in {both - load:.2f} s"


def _stdout_for_data() -> TextIO:
    """Return a stream to stdout, and send whatever else is written there, also by C code, to stderr from now on."""
    sys.stdout.flush()
    data = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return data
