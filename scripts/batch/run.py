"""Run a batch: read, decide, act, record."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from model_side.base.found import report_found
from model_side.base.named_files import named_file
from model_side.base.variables import receivers_environment, shared_processors
from model_side.model.model import ModelFiles, quiet_mlflow, read_model, whole_model
from model_side.model.settings import variables_of
from serving.rebuilt import rebuilt_environment

from .directory import Place, disk_fault, opened
from .inputs import Cohort, read_cohort
from .manifest import DONE, FAILED, INTERRUPTED, Journal, close_journal
from .model import model_digest, name_of, require_verified
from .plan import Made, Plan, make_plan
from .pool import Done, run_pool
from .progress import Progress
from .request import COMMAND, Request, format_of, read_params
from .worker import Crew, Unit

_SHORT = 300  # characters of an error in the manifest
_KEPT_INPUTS = 256  # that a worker can only read; the files of a larger cohort are compared before and after each
ERRORS = "errors.log"


def run_batch(request: Request) -> int:
    """Predict what is stale of a cohort, and return the exit code.

    Raises
    ------
    UsageError
        If the request, an input or the directory of outputs is not as it must be; nothing was written then.
    StepError
        If the model cannot be loaded, or the disk is full.
    """
    request = request.checked()
    if request.envelope:
        from .envelope import envelope

        _tell(request, envelope(Place(request.place()), request.model_uri), {"envelope": str(request.place())})
        return 0
    quiet_mlflow()
    files = read_model(request.model_uri)
    require_verified(request, files)
    if request.ray:
        from .cluster import require_reachable

        require_reachable(request.ray)
    params, form = read_params(request.params, files), format_of(request, files)
    needed = variables_of(files.metadata)
    receivers_environment(os.environ, needed)
    cohort = read_cohort(request, files)
    place = Place(request.place(), request.out if request.is_remote else "")
    identity = {"name": name_of(request.model_uri), "signature": _signature(files)}
    before = place.recorded()
    place.require_own(identity)
    with whole_model(request.model_uri) as model:
        digest, stamp = model_digest(model, place.read_header())
        made = Made(digest, params, json.dumps(params, sort_keys=True), form)
        plan = make_plan(place, cohort, made, only_failed=request.retry_failed)
        if request.dry_run or not plan.todo:
            return _nothing_run(request, plan, len(cohort.names))
        if request.ray:
            from .cluster import connected

            connected(request.ray)
        with opened(place, before):
            place.write_header(identity, digest, stamp)
            return _Run(request, place, cohort, made, plan).run(model, files)


def _signature(files: ModelFiles) -> str:
    signature = files.signature
    text = repr((signature.inputs, signature.outputs, signature.params))
    return sha256(text.encode()).hexdigest()


def _nothing_run(request: Request, plan: Plan, total: int) -> int:
    """Say what would run, or that nothing must."""
    found = {"total": total, "up_to_date": plan.fresh, "would_run": len(plan.todo), "reasons": dict(plan.reasons)}
    if plan.todo:
        lines = [f"would run {len(plan.todo)} of {total}:", *(f"  {n}: {why}" for why, n in plan.reasons.items())]
    else:
        lines = [f"nothing to do: {plan.fresh} of {total} are up to date"]
    ok = request.dry_run or plan.fresh == total
    _tell(request, lines, found, ok=ok)
    return 0 if ok else 1


def _tell(request: Request, lines: list[str], found: Mapping[str, Any], *, ok: bool = True) -> None:
    report_found(found)
    document = {"ok": ok, "models": [], "found": found}
    print(json.dumps(document, indent=2) if request.json else "\n".join(lines), flush=True)


class _Run:
    """One run over what is stale."""

    def __init__(self, request: Request, place: Place, cohort: Cohort, made: Made, plan: Plan) -> None:
        self._request, self._place, self._cohort, self._names = request, place, cohort, plan.names
        self._made, self._plan, self._kinds = made, plan, Counter[str]()
        self._progress = Progress(len(plan.todo))
        self._started = time.monotonic()

    def run(self, model: Path, files: ModelFiles) -> int:
        """Predict, record each unit as it ends, and make the manifest, also where it is interrupted."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._close()  # a killed run has left its journal
        try:
            with closing(Journal(self._place.journal)) as journal, self._progress:
                for done in self._results(model, files):
                    if done:
                        self._record(journal, done)
                    self._progress.show()
        except KeyboardInterrupt:
            again = shlex.join([arg for arg in self._command() if arg])
            left = self._progress.total - self._progress.done - self._progress.failed
            print(f"interrupted: what is done is kept, {left} are left; to go on:\n  {again}", file=sys.stderr)
            raise
        finally:
            manifest = self._close()
            if manifest and self._place.uri:
                self._place.publish(_copy(manifest, self._place.parts), manifest.name)
        return self._end(manifest)

    def _close(self) -> Path | None:
        try:
            return close_journal(self._place.root, self._place.journal, self._request.manifest_format)
        except OSError as error:
            raise disk_fault(self._place, error) from error

    def _command(self) -> list[str]:
        """Return the words of this command, as they were given."""
        words: list[str] = json.loads(os.environ.get(COMMAND, "[]"))
        return words or [Path(sys.executable).name, *sys.argv]

    def _results(self, model: Path, files: ModelFiles) -> Iterator[Done | None]:
        count = min(self._request.workers or len(os.sched_getaffinity(0)), len(self._plan.todo))
        if self._request.ray:
            from .cluster import run_cluster

            return run_cluster(self._request, self._place, model, files, self._made.form, self._units())
        environment = rebuilt_environment(model, os.environ)
        format_of(self._request, files, environment.distributions)
        environment = replace(environment, share=shared_processors(count, os.environ))
        variables = receivers_environment(os.environ, variables_of(files.metadata))
        hidden, seconds = self._place.hidden, self._request.time_limit
        crew = Crew(model.absolute(), environment, variables, self._made.form, hidden, seconds, self._kept(model))
        return run_pool(crew, self._units(), count)

    def _kept(self, model: Path) -> tuple[str, ...]:
        """Return what a worker can only read."""
        names = self._cohort.names if self._cohort.alone and len(self._cohort.names) <= _KEPT_INPUTS else ()
        paths = [named.path for name in names if (named := named_file(name))]
        return (str(model.absolute()), *map(str, paths))

    def _units(self) -> Iterator[Unit]:
        params = {"params": dict(self._made.params)} if self._made.params else {}
        for number in self._plan.todo:
            payload = {**self._cohort.payload(number), **params}
            part = str(self._place.parts / str(number))
            yield Unit(number, {"payload": payload, "part": part, "alone": self._cohort.alone})

    def _record(self, journal: Journal, done: Done) -> None:
        try:
            if "error" not in done.answer:  # a kill between the output and its row must not make it a stranger's file
                name = self._cohort.names[done.number]
                journal.append({"input": name, "output": self._names[done.number], "status": INTERRUPTED})
            journal.append(self._row(done))
        except OSError as error:
            raise disk_fault(self._place, error) from error

    def _row(self, done: Done) -> dict[str, Any]:
        """Publish an output, and return what is recorded of its unit."""
        name, answer = self._names[done.number], done.answer
        if answer.get("kind") == "disk":
            raise disk_fault(self._place, OSError(answer["error"]))
        row = {"input": self._cohort.names[done.number], "output": name, "worker": done.worker}
        row |= {"model": self._made.digest, "params": self._made.params_text, "format": self._made.form}
        if ok := "error" not in answer:
            stamp = self._place.publish(self._place.parts / str(done.number), name)
            row |= {**answer, "status": DONE, "output_stamp": stamp, "key": self._made.key(answer["fingerprint"])}
        else:
            self._log(row["input"], answer)
            self._kinds[answer["kind"]] += 1
            row |= {"status": FAILED, "kind": answer["kind"], "error": " ".join(answer["error"].split())[:_SHORT]}
        self._progress.count(ok=ok, memory=answer.get("peak_memory", 0))
        return row

    def _log(self, name: str, answer: Mapping[str, Any]) -> None:
        with (self._place.root / ERRORS).open("a", encoding="utf-8") as stream:
            stream.write(f"== {name}\n{answer['error']}\n{answer['traceback']}\n\n")

    def _end(self, manifest: Path | None) -> int:
        progress, plan = self._progress, self._plan
        ok, kinds = not progress.failed, dict(self._kinds.most_common())
        seconds = round(time.monotonic() - self._started, 3)
        found = {"total": len(self._cohort.names), "done": progress.done, "failed": progress.failed, "kinds": kinds}
        found |= {"up_to_date": plan.fresh, "reasons": dict(plan.reasons), "seconds": seconds}
        found |= {"peak_memory": progress.memory, "manifest": str(manifest)}
        lines = [
            f"{progress.done} done, {progress.failed} failed, {plan.fresh} up to date, {seconds:.1f} s; {manifest}"
        ]
        if kinds:
            width = max(map(len, kinds))
            lines += ["", f"{'failed by':<{width}}  units", *(f"{kind:<{width}}  {n}" for kind, n in kinds.items())]
            lines += [f"{self._place.root / ERRORS} has the tracebacks; --retry-failed tries these units again"]
        _tell(self._request, lines, found, ok=ok)
        return 0 if ok else 1


def _copy(manifest: Path, parts: Path) -> Path:
    copy = parts / manifest.name
    copy.write_bytes(manifest.read_bytes())
    return copy
