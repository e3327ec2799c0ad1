"""The server: who answers, what it refuses, and that it never outlives its block or its starter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from model_side.base.errors import StepError, UsageError
from model_side.base.processes import running, runs_still
from model_side.model.signature import parse_signature
from model_side.payload.negatives import Negative, negative_payloads
from serving.answering import listener, require_environment
from serving.asking import Request, ask, questions
from serving.predict import Where, predict_rebuilt
from serving.rebuilt import Rebuilt, rebuilt_environment
from serving.rest import of_each_kind, rest_route, status_of
from serving.sandbox.leash import Limits, allows, end, leashed, require_none_left
from serving.server import Server, serving

from .conftest import PINS, uri_to_pair

CODE = '''
import atexit
import multiprocessing
import os
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Echo(PythonModel):
    """Do what the URI says."""

    calls = 0

    def load_context(self, context):
        if os.environ.get("BREAK_THE_MODEL"):
            raise RuntimeError("no weights here")
        if os.environ.get("KILL_THE_MODEL"):
            os.kill(os.getpid(), 9)
        if os.environ.get("HOLD_THE_MODEL"):
            threading.Event().wait()

    def predict(self, context, model_input, params=None):
        self.calls += 1
        uri = str(model_input["uri"].iloc[0])
        if uri == "bad":
            raise ValueError("cannot open it")
        if uri == "end":
            os._exit(3)
        if uri == "hold":
            threading.Event().wait()
        if uri.startswith("shared"):
            own = self.lengths = model_input["uri"].str.len().to_numpy("float32")
            until = time.monotonic() + 1
            while self.lengths is own and time.monotonic() < until:  # another thread writes, on a busy machine, too
                threading.Event().wait(0.01)
            return np.repeat(self.lengths[:, None], 2, axis=1)
        if uri.startswith("ranked"):
            return np.repeat(np.arange(len(model_input), dtype="float32")[:, None], 2, axis=1)
        if uri.startswith("cohort") and "".join(model_input["uri"].str[-1]) != "abc":
            raise ValueError("three samples, in order")
        if uri == "leave":
            subprocess.Popen(["sleep", "600"], start_new_session=True)
        if uri == "keep":
            Echo.kept = [ProcessPoolExecutor(1), ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))]
            assert [pool.submit(len, "ab").result() for pool in Echo.kept] == [2, 2]
            Echo.kept += [multiprocessing.Pool(1), helper := subprocess.Popen(["sleep", "600"])]
            atexit.register(helper.wait), atexit.register(helper.kill)
        if uri == "kill":
            os.kill(os.getpid(), 9)
        return np.full((len(model_input), 2), float(self.calls if uri == "count" else 0.5), "float32")


set_model(Echo())
'''
SHARED = ["shared 1", "shared 22", "shared 333"]
CHILD = "import os, threading; os.write(1, b'up'); threading.Event().wait()"


def started(code: str) -> subprocess.Popen[bytes]:
    return leashed([sys.executable, "-c", code], os.environ)


def test_whole_group_ends_when_the_other_end_of_the_leash_is_closed() -> None:
    with started(CHILD) as process:
        assert process.stdout
        assert process.stdout.read(2) == b"up"
        assert process.stdin
        process.stdin.close()  # as the kernel does when its holder is killed
        assert process.stdout.read() == b""  # the command held this pipe: it is gone
    assert process.returncode == -9


DEEP = """
import faulthandler, os, threading
faulthandler.enable(all_threads=True)
def deep(left):
    if left:
        deep(left - 1)
    else:
        os.write(1, b"up\\n")
        threading.Event().wait()
for _ in range(5):
    threading.Thread(target=deep, args=[90]).start()
"""
THREE = """
import subprocess, sys
for each in [subprocess.Popen([sys.executable, "-c", sys.argv[1]]) for _ in range(3)]:
    each.wait()
"""


def test_processes_that_are_ended_say_where_they_are_one_after_the_other(tmp_path: Path) -> None:
    with leashed([sys.executable, "-c", THREE, DEEP], os.environ) as process:
        assert process.stdout
        for _ in range(3 * 5):
            assert process.stdout.readline() == b"up\n"
        end(process)
        lines = process.stdout.read().decode().splitlines()
    frames = [line for line in lines if line.endswith(" in deep")]
    assert len(frames) == 3 * 5 * 91
    assert len(set(frames)) == 2


LEAVING = """
import subprocess, sys
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
"""


def test_process_that_leaves_for_a_session_of_its_own_is_ended_and_named() -> None:
    with started(LEAVING) as process:
        assert process.stdout
        left, said = process.stdout.read().decode().splitlines()  # it ends, though what is left held it, too
    assert (process.returncode, said) == (0, "it left processes behind: sleep")
    assert not runs_still(int(left), 0)
    with pytest.raises(StepError, match="predict: it left processes behind: sleep"):
        require_none_left([said], "predict")


@pytest.mark.parametrize(
    ("code", "returned"),
    [
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.abort()", -6),
        ("import ctypes; ctypes.string_at(0)", -11),
    ],
)
def test_leash_passes_on_how_the_command_ended(code: str, returned: int) -> None:
    with started(code) as process:
        assert process.wait() == returned


LOOPBACK = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print("loopback")
try:
    socket.create_connection(("192.0.2.1", 9), timeout=5)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(not allows(Limits(offline=True)), reason="this system has no namespaces for users")
def test_command_has_no_network_but_its_loopback_when_it_is_offline() -> None:
    command = [sys.executable, "-c", LOOPBACK]
    with leashed(command, os.environ, limits=Limits(offline=True)) as process:
        assert process.stdout
        assert process.stdout.read().decode().split("\n") == ["loopback", "Network is unreachable", ""]
    assert process.returncode == 0


LOOKING = """
import os, sys, tempfile
given, one, hidden = sys.argv[1:]
print(os.listdir(given), os.path.exists(hidden), open(one).read(), end=" ")
print(sorted(os.listdir(os.path.dirname(one))), os.listdir(os.environ["HOME"]), os.getcwd() == given)
open(os.path.join(given, "made.txt"), "w").write("x")
tempfile.mkstemp()
"""


@pytest.mark.skipif(not allows(Limits(only=("/usr",))), reason="this system has no namespaces for users")
def test_command_has_no_files_but_the_systems_and_those_that_it_is_given(tmp_path: Path) -> None:
    given, home = tmp_path / "real" / "given", tmp_path / "home"
    for directory in (given, home):
        directory.mkdir(parents=True)
        (directory / "here.txt").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(given)
    (tmp_path / "one:1.txt").write_text("one", encoding="utf-8")
    os.utime(given / "here.txt", (9, 9))
    python = Path(sys.base_prefix)
    command = [
        str(python / "bin" / "python3"),
        "-c",
        LOOKING,
        *map(str, (tmp_path / "link", tmp_path / "one:1.txt", home / "here.txt")),
    ]
    variables = {"HOME": str(home), "TMPDIR": str(tmp_path / "scratch")}
    only = (tmp_path / "link", given / "here.txt", tmp_path / "one:1.txt", python)
    with leashed(command, variables, directory=given, limits=Limits(only=tuple(map(str, only)))) as process:
        assert process.stdout
        said = process.stdout.read().decode()
    assert (process.returncode, said) == (
        0,
        "['here.txt'] False one ['home', 'link', 'one:1.txt', 'real', 'scratch'] [] False\n",
    )
    assert sorted(path.name for path in given.iterdir()) == ["here.txt", "made.txt"]
    assert (given / "here.txt").stat().st_mtime == 9
    assert not (tmp_path / "scratch").exists()


KEEPING = """
import os, sys
for name in sys.argv[1:]:
    for file in (f"{name}/here.txt", f"{name}/new.txt"):
        try:
            open(file, "a").write("x")
            print("wrote")
        except OSError as error:
            print(error.strerror)
"""
REFUSED = "Read-only file system"


@pytest.mark.skipif(not allows(Limits(only=("/usr",))), reason="this system has no namespaces for users")
@pytest.mark.parametrize("apart", [False, True])
def test_command_can_only_read_what_is_kept_and_what_is_shown_elsewhere(tmp_path: Path, *, apart: bool) -> None:
    given, other, place = (tmp_path / name for name in ("given", "other", "place"))
    for directory in (given, other, place):
        directory.mkdir()
    for directory in (given, other):
        (directory / "here.txt").write_text("x", encoding="utf-8")
    python = Path(sys.base_prefix)
    only = (str(other), str(place), str(tmp_path), str(python)) if apart else ()
    limits = Limits(only=only, kept=(str(given), str(given / "here.txt")), moved=((str(given), str(place)),) * apart)
    command = [str(python / "bin" / "python3"), "-c", KEEPING, str(given), str(other), *([str(place)] if apart else [])]
    with leashed(command, os.environ, directory=other, limits=limits) as process:
        assert process.stdout
        said = process.stdout.read().decode().splitlines()
    assert said == [REFUSED, REFUSED, "wrote", "wrote", *([REFUSED, REFUSED] if apart else [])]
    assert [path.name for path in (*given.iterdir(), *place.iterdir())] == ["here.txt"]
    assert (given / "here.txt").read_text(encoding="utf-8") == "x"


LISTENING = """
import os, signal, socket, sys
port = socket.create_server(("127.0.0.1", 0))
signal.signal(signal.SIGINT, lambda *_: {when_asked})
print(port.getsockname()[1], flush=True)
while True:
    signal.pause()
"""
# Asked to end, one does; the other presses Ctrl-C once more on whoever stops it.
WILLING, STUBBORN = "os._exit(0)", "os.kill(int(sys.argv[1]), signal.SIGINT)"
STOPPING = """
import os, subprocess, sys
{system}
from serving.sandbox.leash import leashed
from serving.server import Server
from model_side.base.processes import running
command = [sys.executable, "-c", {server!r}, str(os.getpid())]
process = leashed(command, os.environ)
try:
    Server(int(process.stdout.readline()), process, None).stop()
except KeyboardInterrupt:
    print("interrupted")
print("left:", running(process.pid))
"""
# It opens and closes files all the time, as a server does its connections.
BUSY = """
import os, socket
port = socket.create_server(("127.0.0.1", 0))
print(port.getsockname()[1], flush=True)
while True:
    for number in [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]:
        os.close(number)
"""


def test_listener_is_found_while_it_opens_and_closes_other_files() -> None:
    with started(BUSY) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        found = {listener(port, process.pid) for _ in range(50)}
        os.killpg(process.pid, 9)
    assert len(found) == 1
    assert None not in found


REFUSE = "def refuse(*_): raise {error}\nos.pidfd_open = refuse"
SYSTEMS = {"any": "", "without": "del os.pidfd_open", "forbidden": REFUSE.format(error="PermissionError(1, 'no')")}


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS.keys())
@pytest.mark.parametrize(("when_asked", "said"), [(WILLING, ""), (STUBBORN, "interrupted\n")])
def test_whole_group_is_gone_after_stopping_whatever_the_system_has(system: str, when_asked: str, said: str) -> None:
    code = STOPPING.format(system=system, server=LISTENING.format(when_asked=when_asked))
    scripts = str(Path(__file__).resolve().parents[2] / "scripts")
    variables = {**os.environ, "PYTHONPATH": scripts}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"{said}left: []\n", 0), done.stderr


COLUMN, TENSOR = {"type": "string", "name": "uri"}, {"dtype": "float32", "shape": [-1, 3]}
KINDS = {
    "columns": ([COLUMN], {"inputs": {"uri": ["a"]}}, ["missing-uri", "number-uri", "unknown-column"]),
    "a tensor": (
        [{"type": "tensor", "tensor-spec": TENSOR}],
        {"inputs": [[1.0, 2.0, 3.0]]},
        ["data-null", "text-0", "too-wide-0"],
    ),
    "named tensors": (
        [{"type": "tensor", "name": "x", "tensor-spec": TENSOR}],
        {"inputs": {"x": [[1.0, 2.0, 3.0]]}},
        ["missing-x", "text-x", "unknown-column"],
    ),
    "a type hint": ([{"type": "string"}], {"inputs": ["a"]}, ["data-null", "number-0", "unknown-key"]),
}


@pytest.mark.parametrize(("inputs", "payload", "names"), KINDS.values(), ids=KINDS)
def test_four_kinds_of_payloads_that_must_be_refused_are_sent(
    inputs: list[dict[str, Any]], payload: dict[str, Any], names: list[str]
) -> None:
    param = {"name": "k", "type": "double", "default": 0.5, "shape": None}
    declared = {"inputs": json.dumps(inputs), "params": json.dumps([param])}
    signature = parse_signature(declared, from_type_hint=inputs == [{"type": "string"}])
    chosen = [each.name for each in of_each_kind(negative_payloads(payload, signature))]
    assert chosen == ["no-data", *names]


@pytest.fixture(scope="module")
def model(save_model: Callable[..., Path]) -> Path:
    return save_model("over_rest", uri_to_pair(), CODE, pip_requirements=PINS, metadata={"rows_match": True})


@pytest.fixture(scope="module")
def environment(model: Path) -> Rebuilt:
    return rebuilt_environment(model, os.environ)


@pytest.fixture(scope="module")
def server(model: Path, environment: Rebuilt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(str(model), environment, tmp_path_factory.mktemp("server") / "log", os.environ) as server:
        server.wait_until_up(120)
        yield server
    assert running(server.process.pid) == []


@pytest.fixture
def request_of(model: Path, tmp_path: Path) -> Callable[..., Request]:
    """Return a function that makes a request with some URIs."""

    def make(*uris: str) -> Request:
        payload = {"dataframe_split": {"columns": ["uri"], "data": [[uri] for uri in uris]}}
        path = tmp_path / "payload.json"
        path.write_text(json.dumps(payload), encoding="utf-8")
        return Request(str(model), path, tmp_path / "answer.json", parallel=3, time_limit=60.0)

    return make


pytestmark = pytest.mark.xdist_group("serving")


@pytest.mark.e2e
def test_report_tells_who_answered_and_what_was_let_through(
    server: Server, environment: Rebuilt, request_of: Callable[..., Request]
) -> None:
    answer, report = rest_route(server, environment, request_of("a"))
    assert json.loads(answer.text) == {"predictions": [[0.5, 0.5]]}
    assert report["answered_by"] == {
        "interpreter": "bin/python",
        "sys.prefix": "the rebuilt environment",
        "python": environment.recipe.python,
        "mlflow": version("mlflow-skinny"),
    }
    assert report["refused"] == {"no-data": 400, "missing-uri": 400}
    assert report["coerced"] == {  # MLflow makes a text of the number, and drops the column
        "number-uri": 'number in "uri"',
        "unknown-column": "a column that the model does not have",
    }
    assert report["equal_answers_at_once"] == 3
    assert answer.figures.seconds > 0
    assert answer.figures.peak_memory > 50 * 2**20  # mlflow itself


@pytest.mark.e2e
def test_slow_model_gets_two_requests_at_once(
    server: Server, environment: Rebuilt, request_of: Callable[..., Request]
) -> None:
    request = request_of("a")
    metadata = {**request.files.metadata, "verification": {"budget": 0}}  # every answer takes longer
    request.__dict__["files"] = replace(request.files, metadata=metadata)
    _, report = rest_route(server, environment, request)
    assert report["equal_answers_at_once"] == 2
    assert report["known_to_be_coerced"].keys() == {"number-uri", "unknown-column"}
    assert (report["refused"], report["coerced"]) == ({"no-data": 400, "missing-uri": 400}, {})
    asked_in_full = replace(request, full=True, slow=True)
    asked_in_full.__dict__["files"] = request.files
    _, report = rest_route(server, environment, asked_in_full)
    assert (report["equal_answers_at_once"], report["known_to_be_coerced"]) == (3, {})
    assert report["coerced"].keys() == {"number-uri", "unknown-column"}


@pytest.mark.e2e
def test_slow_model_is_asked_twice_over_rest_and_a_third_time_where_the_two_differ(
    server: Server,
    environment: Rebuilt,
    request_of: Callable[..., Request],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = tmp_path / "found.json"
    monkeypatch.setenv("STEP_FOUND", str(found))
    answer, report = rest_route(server, environment, replace(request_of("a"), slow=True))
    assert json.loads(answer.text) == {"predictions": [[0.5, 0.5]]}
    assert (json.loads(found.read_text())["predictions"], report["equal_answers_at_once"]) == (2, 2)
    with pytest.raises(StepError, match="2 of 2 answers given at once differ from those given alone"):
        rest_route(server, environment, replace(request_of("count"), slow=True))
    assert json.loads(found.read_text())["predictions"] == 2 + 3


@pytest.mark.e2e
def test_answer_is_refused_when_another_environment_gives_it(
    server: Server, environment: Rebuilt, tmp_path: Path
) -> None:
    pid = listener(server.port, server.process.pid)
    assert require_environment(pid, environment) == "bin/python"
    with pytest.raises(StepError, match=rf"wrong environment: expected {tmp_path}, got {environment.path}"):
        require_environment(pid, replace(environment, path=tmp_path))
    assert listener(server.port, os.getsid(0)) is None
    with pytest.raises(StepError, match="another process answers on its port"):
        require_environment(None, environment)


@pytest.mark.e2e
def test_models_own_fault_is_told_and_the_server_stays(server: Server, request_of: Callable[..., Request]) -> None:
    with pytest.raises(StepError, match="the payload was refused: expected status 200, got status 400"):
        ask(server, request_of("bad"))
    assert json.loads(ask(server, request_of("a"))) == {"predictions": [[0.5, 0.5]]}


@pytest.mark.e2e
@pytest.mark.parametrize(("uris", "slow"), [(["count"], False), (SHARED, False), (SHARED, True)])
def test_answers_at_once_that_differ_from_those_given_alone_are_shown_and_kept(
    server: Server,
    environment: Rebuilt,
    request_of: Callable[..., Request],
    tmp_path: Path,
    uris: list[str],
    *,
    slow: bool,
) -> None:
    request = replace(request_of(*uris), rest_output=tmp_path / "rest.json", slow=slow)
    with pytest.raises(StepError, match=r"of [23] answers given at once differ from those given alone:\n  .*expected"):
        rest_route(server, environment, request)
    kept = [json.loads((tmp_path / "rest.failed" / name).read_text()) for name in ("expected.json", "got.json")]
    assert kept[0] != kept[1]


@pytest.mark.e2e
@pytest.mark.parametrize(("slow", "asked"), [(False, None), (True, 2 + 2)])
def test_requests_at_once_are_each_for_other_rows_and_compared_with_their_own_answer(
    server: Server,
    environment: Rebuilt,
    request_of: Callable[..., Request],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    slow: bool,
    asked: int | None,
) -> None:
    found = tmp_path / "found.json"
    monkeypatch.setenv("STEP_FOUND", str(found))
    request = replace(request_of("ranked a", "ranked b", "ranked c"), slow=slow)  # its rows are not each for itself
    assert [each.rows for each in questions(request, 5)] == [(), (2, 1, 0), (0,), (2,), ()]
    answer, report = rest_route(server, environment, request)
    assert json.loads(answer.text) == {"predictions": [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]}
    assert report["other_rows_at_once"]
    predictions = json.loads(found.read_text())["predictions"]
    assert predictions == asked or (asked is None and predictions > 1 + 2 + 3)  # alone, the others, and rounds


@pytest.mark.e2e
@pytest.mark.parametrize("slow", [False, True])
def test_rows_that_are_refused_alone_are_not_asked_for_at_once_where_rows_need_not_hold(
    server: Server, environment: Rebuilt, request_of: Callable[..., Request], *, slow: bool
) -> None:
    request = replace(request_of("cohort a", "cohort b", "cohort c"), slow=slow)
    if slow:
        with pytest.raises(StepError, match="REST: a request for rows 2, 1, 0 of the payload was refused"):
            rest_route(server, environment, request)
    metadata = {**request.files.metadata, "verification": {"rows": "it takes a whole cohort"}}
    request.__dict__["files"] = replace(request.files, metadata=metadata)
    _, report = rest_route(server, environment, request)
    assert (report["equal_answers_at_once"], report["other_rows_at_once"]) == (2 if slow else 3, False)


@pytest.mark.e2e
def test_port_is_refused_at_once_when_another_server_has_it(
    server: Server, model: Path, environment: Rebuilt, tmp_path: Path
) -> None:
    with (
        pytest.raises(UsageError, match=f"port {server.port}: cannot be used"),
        serving(str(model), environment, tmp_path / "log", os.environ, port=server.port),
    ):
        pass


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("variable", "seconds", "fault", "log"),
    [
        ("BREAK_THE_MODEL", 120, r"it ended with exit code \d+ before it answered", "no weights here"),
        ("KILL_THE_MODEL", 120, r"it ended with exit code \d+ before it answered: signal SIGKILL ended it.*memory", ""),
        ("HOLD_THE_MODEL", 0.5, "it did not answer within 0.5 s", ""),
    ],
)
def test_waiting_ends_with_the_log_when_the_server_dies_or_the_time_is_over(
    model: Path,
    environment: Rebuilt,
    tmp_path: Path,
    variable: str,
    seconds: float,
    fault: str,
    log: str,
) -> None:
    with (
        serving(str(model), environment, tmp_path / "log", {**os.environ, variable: "1"}) as server,
        pytest.raises(StepError, match=f"mlflow models serve: {fault}") as failure,
    ):
        server.wait_until_up(seconds)
    assert log in failure.value.author_traceback
    assert running(server.process.pid) == []


@pytest.mark.e2e
def test_death_of_the_server_is_told_when_a_payload_ends_it(
    model: Path, environment: Rebuilt, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    with serving(str(model), environment, tmp_path / "log", os.environ) as server:
        server.wait_until_up(120)
        negative = Negative("end-uri", "it ends the server", dict(request_of("end").payload))
        with pytest.raises(StepError, match="the server did not answer"):
            status_of(server, negative, 60.0)


@pytest.mark.e2e
def test_server_that_never_answers_is_ended_with_where_it_was(
    model: Path, environment: Rebuilt, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    request = replace(request_of("hold"), time_limit=2.0)
    with serving(str(model), environment, tmp_path / "log", os.environ) as server:
        server.wait_until_up(120)
        with pytest.raises(StepError, match=r"REST: it took longer than 2 s\. Its input: payload") as failure:
            rest_route(server, environment, request)
    assert ", in predict\n    threading.Event().wait()" in failure.value.author_traceback
    assert running(server.process.pid) == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("uri", "fault", "where"),
    [
        ("hold", "it took longer than 1 s. Its input: payload.json.", ", in predict\n    threading.Event().wait()"),
        ("leave", "it left processes behind: sleep. End each", ""),
        ("kill", "failed with signal SIGKILL.*run out of memory. It held [1-9][0-9]+ MiB.*: payload.json", ""),
    ],
)
def test_prediction_that_does_not_end_well_is_ended_whole(
    model: Path,
    environment: Rebuilt,
    request_of: Callable[..., Request],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uri: str,
    fault: str,
    where: str,
) -> None:
    monkeypatch.setattr("serving.predict.START_SECONDS", 20.0 if uri == "hold" else 60.0)
    request, place = request_of(uri), Where(tmp_path, os.environ, seconds=1.0)
    with pytest.raises(StepError, match=f"mlflow models predict: {fault}") as failure:
        predict_rebuilt(model, request.json_payload_file, environment, place)
    assert where in failure.value.author_traceback


@pytest.mark.e2e
def test_process_that_the_server_leaves_behind_is_ended_and_named(
    model: Path, environment: Rebuilt, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    def served() -> None:
        with serving(str(model), environment, tmp_path / "log", os.environ) as server:
            server.wait_until_up(120)
            ask(server, request_of("leave"))

    with pytest.raises(StepError, match="mlflow models serve: it left processes behind: sleep"):
        served()


@pytest.mark.e2e
def test_server_ends_as_an_interpreter_does_when_the_model_keeps_pools_and_programs(
    model: Path, environment: Rebuilt, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    with serving(str(model), environment, tmp_path / "log", os.environ) as server:
        server.wait_until_up(120)
        ask(server, request_of("keep"))
        assert len(running(server.process.pid)) > 4  # the leash, mlflow, the server, and what is kept
    assert not running(server.process.pid)


@pytest.mark.e2e
def test_signal_is_told_when_it_ends_the_server(
    model: Path, environment: Rebuilt, request_of: Callable[..., Request], tmp_path: Path
) -> None:
    with serving(str(model), environment, tmp_path / "log", os.environ) as server:
        server.wait_until_up(120)
        with pytest.raises(
            StepError, match=r"did not answer.*: signal SIGKILL ended it\. .*run out of memory. It held"
        ):
            rest_route(server, environment, request_of("kill"))


def test_server_is_refused_at_once_when_there_is_no_loopback_network() -> None:
    code = "import os; from serving.server import serving\nwith serving('m', None, None, os.environ): pass"
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("needs namespaces for users")
    assert "127.0.0.1: no loopback network: got Network is unreachable. Models are asked" in done.stderr, done.stderr
