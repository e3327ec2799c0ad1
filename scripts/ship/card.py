"""model_card/README.md: what the Hub shows of a model, from declared and measured facts; the author's text stays."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

from engine.transaction import keep_copy
from model_side.base.errors import UsageError
from model_side.base.files import publish, read_text

from .facts import DECLARED, Facts, library, read_facts
from .words import calls, checks, routes, signature_rows, verdict

TEMPLATE = Path(__file__).parent / "card.md.jinja"
BEGIN, END = "<!-- author: begin -->", "<!-- author: end -->"
_INVITATION = "<!-- Your own text goes here: it stays when the card is made anew. -->"
_SEAL = re.compile(r"\n<!-- generated, edits go between the author's lines: sha256:([0-9a-f]{64}) -->\n\Z")
_SPDX = re.compile(r"[A-Za-z0-9.+-]+")
SPEC = "model_spec.py"
PIPELINE_TAGS = {"text_to_tensor": "feature-extraction"}  # of the Hub's, those that an archetype says by itself


class Card(NamedTuple):
    """A card that is there.

    Parameters
    ----------
    author : str
        What stands between the author's lines.
    is_edited : bool
        Whether anything else was edited.
    """

    author: str = _INVITATION
    is_edited: bool = False


def write_card(package: Path, output_path: Path) -> None:
    """Write the card of a verified package, and say what its author has not declared.

    Parameters
    ----------
    package : Path
        Its directory.
    output_path : Path
        The file to write, Markdown.

    Raises
    ------
    UsageError
        If the package is not verified, or huggingface_hub is not installed.
    StepError
        If a file of the model is not as it was packaged.
    """
    facts = read_facts(package)
    there = read_card(read_text(output_path)) if output_path.is_file() else Card()
    text = card(facts, there.author)
    if there.is_edited:
        print(f"{output_path}: edited outside the author's lines: the edit is kept as {keep_copy(output_path).name}")
    output_path.parent.mkdir(parents=True, exist_ok=True)
    publish(text, output_path)
    if names := missing(facts):
        print(f"{SPEC} does not declare {', '.join(names)}: the card says so")


def missing(facts: Facts) -> list[str]:
    """Return the entries for people that model_spec.py does not declare."""
    return [name.upper() for name in DECLARED if not facts.about[name]]


def read_card(text: str) -> Card:
    """Take a card apart."""
    before, begun, rest = text.partition(f"{BEGIN}\n")
    author, ended, after = rest.partition(END)
    if not (begun and ended):
        return Card(is_edited=True)
    seal = _SEAL.search(text)
    return Card(author.removesuffix("\n"), seal is None or _digest(_SEAL.sub("", before + after)) != seal[1])


def card(facts: Facts, author: str = _INVITATION) -> str:
    """Return the card as Markdown: the same facts give the same text."""
    hub = library("huggingface_hub", "card")
    made = hub.ModelCard.from_template(
        _front_matter(facts, hub),
        template_path=str(TEMPLATE),
        name=facts.name,
        about=facts.about,
        archetype=facts.files.metadata.get("archetype"),
        verdict=verdict(facts.verification),
        begin=BEGIN,
        end=END,
        signature=list(signature_rows(facts.files.signature)),
        calls=list(calls(facts.files.example)),
        routes=routes(facts.verification),
        checks=checks(facts.verification),
        variables=facts.variables,
        python=facts.manifest.get("python"),
        mlflow=facts.mlmodel.get("mlflow_version"),
        digest=facts.digest,
        missing=missing(facts),
    )
    text = re.sub(r"\n{3,}", "\n\n", str(made).strip())
    before, _, after = text.partition(f"{BEGIN}\n{END}")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UsageError(SPEC, "a text for people holds a line of the card's own", got=f"{BEGIN} or {END}")
    seal = f"<!-- generated, edits go between the author's lines: sha256:{_digest(before + after)} -->"
    return f"{before}{BEGIN}\n{author}\n{END}{after}\n\n{seal}\n"


def _front_matter(facts: Facts, hub: Any) -> Any:
    """Return the Hub's metadata of the model."""
    archetype, tags = facts.files.metadata.get("archetype"), facts.files.metadata.get("tags") or {}
    pipeline_tag, licence = PIPELINE_TAGS.get(str(archetype)), facts.about["license"]
    named: dict[str, Any] = {"license": licence.lower()} if licence else {}
    if licence and not _SPDX.fullmatch(licence):
        named = {"license": "other", "license_name": licence}
    measured = [
        hub.EvalResult(
            task_type=pipeline_tag or "other",
            dataset_type="example",
            dataset_name="the request that the package was verified with",
            metric_type="max_absolute_difference",
            metric_name=f"largest difference between {each['route']} and in-process",
            metric_value=each["max_absolute"],
        )
        for each in facts.verification["routes"]
        if each.get("max_absolute") is not None and each["route"] != "in-process"
    ]
    return hub.ModelCardData(
        model_name=facts.name,
        library_name="mlflow",
        tags=["mlflow", *([archetype] if archetype else []), *(f"{key}:{value}" for key, value in tags.items())],
        pipeline_tag=pipeline_tag,
        eval_results=measured,
        **named,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()
