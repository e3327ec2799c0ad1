"""report.html: one page, without a network, for the people who get a model."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from engine.ledger import load_ledger
from model_side.base.files import publish
from model_side.model.signature import Field, Signature

from .facts import MODEL, Facts, read_facts
from .picture import pictures

REPORT, TEMPLATE = "report.html", "report.html.jinja"
SHIPPING = ("report", "card", "sbom")  # the steps that are no part of the proof
_LONGEST = 2000  # letters of a request that is shown, not named
ROUTES = {
    "direct": "the author's code, without MLflow around it",
    "in-process": "mlflow.pyfunc.load_model in Python",
    "served": "mlflow models predict, in an environment rebuilt from the model alone",
    "rest": "HTTP, to mlflow models serve in that environment",
    "golden": "the answer that was stored when the model was packaged",
}
CHECKS = {
    "hermetic": "A prediction reads no files but the model's and its inputs, and uses no network.",
    "portable": "It works from another directory, where it cannot change the model or its inputs.",
    "repeatable": "The same request gives the same answer, twice in one process and in two.",
    "world": "The answer does not depend on time zone, language, user or the number of processors.",
    "rows": "Each row gets the answer that it gets alone, in whatever order the rows stand.",
    "reload": "Loaded a second time, the model answers the same.",
    "history": "Earlier requests do not change a later answer.",
    "unchanged": "A prediction changes neither its input nor an earlier answer.",
    "concurrent": "Requests at the same time get the answers that they get one after the other.",
}


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
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    verification, metadata = facts.verification, facts.files.metadata
    return environment.get_template(TEMPLATE).render(
        name=facts.name,
        about={"description": "", **facts.about},
        archetype=metadata.get("archetype"),
        tags=metadata.get("tags") or {},
        verdict=verdict(verification),
        signature=list(signature_rows(facts.files.signature)),
        calls=list(calls(facts.files.example)),
        model=MODEL,
        pictures=pictures(facts.predictions()),
        tolerance=verification["tolerance"],
        routes=[_route(each) for each in verification["routes"]],
        checks=[_check(each) for each in verification["checks"]],
        steps=[(step, f"{took:.1f} s" if took else "") for step, took in _steps(facts.root)],
        python=facts.manifest.get("python"),
        mlflow=facts.mlmodel.get("mlflow_version"),
        distributions=facts.distributions(),
        digest=facts.digest,
        files=facts.manifest["files"],
        verified_at=f"{facts.verified_at:%Y-%m-%d %H:%M} UTC",
        commit=facts.manifest.get("source_commit"),
    )


def verdict(verification: Mapping[str, Any]) -> str:
    """Return what verify decided, in one line."""
    agree = sum(each["status"] == "agrees" for each in verification["routes"])
    passed = sum(each["status"] == "passed" for each in verification["checks"])
    others = len(verification["checks"]) - passed
    rest = f"; {others} {'was' if others == 1 else 'were'} off or not applicable" if others else ""
    return f"{agree} ways of running it give the same answer; {passed} checks passed{rest}."


def signature_rows(signature: Signature) -> Iterator[dict[str, str]]:
    """Yield a row for each input, param and output."""
    for part, fields in (("input", signature.inputs), ("output", signature.outputs)):
        yield from (
            {"part": part, "name": each.name or "", "type": str(each.type), "more": _need(part, each)}
            for each in fields
        )
        if part == "input":
            for param in signature.params:
                more = f"default {json.dumps(param.default, default=str)}"
                yield {"part": "param", "name": param.name, "type": str(param.type), "more": more}


def _need(part: str, field: Field) -> str:
    return "" if part == "output" else "required" if field.required else "optional"


def calls(example: Mapping[str, Any] | None) -> Iterator[dict[str, str]]:
    """Yield how the model is asked its own example: in Python, with curl, on the command line."""
    if example is None:
        return
    file, text = f"{MODEL}/serving_input_example.json", json.dumps(example)
    yield {
        "title": "Python",
        "text": "import mlflow.pyfunc\nfrom mlflow.models import Model\n\n"
        f'path = "{MODEL}"\nmodel, saved = mlflow.pyfunc.load_model(path), Model.load(path)\n'
        "example, params = saved.load_input_example(path), saved.load_input_example_params(path)\n"
        "print(example, params)\nprint(model.predict(example, params=params))",
    }
    data = shlex.quote(text) if len(text) <= _LONGEST else f"@{file}"
    yield {
        "title": "curl",
        "text": f"mlflow models serve -m {MODEL} --env-manager uv -p 5000   # in another terminal\n"
        f"curl -H 'Content-Type: application/json' --data-binary {data} http://127.0.0.1:5000/invocations",
    }
    yield {
        "title": "Command line",
        "text": f"mlflow models predict -m {MODEL} --env-manager uv -t json -i {file}",
    }


def _route(entry: Mapping[str, Any]) -> dict[str, str]:
    memory, seconds, apart = (entry.get(name) for name in ("peak_memory", "seconds", "max_absolute"))
    return {
        "route": entry["route"],
        "words": ROUTES.get(entry["route"], ""),
        "status": entry["status"],
        "seconds": "" if seconds is None else f"{seconds:.3g}",
        "memory": "" if memory is None else f"{memory / 1e6:,.0f} MB",
        "difference": "" if apart is None else f"{apart:.3g}",
    }


def _check(entry: Mapping[str, Any]) -> dict[str, str]:
    why = entry.get("fault") or entry.get("why") or ""
    words = CHECKS.get(entry["check"], "")
    return {"check": entry["check"], "status": entry["status"], "words": words, "why": why}


def _steps(root: Path) -> list[tuple[str, float]]:
    ledger = load_ledger(root)
    return [(name, ledger.seconds.get(name, 0.0)) for name in ledger.records if name not in SHIPPING]
