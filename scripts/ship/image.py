"""A build context for a container that serves a verified package: Dockerfile, requirements, weights, the rest."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from model_side.base.directories import make_work_directory
from model_side.base.errors import UsageError
from model_side.base.files import copy_file, read_text
from model_side.base.found import report_found
from model_side.model.manifest import MANIFEST
from model_side.model.requirements import REQUIREMENTS, UV_TOML

from .facts import Facts, read_facts

ARTIFACTS, MADE = "artifacts", "# Made by the task image; sha256 of what follows: "
_LOCKED = (REQUIREMENTS, "constraints.txt", UV_TOML)
_IGNORED = "**\n!Dockerfile\n!requirements.txt\n!constraints.txt\n!uv.toml\n!weights\n!model\n**/__pycache__\n"


def write_image(package: Path, target: Path) -> None:
    """Write a build context for docker, podman or buildah.

    Parameters
    ----------
    package : Path
        Its directory.
    target : Path
        The new directory; one that this made before is replaced.

    Raises
    ------
    UsageError
        If the package is not verified, or the directory holds something else, or an edited Dockerfile.
    """
    facts, target = read_facts(package), target.resolve()
    _require_own(target)
    part = make_work_directory(target)
    try:
        _fill(part, facts)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{target}: serves {facts.digest}; for example: podman build --tag {facts.name} {shlex.quote(str(target))}")
    report_found({"digest": facts.digest, "context": str(target)})


def _require_own(target: Path) -> None:
    if not target.exists():
        return
    first, _, rest = read_text(target / "Dockerfile").partition("\n") if (target / "Dockerfile").is_file() else [""] * 3
    if first != f"{MADE}{_sha256(rest)}":
        advice = "Move it away, or give another --output-path."
        raise UsageError(str(target), "not as the task image made it: it may hold work of yours", advice=advice)


def _fill(part: Path, facts: Facts) -> None:
    for name in (*facts.manifest["files"], MANIFEST):
        top, _, rest = name.partition("/")
        place = part / "weights" / rest if top == ARTIFACTS else part / "model" / name
        if name.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            copy_file(facts.model / name, place)
    (part / "weights").mkdir(exist_ok=True)
    files = [name for name in _LOCKED if (facts.model / name).is_file()]
    for name in files:
        shutil.copyfile(facts.model / name, part / name)
    text = _dockerfile(facts, files)
    (part / "Dockerfile").write_text(f"{MADE}{_sha256(text)}\n{text}", encoding="utf-8")
    (part / ".dockerignore").write_text(_IGNORED, encoding="utf-8")


def _dockerfile(facts: Facts, files: list[str]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    flags = " --require-hashes" if "--hash=" in read_text(facts.model / REQUIREMENTS) else ""
    flags += " --constraints constraints.txt" if "constraints.txt" in files else ""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("Dockerfile.jinja").render(
        title=facts.name,
        digest=facts.digest,
        variables=facts.variables,
        python=facts.manifest["python"],
        uv=facts.manifest["uv"],
        files=files,
        flags=flags,
        labels=list(_labels(facts)),
    )


def _labels(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the annotations of the OCI image specification that are known, quoted."""
    known = {
        "title": facts.name,
        "description": facts.about["description"],
        "licenses": facts.about["license"],
        "version": facts.digest,
        "revision": facts.manifest.get("source_commit") or "",
        "created": facts.verified_at.isoformat(timespec="seconds"),
    }
    for name, value in known.items():
        if value:
            yield name, json.dumps(" ".join(value.split()), ensure_ascii=False).replace("$", "\\$")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
