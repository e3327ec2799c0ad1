"""MLflow's stores and servers: whether one answers at all, told within seconds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..base.errors import StepError

TRACKING = "MLFLOW_TRACKING_URI"
# By default MLflow asks a server that is down for minutes.
_STATUS = re.compile(r"failed with error code (\d{3})")  # as MLflow quotes an answer that is not its own
_REFUSALS = {
    "401": (
        "it does not know you",
        "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    ),
    "403": (
        "it does not let you do this",
        "Ask who runs it for the permission, or be another user (MLFLOW_TRACKING_USERNAME).",
    ),
    "404": ("it does not know this request", "Its MLflow is too old, or it is another kind of server."),
}
_ONCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "8"}


def require_registry() -> None:
    """Check that the registry answers that MLflow's settings name, before it is asked for more with much patience.

    Raises
    ------
    StepError
        If it does not.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    with _asked_once():
        try:
            mlflow.MlflowClient().search_registered_models(max_results=1)
        except MlflowException as error:
            raise refused(mlflow.get_registry_uri(), error) from error


def refused(uri: str, error: Exception) -> StepError:
    """Return what to say of a server or store that did not do what it was asked.

    Parameters
    ----------
    uri : str
        Its address.
    error : MlflowException
    """
    status = _STATUS.search(str(error))
    if status and status[1] in _REFUSALS:
        fault, advice = _REFUSALS[status[1]]
        return StepError(uri, f"the registry refuses: {fault}", got=f"status {status[1]}", advice=advice)
    advice = f"Check {TRACKING}, and that the server runs."
    return StepError(uri, "the registry gives no answer", got=str(error), advice=advice)


@contextmanager
def _asked_once() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONCE}
    os.environ.update(_ONCE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
