"""Call the author's code directly: no saved package, and no wrapper of MLflow's around it.

Import it in the model environment only.
"""

from __future__ import annotations

import inspect
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature

from ..base.files import copy_file
from ..base.opened import opened_in
from ..base.processes import Figures, peak_memory
from ..base.read_only import hold, is_held
from ..model.model import ModelFiles
from ..model.signature import Signature, parse_signature
from ..output.arrays import Arrays
from ..package.example import DATA
from ..package.flags import Flags
from ..package.model_class import load_model_class
from ..package.reads import reported_reads
from ..package.spec import SPEC, read_spec
from ..payload.inputs import read_only_places
from ..payload.payload import check_payload
from .child import run_in_child
from .in_process import checked, parse_payload
from .late import advice
from .tally import loading, predicting, set_limit

SUBJECT = "direct call"


@dataclass(frozen=True)
class Direct:
    """What a direct call gave.

    Parameters
    ----------
    output : ndarray or dict of str to ndarray
        As `as_array` returns it.
    figures : Figures
        Of importing the author's code, loading its weights and predicting.
    load_seconds : float
        How much of that was before predicting.
    opened : set of Path
        The files in watched directories that it opened.
    advice : str
        What would make it quicker.
    """

    output: Arrays
    figures: Figures
    load_seconds: float
    opened: set[Path]
    advice: str = ""


def call_directly(
    package: Path,
    payload: Mapping[str, Any],
    files: ModelFiles | None = None,
    seconds: float | None = None,
    *,
    flags: Flags | None = None,
    watched: Sequence[Path] = (),
) -> Direct:
    """Return what the author's code in a package gives for a payload, called in a process of its own.

    Parameters
    ----------
    package : Path
        The directory with model_spec.py, model_code/ and model_data/.
    payload : mapping
        Its relative paths are relative to the working directory.
    files : ModelFiles, optional
        Of the MLflow Model that was made from the package, to whose contract the answer is then held; by default to
        that in model_spec.py.
    seconds : float, optional
        Time limit; by default TIME_LIMIT of model_spec.py.
    flags : Flags, optional
        Those of the packager, which override model_spec.py.
    watched : sequence of Path
        Directories.

    Raises
    ------
    StepError
        If the author's code raises (with its traceback), or the output does not fit.
    UsageError
        If the package is not as it should be, or the payload does not fit.
    """
    package = package.resolve()
    code, here = (package / "model_code", package / SPEC), Path.cwd()
    kept = read_only_places(payload, package / DATA, *code)
    child = partial(run_in_child, subject=SUBJECT, directory=here, code=code, seconds=seconds, scratch=True)
    return child(_predict, package, payload, files, flags or Flags(), watched, seconds, kept=kept)


def _predict(
    package: Path,
    payload: Mapping[str, Any],
    files: ModelFiles | None,
    flags: Flags,
    watched: Sequence[Path],
    seconds: float | None,
) -> Direct:
    start, imported = time.perf_counter(), frozenset(sys.modules)
    sys.path.append(str(package))
    with chdir(package), reported_reads(package):
        spec = read_spec(package, flags)
        model_class = load_model_class(spec.model_class, package)
    set_limit(seconds or spec.time_limit)
    if files is None:
        metadata = spec.metadata(model_class)
        files = ModelFiles(parse_signature(spec.signature, metadata=metadata), metadata=metadata)
    check_payload(payload, files.signature)
    data, params = _as_mlflow_hands_it(payload, spec.signature, files.signature)
    artifacts = _not_to_write(spec.artifacts)
    context = mlflow.pyfunc.PythonModelContext(artifacts=artifacts, model_config=dict(spec.model_config))
    model = model_class()
    with opened_in(watched) as opened:
        with loading():
            model.load_context(context)
        loaded = time.perf_counter()
        # MLflow lets authors leave out the context and the params.
        takes = inspect.signature(model.predict).parameters
        before = (context,) if "context" in takes else ()
        with predicting(data):
            output = model.predict(*before, data, **({"params": params} if "params" in takes else {}))
        figures = Figures(time.perf_counter() - start, peak_memory())
        quicker = advice(figures.seconds, package / "model_code", imported)
        return Direct(checked(output, files, payload, SUBJECT), figures, loaded - start, opened(), quicker)


def _not_to_write(artifacts: Mapping[str, Path]) -> dict[str, str]:
    """Return the paths of artifacts, or of copies where the system cannot keep the author's own from being changed."""
    others = [path for path in artifacts.values() if not is_held(path)]  # those of flags may lie anywhere
    places = artifacts if not others or hold(others) else {name: _copied(path) for name, path in artifacts.items()}
    return {name: str(path) for name, path in places.items()}


def _copied(path: Path) -> Path:
    copy = Path(tempfile.mkdtemp(), path.name)  # it is removed with what else this process leaves
    if path.is_dir():
        return Path(shutil.copytree(path, copy, copy_function=copy_file))
    copy_file(path, copy)
    return copy


class _HandsBack:
    """Stand where MLflow puts a model, and give back what a model would be given."""

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> tuple[Any, Mapping[str, Any] | None]:
        """Return the arguments."""
        return data, params


def _as_mlflow_hands_it(
    payload: Mapping[str, Any], declared: ModelSignature, signature: Signature
) -> tuple[Any, Mapping[str, Any] | None]:
    """Return the data and the params of a payload as MLflow's parsing and enforcement give them to predict."""
    entry = Model(signature=declared, flavors={mlflow.pyfunc.FLAVOR_NAME: {mlflow.pyfunc.MAIN: __name__}})
    stand_in = mlflow.pyfunc.PyFuncModel(entry, _HandsBack())
    data, params = stand_in.predict(parse_payload(payload, stand_in, signature), params=payload.get("params"))
    return data, params
