"""What the command lines of scripts/ have in common: how their help looks, and the flags that several of them take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from .errors import UsageError

_LONGEST = 1e6  # seconds


def seconds(text: str) -> float:
    """Return a time limit that a flag gives."""
    if not 0 < float(text) <= _LONGEST:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, at most {_LONGEST:g}, got {text}")
    return float(text)


_SHARED: dict[str, dict[str, Any]] = {
    "--model-uri": {"required": True, "help": "the model: a local path or any URI that MLflow resolves"},
    "--json-payload-file": {"type": Path, "required": True, "help": "the payload, JSON or .csv"},
    "--package": {"type": Path, "default": Path(), "help": "the package's directory (default: this one)"},
    "--time-limit": {
        "type": seconds,
        "metavar": "SECONDS",
        "help": "for each prediction (default: TIME_LIMIT of model_spec.py)",
    },
}


class _Parser(argparse.ArgumentParser):
    """Its faults are told as all others are."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.prog, message, advice="--help lists its flags.")


def parser(doc: str | None, *shared: str) -> argparse.ArgumentParser:
    """Return a parser whose help starts with the script's docstring, with those of the shared flags.

    Its ``parse_args`` raises UsageError where flags are wrong.
    """
    made = _Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in shared:
        made.add_argument(flag, **_SHARED[flag])
    return made
