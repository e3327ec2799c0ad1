"""Other requests than the one that is asked about: for other rows, other cells, or other numbers.

Import it in the model environment only.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..base.errors import StepError
from ..payload.forms import content_of, form_of_payload, write_form
from ..payload.payload import of_rows, other_rows
from .cells import no_cells, other_cells
from .routes import Route
from .scene import Payload, Scene

NEARBY, _SMALLER = "slightly smaller numbers", 1 - 2**-12  # by more than TOLERANCE
EARLIER = "request before it"  # as a part of the world of a run


def other_requests(scene: Scene) -> list[Payload]:
    """Return requests for other rows; of one file, for other cells; none where neither can be asked for."""
    signature = scene.files.signature
    if rows := other_rows(scene.payload, signature):
        return [of_rows(scene.payload, signature, each) for each in rows]
    return [] if no_cells(scene) else [other_cells(scene, 0), other_cells(scene, 1)]


def ask_another(scene: Scene) -> dict[str, list[Route]]:
    """Ask something else before the request itself: what is kept of that, later answers show; it is no trial."""
    other = next(reversed(other_requests(scene)), nearby(scene))
    with suppress(StepError):  # it may be refused
        if other:
            scene.witness.predict(other)
    return {}


def nearby(scene: Scene) -> Payload | None:
    """Return the request with slightly smaller numbers, which round alike; None where it has none with a fraction."""
    signature, form = scene.files.signature, form_of_payload(scene.payload)
    rows = content_of(scene.payload, signature).rows()
    near = [{key: _smaller(value) for key, value in row.items()} for row in rows]
    return None if near == rows else {**scene.payload, form: write_form(form, near, signature)}


def _smaller(value: Any) -> Any:
    if isinstance(value, list):
        return [_smaller(each) for each in value]
    return value * _SMALLER if isinstance(value, float) else value
