"""report.html: one page, without a network, for the people who get a model."""

from __future__ import annotations

from pathlib import Path

import jinja2

from engine.ledger import load_ledger
from model_side.base.files import publish

from . import MADE
from .facts import MODEL, Facts, read_facts
from .picture import pictures
from .words import calls, checks, routes, signature_rows, verdict

TEMPLATE = "report.html.jinja"


def write_report(package: Path, output_path: Path) -> None:
    """Write the report of a verified package.

    Parameters
    ----------
    package : Path
        Its directory.
    output_path : Path
        The file to write, HTML.

    Raises
    ------
    UsageError
        If the package is not verified.
    StepError
        If a file of the model is not as it was packaged.
    """
    publish(page(read_facts(package)), output_path)


def page(facts: Facts) -> str:
    """Return the report as HTML: the same facts give the same text."""
    verification, metadata = facts.verification, facts.files.metadata
    return template(TEMPLATE).render(
        name=facts.name,
        about=facts.about,
        archetype=metadata.get("archetype"),
        tags=metadata.get("tags") or {},
        verdict=verdict(verification),
        signature=list(signature_rows(facts.files.signature)),
        calls=list(calls(facts.files.example)),
        model=MODEL,
        pictures=pictures(facts.predictions()),
        tolerance=verification["tolerance"],
        routes=routes(verification),
        checks=checks(verification),
        envelope=facts.envelope(),
        steps=[(step, f"{took:.1f} s" if took else "") for step, took in _steps(facts.root)],
        variables=facts.variables,
        python=facts.manifest.get("python"),
        mlflow=facts.mlmodel.get("mlflow_version"),
        distributions=facts.distributions(),
        digest=facts.digest,
        files=facts.manifest["files"],
        verified_at=f"{facts.verified_at:%Y-%m-%d %H:%M} UTC",
        commit=facts.manifest.get("source_commit"),
    )


def template(name: str) -> jinja2.Template:
    """Return a template of a page: what it is given is text, not HTML."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(name)


def _steps(root: Path) -> list[tuple[str, float]]:
    ledger = load_ledger(root)
    return [(name, ledger.seconds.get(name, 0.0)) for name in ledger.records if name not in MADE]
