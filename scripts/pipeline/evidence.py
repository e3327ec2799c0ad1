"""What a step leaves where it fails, for a person to look at: what of it is the step's own is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .errors import PipelineError
from .fingerprint import StatCache, scan
from .ledger import Ledger
from .staleness import MISSING
from .step import Step


def evidence_of(root: Path, step: Step) -> dict[str, str]:
    """Return the fingerprints of a step's evidence, as far as it is there and can be read."""
    found: dict[str, str] = {}
    for path in step.evidence:
        with suppress(PipelineError):
            found.update(scan(str(root / path), path, StatCache()))
    return {path: fingerprint for path, fingerprint in found.items() if fingerprint != MISSING}


def note_evidence(ledger: Ledger, root: Path, step: Step, before: Mapping[str, str]) -> None:
    """Record what a failed step left: what differs from `before` it ran, and what was its own then."""
    own = ledger.evidence.get(step.name, {})
    now = evidence_of(root, step)
    left = {path: what for path, what in now.items() if before.get(path) != what or own.get(path) == what}
    if left != own:
        with suppress(OSError):  # it is kept then, when `clean` comes
            ledger.write_evidence(step.name, left)
