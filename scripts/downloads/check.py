"""Read every byte in model_data/ again and compare it with what is declared and recorded. Nothing is repaired."""

from __future__ import annotations

from pathlib import Path

from engine.ledger import save_stat_cache
from model_side.base.errors import StepError

from .content import digest
from .plan import Verdict, Why, decide
from .scene import Scene, read_scene
from .session import Outcome

_ADVICE = "`invoke download-data` brings it again, and keeps what is there now as .bad."


def check(package: Path) -> list[Outcome]:
    """Return what each source's files are found to be: "present", or "failed" with what differs.

    Raises
    ------
    UsageError
        If the declaration is at fault, or something cannot be read.
    """
    scene = read_scene(package, every_byte=True)
    save_stat_cache(package, scene.stats)
    return [_outcome(decide(source, scene.found[source.paths], scene.entries.get(source.paths)), scene)
            for source in scene.sources]  # fmt: skip


def _outcome(verdict: Verdict, scene: Scene) -> Outcome:
    source, found = verdict.source, scene.found[verdict.source.paths]
    if verdict.why in (Why.PRESENT, Why.ADOPTED):
        entry = scene.entries.get(source.paths)
        sha256 = entry.sha256 if entry else digest(found, source.paths)
        return Outcome(source, "present", verdict.why, sha256, sum(fact.size for fact in found.values()))
    return Outcome(source, "failed", verdict.why, error=_fault(verdict, scene))


def _fault(verdict: Verdict, scene: Scene) -> StepError:
    source = verdict.source
    found, entry = scene.found[source.paths], scene.entries.get(source.paths)
    for name, fact in sorted(entry.files.items() if entry and found else ()):
        if found.get(name) != fact:
            got = found[name].sha256 if name in found else "no such file"
            return StepError(f"model_data/{name}", verdict.why.value, expected=fact.sha256, got=got, advice=_ADVICE)
    if not found:
        return StepError(source.name, verdict.why.value, advice="`invoke download-data` brings it.")
    got = digest(found, source.paths)
    return StepError(source.name, verdict.why.value, expected=source.sha256 or None, got=got, advice=_ADVICE)
