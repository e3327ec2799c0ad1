"""Write a payload for a model to a file, or a directory of payloads that must be refused."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from ..base.errors import UsageError
from ..base.files import publish, publish_directory
from ..base.found import report_found
from ..model.model import ModelFiles, read_model
from .csv import payload_from_csv, payload_to_csv
from .negatives import negative_payloads
from .payload import build_payload, check_payload, payload_faults, read_payload
from .text import dumps_strict

READABLE = 20_000  # characters up to which a payload is written with a value per line


def bring_payload(
    model_uri: str,
    json_payload_filepath: Path | None,
    form: str | None,
    negative: Path | None,
    *,
    force: bool,
    check: bool,
) -> None:
    """Write the payload's file, or keep and check the one that is there, or write negatives of it.

    Parameters
    ----------
    model_uri : str
    json_payload_filepath : Path, optional
        By default test_input_payload.json, or .csv.
    form : str, optional
        By default the stored example's own.
    negative : Path, optional
        A directory to write payloads to that must be refused, one fault in each.
    force : bool
        Whether what is there is written anew.
    check : bool
        Whether the file is only checked.

    Raises
    ------
    UsageError
        If the file does not fit the model's signature, or a directory is there already.
    """
    files, ending = read_model(model_uri), "csv" if form == "csv" else "json"
    target = json_payload_filepath or Path(f"test_input_payload.{ending}")
    report_found({"payload": str(negative or target)})
    if negative:
        _write_negatives(files, target if target.is_file() else None, negative, force=force)
    elif check or (target.exists() and not force):
        read_payload(target, files.signature)
        print(f"{target}: kept; it fits the model's signature", file=sys.stderr)
    else:
        _write_payload(files, target, form)
        print(f"{target}: written", file=sys.stderr)


def _write_payload(files: ModelFiles, target: Path, form: str | None) -> None:
    payload = build_payload(files, None if form == "csv" else form)
    if form and files.example is not None:
        check_payload(payload, files.signature, subject=f"--format {form}")
    for fault in payload_faults(payload, files.signature):
        print(f"note: {target}: {fault}", file=sys.stderr)
    if form == "csv":
        text = payload_to_csv(payload, files.signature)
        payload_from_csv(text, files.signature)
        print("note: CSV carries no params: the model takes its defaults", file=sys.stderr)
        publish(text, target)
    else:
        publish(_to_text(payload), target)


def _to_text(payload: object) -> str:
    """Return a payload as JSON text: a value per line while a person may still want to read it."""
    text = dumps_strict(payload)
    return f"{dumps_strict(payload, indent=2) if len(text) <= READABLE else text}\n"


def _write_negatives(files: ModelFiles, source: Path | None, directory: Path, *, force: bool) -> None:
    if directory.exists() and not force:
        raise UsageError(str(directory), "is there already", advice="Give a new directory, or --force.")
    payload = read_payload(source, files.signature) if source else build_payload(files)
    check_payload(payload, files.signature, subject=str(source or "the model's example"))
    made = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    for negative in negative_payloads(payload, files.signature):
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in negative.name)
        (made / f"{name}.json").write_text(json.dumps(negative.payload), encoding="utf-8")  # with its bare NaN
    publish_directory(made, directory)
    print(f"{directory}: written, a payload for each fault", file=sys.stderr)
