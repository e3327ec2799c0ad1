"""What model_spec.py reads beside itself is told to the pipeline, whatever way it is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .conftest import FLAGS, Author

SPEC = """
import csv, json, os, sqlite3, subprocess, sys
from pathlib import Path
HERE = Path(__file__).parent
sys.path.append(str(HERE))
TAGS = {{"unit": json.loads((HERE / "tags.json").read_text())["unit"]}}
import beside.units
sys.path.append("..")
import shared_columns
rows = [list(csv.reader(path.open())) for path in sorted((HERE / "rows").glob("*.csv"))]
override = HERE / "override.json"
try:
    override.read_text()
except FileNotFoundError:
    pass
with sqlite3.connect(HERE / "genes.db") as genes:
    genes.execute("select 1")
subprocess.run(["cp", HERE / "rows" / "deep" / "by_c.h5", HERE / "copied.h5"], check=True)
(HERE / "written.txt").write_text("by the spec")
(HERE / "written.txt").read_text()
Path({elsewhere!r}).read_text()
open("/etc/hostname").close()
def CHECKS(example, params, output):
    (HERE / "expected.txt").read_text()
"""
READ = ["../elsewhere/big.txt", "../shared_columns.py", "beside/__init__.py", "beside/units.py", "expected.txt",
        "genes.db", "override.json", "rows", "rows/a.csv", "rows/deep/by_c.h5", "tags.json"]  # fmt: skip


def test_what_the_spec_opens_lists_and_imports_is_told_to_the_pipeline(author: Author, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "big.txt"
    places = {"tags.json": '{"unit": "UMI"}', "rows/a.csv": "1,2\n", "beside/__init__.py": "", "expected.txt": "1"}
    places |= {"rows/deep/by_c.h5": "", "rows/deep/not_read.h5": ""}
    places |= {"beside/units.py": "", "genes.db": "", "../shared_columns.py": ""}
    for name, text in places.items():
        (author.root / name).parent.mkdir(exist_ok=True)
        (author.root / name).write_text(text)
    elsewhere.parent.mkdir()
    elsewhere.write_text("x")
    author.declare(SPEC.format(elsewhere=str(elsewhere)))
    found = tmp_path / "found.json"
    for _ in range(2):  # with bytecode that is there, too
        found.unlink(missing_ok=True)
        assert author.package(*FLAGS, STEP_FOUND=str(found)).returncode == 0
        assert json.loads(found.read_text())["inputs"] == READ
        command = [sys.executable, "-m", "compileall", "-q", str(author.root / "beside")]
        subprocess.run(command, check=True)


def test_nothing_is_told_when_the_spec_reads_nothing_beside_itself(author: Author, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    assert author.package(*FLAGS, STEP_FOUND=str(found)).returncode == 0
    assert "inputs" not in json.loads(found.read_text())
