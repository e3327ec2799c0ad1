"""What many steps cost the engine alone, against doit with the same steps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from measuring import REPOSITORY, Figure, Run, alternate, ratio, run

DOIT = "doit==0.37.0"
STEPS, UNBUILT, MANY = 350, 300, 10_000
PIPELINE = """\
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
from engine import Step, build, status
count, goal, root = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
root.mkdir(exist_ok=True)
for number in range(count):
    place = root / f"in{{number}}"
    place.exists() or place.write_text("x")
steps = [Step(f"s{{n}}", f"cat in{{n}} > out{{n}}", [f"in{{n}}"], [f"out{{n}}"]) for n in range(count)]
result = status(steps, root=root) if goal == "status" else build(steps, root=root)
assert goal in ("status", "build") or result.up_to_date
assert all(outcome.error is None for outcome in result.outcomes)
"""
DODO = """\
from pathlib import Path
for number in range({count}):
    place = Path(f"in{{number}}")
    place.exists() or place.write_text("x")
DOIT_CONFIG = {{"verbosity": 0}}
def task_all():
    for n in range({count}):
        files = {{"file_dep": [f"in{{n}}"], "targets": [f"out{{n}}"]}}
        yield {{"name": f"s{{n}}", "actions": [f"cat in{{n}} > out{{n}}"], **files}}
"""


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory; a third of the rounds is enough for what takes seconds."""
    doit = install_doit(place)
    pipeline, dodo = place / "pipeline.py", place / "doit"
    pipeline.write_text(PIPELINE.format(scripts=str(REPOSITORY / "scripts")), encoding="utf-8")
    dodo.mkdir()
    (dodo / "dodo.py").write_text(DODO.format(count=STEPS), encoding="utf-8")

    def ours(count: int, goal: str, root: str) -> Run:
        return run([sys.executable, str(pipeline), str(count), goal, str(place / root)], place)

    def afresh(root: Path, way: partial[Run], *kept: str) -> Run:
        for path in root.iterdir() if root.is_dir() else ():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return way()

    theirs = partial(run, [doit], dodo)
    built = {
        "ours": partial(afresh, place / "built", partial(ours, STEPS, "build", "built")),
        "doit": partial(afresh, dodo, theirs, "dodo.py"),
    }
    full = alternate(built, max(3, rounds // 5))
    looked = {
        "nothing": partial(ours, STEPS, "nothing", "built"),
        "doit": theirs,
        "few": partial(ours, UNBUILT, "status", "few"),
        "more": partial(ours, 3 * UNBUILT, "status", "more"),
    }
    looks = alternate(looked, rounds)
    ours(MANY, "build", "many")
    return figures(full, looks, ours(MANY, "nothing", "many"))


def install_doit(place: Path) -> str:
    """Install doit in an environment of its own, and return its program."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode", DOIT], check=True)
    return str(python.with_name("doit"))


def figures(full: Mapping[str, Sequence[Run]], looks: Mapping[str, Sequence[Run]], many: Run) -> list[Figure]:
    return [
        Figure(f"no-op of {STEPS} steps / doit's", ratio(looks["nothing"], looks["doit"], "processor"), "x", 0.9,
               f"processor time; {DOIT}, the same steps: one file in, one out"),
        Figure(f"full build of {STEPS} trivial steps / doit's", ratio(full["ours"], full["doit"]), "x", 1.0,
               "one at a time"),
        Figure(f"looking at {3 * UNBUILT} unbuilt steps / at {UNBUILT}",
               ratio(looks["more"], looks["few"], "processor"), "x", 3.3, "processor time"),
        Figure(f"memory of a no-op of {MANY} steps", many.memory / 1e6, "MB", 200.0, "largest resident set"),
    ]  # fmt: skip
