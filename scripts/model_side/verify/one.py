"""Ask again for one relation between a model's answers, which is no proof of the model."""

from __future__ import annotations

from ..base.errors import StepError, UsageError
from ..base.found import report_found
from ..model.model import quiet_mlflow, read_model
from ..model.settings import time_limit_of
from ..payload.payload import read_payload, rows_to_match
from .checks import advice_on, held_checks, lines
from .routes import REFERENCE, cells, read_answer
from .verdict import Asked


def ask_one(asked: Asked) -> None:
    """Ask again for one relation alone, and print what became of it; no verdict is written.

    Raises
    ------
    UsageError
        If there is no payload, or the model has this check off.
    StepError
        If the relation does not hold.
    """
    files = read_model(asked.model_uri)
    if asked.json_payload_file is None:
        raise UsageError("--json-payload-file", "not given", advice=f"--only {asked.only} asks the model for it.")
    payload = read_payload(asked.json_payload_file, files.signature)
    before = read_answer(REFERENCE, asked.predict_output, files, rows_to_match(payload, files.signature))
    quiet_mlflow()  # the rest is slow, and imports mlflow
    from .trials import predicted_again

    seconds = time_limit_of(files.metadata, asked.time_limit)
    _, trials = predicted_again(asked.model_uri, payload, files, before, seconds, asked.only)
    made = trials.get(asked.only, ())
    entries = {asked.only: [each.trial_entry() for each in made]}
    check = next(each for each in held_checks(files.metadata, {}, entries) if each["check"] == asked.only)
    print("\n".join([lines([check]), *cells({asked.only: made})]))
    report_found({"checks": [check]})
    if check["status"] == "failed":
        raise StepError("verify", f"{asked.only}: {check['fault']}", advice=advice_on([check]).strip())
