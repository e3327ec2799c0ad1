"""MLflow's stores and servers: whether one answers at all, told within seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..base.errors import StepError

TRACKING = "MLFLOW_TRACKING_URI"
# By default MLflow asks a server that is down for minutes.
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
            uri = mlflow.get_registry_uri()
            advice = f"Check {TRACKING}, that the server runs, and that you may use it (MLFLOW_TRACKING_TOKEN)."
            raise StepError(uri, "the registry gives no answer", got=str(error), advice=advice) from error


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
