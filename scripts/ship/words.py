"""What report and card say in the same words: the verdict, the signature, how to call the model, what was checked."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from model_side.model.signature import Field, Signature

from .facts import MODEL

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
    "params": "A request with other params does not change the answer to the next one.",
    "files": "The names of a request's files do not change the answer.",
    "cells": "In a file, each cell's row follows it into another order, and stays without one of the other cells.",
    "bad_inputs": "A file that is empty, cut, absent or of another kind is answered with an error that names it.",
    "reload": "Loaded a second time, the model answers the same.",
    "history": "Earlier requests do not change a later answer.",
    "unchanged": "A prediction changes neither its input nor an earlier answer.",
    "concurrent": "Requests at the same time get the answers that they get one after the other.",
}


def verdict(verification: Mapping[str, Any]) -> str:
    """Return what verify decided, in one line."""
    agree = sum(each["status"] == "agrees" for each in verification["routes"])
    passed = sum(each["status"] == "passed" for each in verification["checks"])
    others = len(verification["checks"]) - passed
    rest = f"; {others} {'was' if others == 1 else 'were'} off or not applicable" if others else ""
    checked = f"{passed} {'check' if passed == 1 else 'checks'} passed"
    return f"{agree} ways of running it give the same answer; {checked}{rest}."


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


def routes(verification: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the ways of running a model, each with its status and what it cost, as texts."""
    return [_route(each) for each in verification["routes"]]


def checks(verification: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the checks, each with its status and what it means."""
    return [_check(each) for each in verification["checks"]]


def _route(entry: Mapping[str, Any]) -> dict[str, str]:
    memory, seconds, apart = (entry.get(name) for name in ("peak_memory", "seconds", "max_absolute"))
    return {
        "route": entry["route"],
        "words": "; ".join(filter(None, (ROUTES.get(entry["route"], ""), entry.get("why")))),
        "status": entry["status"],
        "seconds": "" if seconds is None else f"{seconds:,.2f}",
        "memory": "" if memory is None else f"{memory / 1e6:,.0f} MB",
        "difference": "" if apart is None else f"{apart:.3g}",
    }


def _check(entry: Mapping[str, Any]) -> dict[str, str]:
    why = entry.get("fault") or entry.get("why") or ""
    words = CHECKS.get(entry["check"], "")
    return {"check": entry["check"], "status": entry["status"], "words": words, "why": why}
