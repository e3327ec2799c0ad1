"""Register a verified package in MLflow's model registry: a run with its files, then the version from that run."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model_side.base.errors import UsageError
from model_side.base.found import report_found
from model_side.model.added import SIGNATURE
from model_side.model.manifest import MANIFEST
from model_side.model.model import quiet_mlflow
from model_side.model.store import refused, require_registry

from . import MADE
from .facts import SERVED, VERIFIED, Facts, read_facts

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DIGEST, MODEL = "digest", "model"
BESIDE = (VERIFIED, SERVED, *MADE.values())
_ALIAS = re.compile(r"(?!(?:v\d+|latest)$)[a-z0-9_-]+", re.IGNORECASE)
_FIGURES = ("seconds", "peak_memory", "max_absolute", "max_relative")
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


class Place(NamedTuple):
    """Where a model is registered.

    Parameters
    ----------
    name : str
        Of the registered model.
    alias : str
        What its new version is called beside its number; nothing where empty.
    tracking_uri : str
        Of the server or the store.
    """

    name: str
    alias: str
    tracking_uri: str


def register(package: Path, place: Place) -> None:
    """Register a package, or find the version that holds it already, and say which one that is.

    Parameters
    ----------
    package : Path
        Its directory.
    place : Place

    Raises
    ------
    UsageError
        If it is not verified, or the registry refuses the name.
    StepError
        If the server does not answer, or refuses.
    """
    if place.alias and not _ALIAS.fullmatch(place.alias):
        expected = "letters, digits, _ and -; not latest, nor v and a number"
        raise UsageError("--alias", "MLflow takes no such alias", expected=expected, got=repr(place.alias))
    shipped = read_facts(package)
    _require_files_alone(shipped)
    version, is_new = _registered(shipped, place)
    uri = f"models:/{place.name}/{version}"
    what = "registered" if is_new else f"this version holds {shipped.digest} already"
    print(f"{uri}: {what}{f'; its alias: {place.alias}' if place.alias else ''}")
    report_found({"model_uri": uri, "version": version, "new": is_new, DIGEST: shipped.digest})
    named = f"models:/{place.name}@{place.alias}" if place.alias else uri
    print(f"export MLFLOW_TRACKING_URI={place.tracking_uri}\ninvoke check --model-uri {named}", file=sys.stderr)


def _require_files_alone(shipped: Facts) -> None:
    """Check that the model has no empty directory: no store of artifacts keeps one."""
    if empty := [name for name in shipped.manifest["files"] if name.endswith("/")]:
        advice = "Put a file into it, or leave it out, and package the model again."
        raise UsageError(empty[0], "an empty directory is lost in a registry", advice=advice)


def _registered(shipped: Facts, place: Place) -> tuple[str, bool]:
    """Return the version that holds the model, and whether it is new."""
    quiet_mlflow()
    import mlflow

    mlflow.set_tracking_uri(place.tracking_uri)
    require_registry()
    client = mlflow.MlflowClient()
    with _told(place):
        _require_aliases(client, place)
        known = _known(client, place.name, shipped.digest)
        version = known or _logged(client, shipped, place)
        if place.alias:
            client.set_registered_model_alias(place.name, place.alias, version)
    return version, not known


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Tell what MLflow refuses as a fault of the request, or of the server."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise UsageError(f"--name {place.name}", "the registry refuses it", got=str(error)) from error
        raise refused(place.tracking_uri, error) from error


def _require_aliases(client: MlflowClient, place: Place) -> None:
    """Ask for the alias before anything is registered: MLflow before 2.3 knows none."""
    from mlflow.exceptions import RestException

    with suppress(RestException):  # that there is none yet, in MLflow's own words
        if place.alias and place.tracking_uri.startswith("http"):
            client.get_model_version_by_alias(place.name, place.alias)


def _known(client: MlflowClient, name: str, digest: str) -> str | None:
    """Return the version of a registered model that holds this digest, and make the registered model if need be."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
    versions = client.search_model_versions(f"tags.{DIGEST} = '{digest}'")
    return next((str(each.version) for each in versions if each.name == name and each.status == "READY"), None)


def _logged(client: MlflowClient, shipped: Facts, place: Place) -> str:
    """Log a run with the model as it is and what is told of it, and return the version made from it."""
    import mlflow

    tags = _tags(shipped)
    with mlflow.start_run(experiment_id=_experiment(client, place), run_name=shipped.digest) as run:
        mlflow.set_tags(tags)
        mlflow.log_metrics(dict(_metrics(shipped.verification)))
        for name in _names(shipped):
            mlflow.log_artifact(str(shipped.model / name), str(Path(MODEL, name).parent))
        for name in BESIDE:
            if (shipped.root / name).is_file():
                mlflow.log_artifact(str(shipped.root / name), "facts")
        run_id, source = run.info.run_id, f"{run.info.artifact_uri}/{MODEL}"
    return str(client.create_model_version(place.name, source, run_id, tags=tags).version)


def _names(shipped: Facts) -> list[str]:
    """Return the files that travel: the package's own, its manifest, and its signature where it has one."""
    beside = [name for name in (MANIFEST, SIGNATURE) if (shipped.model / name).is_file()]
    return [*shipped.manifest["files"], *beside]


def _experiment(client: MlflowClient, place: Place) -> str:
    """Return the id of the experiment for the runs; a store in a file keeps their artifacts beside that file."""
    if known := client.get_experiment_by_name(place.name):
        return str(known.experiment_id)
    kind, _, path = place.tracking_uri.partition(":///")
    beside = Path(path).absolute().parent / "mlartifacts" / place.name if kind == "sqlite" else None
    return str(client.create_experiment(place.name, beside.as_uri() if beside else None))


def _tags(shipped: Facts) -> dict[str, str]:
    version = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    tags = {
        DIGEST: shipped.digest,
        "verified_at": shipped.verified_at.isoformat(timespec="seconds"),
        "tool_version": version,
    }
    commit = shipped.manifest.get("source_commit")
    return tags | ({"git_commit": commit} if commit else {})


def _metrics(verification: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what verify measured, by route."""
    for route in verification["routes"]:
        for figure in _FIGURES:
            if isinstance(route.get(figure), int | float):
                yield f"{route['route']}.{figure}", float(route[figure])
