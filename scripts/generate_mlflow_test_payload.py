#!/usr/bin/env python
"""Write a test payload for an MLflow Model, from its MLmodel file alone: no weights are loaded.

The values are those of the model's stored example; a model without one gets placeholders such as "<string: input_uri>",
which predict refuses by name until a person has put a value there. Params stand there with their defaults.

A file that is there already is yours: it is kept, and held to the model's signature. --force writes it anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from model_side.base.errors import UsageError, run_main
from model_side.base.files import publish
from model_side.model.model import ModelFiles, read_model
from model_side.payload.carried import FORMS
from model_side.payload.csv import payload_from_csv, payload_to_csv
from model_side.payload.negatives import negative_payloads
from model_side.payload.payload import build_payload, check_payload, payload_faults, read_payload
from model_side.payload.text import dumps_strict

READABLE = 20_000  # characters up to which a payload is written with a value per line


def write_payload(files: ModelFiles, target: Path, form: str | None) -> None:
    """Write a payload, or CSV, for the model to `target`."""
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
        publish(to_text(payload), target)


def to_text(payload: object) -> str:
    """Return a payload as JSON text: a value per line while a person may still want to read it."""
    text = dumps_strict(payload)
    return f"{dumps_strict(payload, indent=2) if len(text) <= READABLE else text}\n"


def write_negatives(files: ModelFiles, source: Path | None, directory: Path, *, force: bool) -> None:
    """Write a directory of payloads that must be refused, one file each."""
    if directory.exists() and not force:
        raise UsageError(str(directory), "is there already", advice="Give a new directory, or --force.")
    payload = read_payload(source, files.signature) if source else build_payload(files)
    check_payload(payload, files.signature, subject=str(source or "the model's example"))
    made = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    for negative in negative_payloads(payload, files.signature):
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in negative.name)
        (made / f"{name}.json").write_text(json.dumps(negative.payload), encoding="utf-8")  # with its bare NaN
    if directory.exists():
        shutil.rmtree(directory)
    made.rename(directory)
    print(f"{directory}: written, a payload for each fault", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = _parser().parse_args(argv)
    files = read_model(args.model_uri)
    target: Path = args.json_payload_filepath or Path("test_input_payload").with_suffix(
        ".csv" if args.format == "csv" else ".json"
    )
    if args.negative:
        write_negatives(files, target if target.is_file() else None, args.negative, force=args.force)
    elif args.check or (target.exists() and not args.force):
        read_payload(target, files.signature)
        print(f"{target}: kept; it fits the model's signature", file=sys.stderr)
    else:
        write_payload(files, target, args.format)
        print(f"{target}: written", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-uri", required=True, help="the model: a local path or any URI that MLflow resolves")
    parser.add_argument(
        "--json-payload-filepath",
        type=Path,
        help="the file to write (default: test_input_payload.json, or .csv)",
    )
    parser.add_argument("--format", choices=[*FORMS, "csv"], help="request format (default: the stored example's own)")
    parser.add_argument("--force", action="store_true", help="write the file anew though it is there")
    parser.add_argument("--check", action="store_true", help="only hold the file to the model's signature")
    parser.add_argument(
        "--negative", type=Path, metavar="DIR", help="write payloads that must be refused, one fault in each, to DIR"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(run_main(main))
