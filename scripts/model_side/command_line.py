"""The command line of a package's mlflow_packager.py: save the model, prove it, and put it in place."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .base.command_line import parser, seconds
from .base.directories import make_work_directory
from .base.errors import ReportedError, UsageError, run_main
from .base.files import publish_directory, require_file
from .base.found import report_found
from .base.read_only import unchanged
from .package.flags import DTYPES, PARAM_TYPES, SERIALIZATIONS, Flags, read_flags

_SAVE_SECONDS = 3600  # to import the author's code and to copy artifacts
_LAST_EPOCH = 253402300799  # the end of year 9999


def main(package: str, description: str | None, argv: Sequence[str] | None = None) -> int:
    """Run the command line, and turn its errors into text and an exit code.

    Parameters
    ----------
    package : str
        The directory of the package.
    description : str
        What the help says first.
    argv : sequence of str, optional
        Flags, by default those of this process.
    """
    return run_main(lambda: _main(Path(package), _parser(Path(package), description).parse_args(argv)))


def _main(package: Path, args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # where it is asked to end, it cleans up
    from .model.model import require_plain

    flags = read_flags(args)
    _require_epoch()
    target: Path = args.out_dir.resolve()  # where a link leads: the link itself stays
    require_plain(target)
    _refuse_other_content(target)
    if args.json_payload_filepath:
        require_file(args.json_payload_filepath, "--json-payload-filepath")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = make_work_directory(target)
    try:
        facts = _package(package, flags, args, work, target)
    except ReportedError as error:
        _name_own_files(error, f"{work / target.name / 'code'}/", f"{package}/")
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        print(json.dumps({"ok": True, "dry_run": args.dry_run, **facts}, indent=1))
    return 0


def _package(package: Path, flags: Flags, args: argparse.Namespace, work: Path, target: Path) -> dict[str, str]:
    """Save, prove and publish: each in a process of its own, so that the author's code meets a fresh one each time."""
    from .model.model import disable_tracing, quiet_mlflow, read_model

    quiet_mlflow()
    disable_tracing()
    from .model.added import authors_own
    from .model.manifest import seal
    from .model.settings import time_limit_of
    from .output.files import GOLDEN
    from .package.hashing import hashing
    from .package.save import dry_run, save_model
    from .run.child import run_in_child
    from .verify.at_home import compared_at_home
    from .verify.proof import prove_payload, proven, run_checks

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # what it warns of is decided here
    staged, empty, here = work / target.name, work / "empty", Path.cwd()
    empty.mkdir()
    code = (package / "model_code", package / "model_spec.py", staged / "code")
    common: dict[str, Any] = {"code": code, "seconds": args.time_limit or _SAVE_SECONDS}
    if args.dry_run:
        run_in_child(dry_run, package, flags, work, subject="dry run", directory=package, **common)
        return {"model": target.name}
    artifacts = run_in_child(save_model, package, flags, work, staged, subject="save", directory=package, **common)
    files = read_model(str(staged))
    common["seconds"] = time_limit_of(files.metadata, args.time_limit)
    linked = any((staged / name).stat().st_nlink > 1 for name in artifacts)
    common["kept"] = [package / "model_data", *([staged / "artifacts"] if linked else [])]
    # The directory is for what the model leaves behind, its result files, too.
    with tempfile.TemporaryDirectory() as scratch, hashing(staged, artifacts) as hashes:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        with unchanged("forward pass", [staged], [staged / GOLDEN, *common["kept"]]):
            with compared_at_home(package, flags, staged, common["seconds"]):
                child = partial(run_in_child, subject="forward pass", directory=empty, **common)
                output, figures, is_slow = proven(staged, child)
            if args.json_payload_filepath:
                payload = args.json_payload_filepath.absolute()
                output = run_in_child(prove_payload, staged, payload, subject="forward pass", directory=here, **common)
            run_in_child(run_checks, package, flags, staged, subject="CHECKS", directory=package, **common)
        digest = seal(staged, package, hashes())
    for name in authors_own(target):
        copy: Any = partial(shutil.copytree, symlinks=True) if (target / name).is_dir() else shutil.copy2
        copy(target / name, staged / name)
    publish_directory(staged, target)
    report_found({"digest": digest, "output": output, "proof": {**figures.entry(), "slow": is_slow}})
    said = sys.stderr if args.json else sys.stdout
    print(f"packaged: the forward pass gives {output}; {digest[:15]}…", file=said)
    return {"model": target.name, "digest": digest, "output": output}


def _name_own_files(error: ReportedError, copies: str, own: str) -> None:
    """Let frames name the author's own files, not copies that are gone in a moment, in a message of a worker's, too."""
    for field, text in vars(error).items():
        if isinstance(text, str):
            setattr(error, field, text.replace(f'File "{copies}', f'File "{own}'))


def _refuse_other_content(target: Path) -> None:
    """Never replace a directory that holds anything but an MLflow Model, and what may lie beside its files."""
    from .model.manifest import unknown

    if target.is_dir() and (not any(target.iterdir()) or (target / "MLmodel").is_file()):
        if others := unknown(target):
            advice = "It would be removed: move it away, or give another --out-dir."
            raise UsageError(str(target), "it holds what no step has made", got=", ".join(others), advice=advice)
        return
    if target.exists():
        advice = "Give another --out-dir, or move it away."
        raise UsageError(str(target), "it exists and is not an MLflow Model", advice=advice)


def _require_epoch() -> None:
    """Check SOURCE_DATE_EPOCH before numpy stumbles over it."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not (text.isdecimal() and int(text) <= _LAST_EPOCH):
        expected = f"seconds since 1970, from 0 to {_LAST_EPOCH}"
        raise UsageError("SOURCE_DATE_EPOCH", "not a time", expected=expected, got=repr(text))


def _parser(package: Path, description: str | None) -> argparse.ArgumentParser:
    made = parser(description)
    add = made.add_argument
    add("--model-class", metavar="MODULE:CLASS", help="the PythonModel (MODEL_CLASS)")
    add("--checkpoint", type=Path, metavar="PATH", help='the artifact "checkpoint": a file or directory (ARTIFACTS)')
    add("--artifact", action="append", default=[], metavar="NAME=PATH", help="an artifact; repeatable (ARTIFACTS)")
    add("--model-config-json", metavar="JSON", help="context.model_config, as JSON or a file of it (MODEL_CONFIG)")
    add("--model-tag", action="append", default=[], metavar="NAME=VALUE", help="a tag; repeatable (TAGS)")
    add("--example-uri", metavar="URI", help="the input example's file (INPUT_EXAMPLE)")
    beside = "what must lie beside it, a path or a pattern; repeatable (EXAMPLE_FILES)"
    add("--example-file", action="append", default=[], metavar="PATH", help=beside)
    add("--output-shape", metavar="JSON", help="such as [-1,2048]; -1 varies (MODEL_SIGNATURE)")
    add("--output-dtype", metavar="DTYPE", help=f"one of {', '.join(DTYPES)} (MODEL_SIGNATURE)")
    types = f'a type of {", ".join(PARAM_TYPES)}, or {{"type": ..., "default": ...}}'
    add("--extra-params-spec-json", metavar="JSON", help=f"params of predict by name: {types} (MODEL_SIGNATURE)")
    add("--serialization", choices=SERIALIZATIONS, help="code: a model that loads without any pickle (SERIALIZATION)")
    add("--link-artifacts", action="store_true", help="hard links to model_data/, not copies (LINK_ARTIFACTS)")
    add("--json-payload-filepath", type=Path, metavar="PATH", help="predict this payload, too, before publishing")
    place = package / "mlflow_model_artifacts"
    add("--out-dir", type=Path, default=place, help="where the MLflow Model goes (default: beside this file)")
    add("--time-limit", type=seconds, metavar="SECONDS", help="for each prediction (TIME_LIMIT)")
    add("--dry-run", action="store_true", help="check all that can be checked before saving, and save nothing")
    add("--json", action="store_true", help="print one JSON document on stdout")
    return made
