"""Two predictions of one input that differ: further predictions show why, and the message says it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model_side.run import clock
from tests.archetypes.conftest import write

from .conftest import BODIES, FLAGS, Author

CLOCK = ("The answer follows the clock", "mtime=0")
STATE = ("A new process gives the first answer again", "a call changes what later ones read")
RANDOM = ("A new process gives another answer, too: seed what is random",)
ONE = "np.ones((len(input_obj), 4), 'float32')"
SEEDED = "self.random = np.random.default_rng(0)\n        "
CAUSES = {
    "the hour, by datetime": ("", f"import datetime; return {ONE} * np.float32(datetime.datetime.now().hour)", CLOCK),
    "the day, by a name taken from time": ("", f"from time import strftime; return {ONE} * np.float32(strftime('%d'))",
                                           CLOCK),
    "the day, by pandas": ("", f"import pandas; return {ONE} * np.float32(pandas.Timestamp.now().day)", CLOCK),
    "an attribute of the class": (
        "", f"kind = type(self); kind.calls = getattr(kind, 'calls', 0) + 1; return {ONE} * np.float32(kind.calls)",
        STATE),
    "a list of the module": ("", f"KEPT.append(0); return {ONE} * np.float32(len(KEPT))", STATE),
    "a generator that is seeded once": (SEEDED, f"return {ONE} * np.float32(self.random.random())", STATE),
    "numbers of numpy's own": ("", f"return {ONE} * np.float32(np.random.random())", RANDOM),
    "random numbers": ("", f"return {ONE} * np.float32(np.random.default_rng().random())", RANDOM),
}  # fmt: skip


@pytest.mark.parametrize(("load", "forward", "words"), CAUSES.values(), ids=CAUSES)
def test_cause_is_told_when_the_second_prediction_differs_by(
    author: Author, load: str, forward: str, words: tuple[str, ...]
) -> None:
    author.replace("import numpy as np\n", "import numpy as np\n\nKEPT = []\n")
    author.replace(BODIES["load_context"], load + BODIES["load_context"])
    author.replace(BODIES["_forward"], forward)
    done = author.package(*FLAGS)
    assert done.returncode == 1
    assert "predict: two predictions of one input differ:\n  [0, 0]: expected " in done.stderr
    assert [each for each in (CLOCK, STATE, RANDOM) if each[0] in done.stderr] == [words]
    assert all(word in done.stderr for word in words)
    assert not author.model.exists()


STAMPED = {
    "a .gz": "import gzip; stream = gzip.open(output_path, 'wb'); stream.write(b'x'); stream.close()",
    "a .zip": "import zipfile\n        with zipfile.ZipFile(output_path, 'w') as file:\n"
    "            file.writestr('x', 'x')",
    "a line of text": "import datetime; open(output_path, 'w').write(str(datetime.date.today()))",
}


@pytest.mark.parametrize("forward", STAMPED.values(), ids=STAMPED)
def test_clock_is_told_as_the_cause_of_a_time_stamp_in(tmp_path: Path, forward: str) -> None:
    done = write(tmp_path, "file_uri_to_file", _forward=forward).package()
    assert done.returncode == 1
    assert all(word in done.stderr for word in CLOCK)


def test_seconds_that_c_code_writes_into_a_file_differ_and_are_told_among_the_causes(tmp_path: Path) -> None:
    forward = "import numpy as np; np.save(open(output_path, 'wb'), np.datetime64('now'))"
    done = write(tmp_path, "file_uri_to_file", _forward=forward).package()
    assert done.returncode == 1
    assert all(word in done.stderr for word in (*RANDOM, "let no time of day into it", "track_times=False"))


def test_result_file_is_fine_when_it_holds_no_time(tmp_path: Path) -> None:
    forward = "import gzip; stream = gzip.GzipFile(output_path, 'wb', mtime=0); stream.write(b'x'); stream.close()"
    assert write(tmp_path, "file_uri_to_file", _forward=forward).package().returncode == 0


READING = """
import datetime, logging, pickle, time
from model_side.run.clock import movable_clock
began, clock = time.time(), movable_clock()
from time import time as taken, time_ns
class Kept:
    asks, parts = time.time, time.localtime
def seconds():
    readings = [taken(), Kept().asks(), time_ns() / 1e9, datetime.datetime.now().timestamp(),
                datetime.datetime.now(datetime.UTC).timestamp(), datetime.datetime.today().timestamp(),
                datetime.datetime.utcnow().replace(tzinfo=datetime.UTC).timestamp(), time.mktime(Kept().parts()),
                time.mktime(time.strptime(time.ctime())), time.mktime(time.strptime(time.asctime())),
                float(time.strftime("%s"))]
    return {round((each - began) / 100) * 100 for each in readings}
print(seconds())
clock.ahead = 90_000
print(seconds(), (datetime.date.today() - datetime.date.fromtimestamp(began)).days > 0)
clock.turn_to(began + 7_000)
print(seconds())
print(pickle.loads(pickle.dumps(time.time)) is time.time, time.localtime(0).tm_year, type(datetime.datetime.now()))
"""


def test_clock_is_moved_however_python_code_reads_it() -> None:
    scripts = Path(clock.__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", READING]
    done = subprocess.run(command, cwd=scripts, capture_output=True, text=True, check=False)
    said = ["{0}", "{90000} True", "{7000}", "True 1970 <class 'datetime.datetime'>"]
    assert done.stdout.splitlines() == said, done.stderr
