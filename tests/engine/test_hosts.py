"""Steps that run in forks of a warm interpreter: as in a process of their own, and nothing outlives a build."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Command, Step
from engine.hosts import Host
from engine.runner import Builder
from engine.walk import Pipeline, Result

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
HOST = (sys.executable, str(SCRIPTS / "model_side" / "run" / "worker.py"))
FACTS = """\
import json, os, sys
facts = {
    "argv": sys.argv, "path0": sys.path[0], "directory": os.getcwd(), "name": __name__,
    "session": os.getsid(0) == os.getpid(),
    "environment": sorted(set(os.environ) - {"LC_CTYPE"}), "stdin": sys.stdin.read(),
    "loaded": "decimal" in sys.modules, "host": os.getppid(),
}
print("said")
print("complained", file=sys.stderr)
json.dump(facts, open(sys.argv[1], "w"))
"""


def script_step(name: str, text: str, root: Path, *, host: tuple[str, ...] = HOST, **fields: object) -> Step:
    (root / f"{name}.py").write_text(text)
    target = f"{name}.json"
    command = Command((sys.executable, f"{name}.py", target), host=host, **fields)  # type: ignore[arg-type]
    return Step(name, command, (f"{name}.py",), (target,))


def build(root: Path, *steps: Step) -> Result:
    return Builder(say=lambda text: None).build_all([Pipeline(root, steps)])[0]


def facts(root: Path, name: str) -> dict[str, object]:
    return dict(json.loads((root / f"{name}.json").read_text()))


def log(root: Path, name: str) -> str:
    return (root / ".pipeline" / "logs" / f"{name}.log").read_text()


def write_module(root: Path, text: str) -> Path:
    """Write the module of a model whose model_spec.py is there, too."""
    (root / "model_code").mkdir()
    (root / "model_spec.py").write_text("MODEL_CLASS = 'model_code.a:A'\n")
    (root / "model_code" / "a.py").write_text(text)
    return root / "model_code" / "a.py"


def runs(pid: int) -> bool:
    """Tell whether a process still runs; one that has ended and was not waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_command_finds_all_as_in_a_process_of_its_own_when_it_runs_in_a_host(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "hosted").mkdir()
    for place, host in (("plain", ()), ("hosted", HOST)):
        assert build(tmp_path / place, script_step("one", FACTS, tmp_path / place, host=host)).ok
    plain, hosted = (facts(tmp_path / place, "one") for place in ("plain", "hosted"))
    assert hosted.pop("host") != plain.pop("host") == os.getpid()
    for one, place in ((plain, "plain"), (hosted, "hosted")):
        assert one.pop("directory") == one.pop("path0") == str(tmp_path / place)
    assert hosted == plain
    assert log(tmp_path / "hosted", "one") == log(tmp_path / "plain", "one")


def test_steps_share_one_host_and_nothing_of_one_is_in_the_next(tmp_path: Path) -> None:
    first = script_step("one", FACTS + "import decimal\nos.environ['LEFT'] = '1'\nos.chdir('/')\n", tmp_path)
    assert build(tmp_path, first, replace(script_step("two", FACTS, tmp_path), after=("one",))).ok
    one, two = facts(tmp_path, "one"), facts(tmp_path, "two")
    assert one["host"] == two["host"] != os.getpid()
    assert two["loaded"] is False
    assert "LEFT" not in two["environment"]  # type: ignore[operator]
    assert two["directory"] == str(tmp_path)


def test_host_is_gone_when_the_build_ends(tmp_path: Path) -> None:
    assert build(tmp_path, script_step("one", FACTS, tmp_path)).ok
    assert not runs(int(str(facts(tmp_path, "one")["host"])))


REFUSING = "import os\ndef refuse(*_): raise PermissionError(1, 'no')\nos.pidfd_open = refuse\n"


@pytest.mark.parametrize("system", ["import os\ndel os.pidfd_open\n", REFUSING])
def test_command_runs_without_a_host_when_the_system_cannot_watch_processes(tmp_path: Path, system: str) -> None:
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "sitecustomize.py").write_text(system)
    step = script_step("one", FACTS, tmp_path, env={"PYTHONPATH": str(tmp_path / "system")})
    assert build(tmp_path, step).ok
    assert facts(tmp_path, "one")["host"] == os.getpid()


def test_what_a_program_does_at_its_end_is_done_when_it_runs_in_a_host(tmp_path: Path) -> None:
    text = (
        "import atexit, threading\n"
        "def late(): threading.main_thread().join(); print('thread')\n"
        "threading.Thread(target=late).start()\n"
        "atexit.register(lambda: open('one.json', 'w').write('at exit'))\n"
        "print('unflushed', end='')\nraise SystemExit(0)\n"
    )
    assert build(tmp_path, script_step("one", text, tmp_path)).ok
    assert (tmp_path / "one.json").read_text() == "at exit"
    assert "unflushed" in log(tmp_path, "one")


def test_fork_that_a_hosted_step_leaves_behind_is_ended(tmp_path: Path) -> None:
    left = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    open('one.json', 'w').write(str(os.getpid()))\n"
    rest = "    time.sleep(60)\n    os._exit(0)\n"
    wait = "while not os.path.exists('one.json') or not open('one.json').read():\n    pass\n"
    assert build(tmp_path, script_step("one", left + rest + wait, tmp_path)).ok
    assert not runs(int((tmp_path / "one.json").read_text()))


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("sys.exit(2)", "exit code 2"),
        ("sys.exit('no')", "exit code 1"),
        ("os.kill(os.getpid(), 9)", "signal 9"),
        ("1 / 0", "exit code 1"),
    ],
)
def test_failure_is_the_commands_own_when_it_runs_in_a_host(tmp_path: Path, end: str, said: str) -> None:
    outcome = build(tmp_path, script_step("one", f"import os, sys\n{end}\n", tmp_path)).outcomes[0]
    assert said in str(outcome.error)
    assert ("ZeroDivisionError" in log(tmp_path, "one")) == (end == "1 / 0")


def test_what_the_authors_code_imports_is_there_before_the_command_when_it_runs_in_a_host(tmp_path: Path) -> None:
    text = "from os import path\nimport decimal, no_such_module\n"
    assert hosted_facts(tmp_path, {"model_code/a.py": text})["loaded"] is True


def test_import_that_the_author_removed_is_not_there_when_a_host_is_kept(tmp_path: Path) -> None:
    module = write_module(tmp_path, "")
    builder = Builder(say=lambda text: None, keep_hosts=True)
    seen = []
    try:
        for number, text in enumerate(("import decimal\n", "import decimal\n\n", "\n")):
            module.write_text(text)
            step = script_step("one", f"{FACTS}# {number}\n", tmp_path)
            assert builder.build_all([Pipeline(tmp_path, (step,))])[0].ok
            found = facts(tmp_path, "one")
            seen.append((found["loaded"], found["host"]))
    finally:
        builder.processes.close()
    assert [loaded for loaded, _ in seen] == [True, True, False]
    assert seen[0][1] == seen[1][1] != seen[2][1]


def test_step_runs_by_itself_when_its_host_does_not_start(tmp_path: Path) -> None:
    broken = (sys.executable, "-c", "raise SystemExit(1)")
    assert build(tmp_path, script_step("one", FACTS, tmp_path, host=broken)).ok
    assert facts(tmp_path, "one")["host"] == os.getpid()


def test_light_step_takes_the_host_that_is_there_and_starts_none(tmp_path: Path) -> None:
    light = script_step("light", FACTS, tmp_path, light=True)
    assert build(tmp_path, light).ok
    assert facts(tmp_path, "light")["host"] == os.getpid()
    assert build(tmp_path, script_step("one", FACTS, tmp_path), replace(light, after=("one",), params={"other": 1})).ok
    assert facts(tmp_path, "light")["host"] == facts(tmp_path, "one")["host"] != os.getpid()


def test_new_host_is_started_when_a_step_rebuilt_its_interpreter(tmp_path: Path) -> None:
    host = ("env/python", *HOST[1:])
    link = f"mkdir env; ln -s {sys.executable} env/python; cat pins > env/pins"

    def hosted(name: str, *before: str) -> Step:
        (tmp_path / f"{name}.py").write_text(FACTS)
        words = ("env/python", f"{name}.py", f"{name}.json")
        return Step(name, Command(words, host=host), (f"{name}.py", *before), (f"{name}.json",))

    builder = Builder(say=lambda text: None, keep_hosts=True)
    hosts = []
    try:
        for pins in ("1", "2"):
            (tmp_path / "pins").write_text(pins)
            steps = (Step("environment", link, ("pins",), ("env",)), hosted("one", "env/pins"))
            assert builder.build_all([Pipeline(tmp_path, steps)])[0].ok
            hosts.append(facts(tmp_path, "one")["host"])
    finally:
        builder.processes.close()
    assert hosts[0] != hosts[1]


def start_hosted(root: Path, text: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a build whose one step runs `text` in a host; return it, and the processes that `text` tells of."""
    os.mkfifo(root / "reached")
    (root / "one.py").write_text(f"import os, signal, sys, time\n{text}\ntime.sleep(60)\n")
    command = f"Command(({sys.executable!r}, 'one.py'), host={HOST!r})"
    step = f"Step('one', {command}, ('one.py',), ('one.json',))"
    code = f"from engine import Command, Step, build\nbuild([{step}])"
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root, env=environment, stderr=subprocess.DEVNULL)
    return process, [int(word) for word in (root / "reached").read_text().split()]


def test_nothing_runs_on_when_the_build_is_killed_in_the_middle_of_a_hosted_step(tmp_path: Path) -> None:
    tell = "open('reached', 'w').write(f'{os.getpid()} {os.getppid()}')"
    process, pids = start_hosted(tmp_path, tell)
    watched = [os.pidfd_open(pid) for pid in pids]
    process.kill()
    process.wait()
    for descriptor in watched:
        assert select.select([descriptor], [], [], 60)[0]  # readable once that process has ended
        os.close(descriptor)


def test_interruption_ends_a_hosted_step_as_any_other(tmp_path: Path) -> None:
    tidy = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(open('tidied', 'w').write('yes') and 1))"
    process, pids = start_hosted(tmp_path, f"{tidy}\nopen('reached', 'w').write(str(os.getpid()))")
    process.send_signal(signal.SIGINT)
    process.wait()
    assert not runs(pids[0])
    assert (tmp_path / "tidied").read_text() == "yes"


def test_signal_reaches_a_command_that_its_host_has_not_been_heard_of(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(open('tidied', 'w').write('yes') and 1))\n"
        "open('reached', 'w').close()\nsignal.pause()\n"
    )
    host = Host(HOST, tmp_path, dict(os.environ))
    request = {"argv": [str(tmp_path / "one.py")], "directory": str(tmp_path), "env": dict(os.environ), "name": "one"}
    with (tmp_path / "said").open("wb") as said, closing(host.start(request, said.fileno(), said.fileno())) as job:
        while not (tmp_path / "reached").exists():
            pass
        job.send_signal(signal.SIGTERM)  # nobody has waited for it yet
        assert job.wait(60) == 1
    host.close()
    assert (tmp_path / "tidied").read_text() == "yes"


def test_host_ends_when_the_build_is_gone_in_the_middle_of_a_request(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    command = [*HOST, str(theirs.fileno())]
    with subprocess.Popen(command, cwd=tmp_path, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) as host:
        theirs.close()
        with (tmp_path / "said").open("wb") as said:
            socket.send_fds(ours, [(100).to_bytes(4)], [said.fileno()] * 3)
        ours.sendall(b"{")
        while struct.unpack("i", fcntl.ioctl(ours, termios.TIOCOUTQ, b"\0" * 4))[0]:
            pass  # until it has read that
        ours.close()
        try:
            host.wait(60)
        finally:
            host.kill()


def hosted_facts(root: Path, files: dict[str, str], say: list[str] | None = None, **env: str) -> dict[str, object]:
    """Return what a command finds in a host that stands before some files of an author's."""
    for name, text in {"model_spec.py": "MODEL_CLASS = 'model_code.a:A'\n", **files}.items():
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text(text)
    builder = Builder(say=(say if say is not None else []).append)
    assert builder.build_all([Pipeline(root, (script_step("one", FACTS, root, env=env),))])[0].ok
    return facts(root, "one")


SPEC = "MODEL_CLASS: str = 'model_code.a:A'\n"
SETTINGS = {
    "an environment variable is set before it": {"a.py": "import os\nos.environ['X'] = '1'\nimport decimal\n"},
    "one is set with a default": {"a.py": "import os\nos.environ.setdefault('X', '1')\nimport decimal\n"},
    "one is set by putenv": {"a.py": "import os\nos.putenv('X', '1')\nimport decimal\n"},
    "one is set under another name": {"a.py": "from os import environ as e\ne['X'] = '1'\nimport decimal\n"},
    "one is set in a function": {"a.py": "import os\ndef f():\n    os.environ['X'] = '1'\n    import decimal\n"},
    "another file sets one": {"z.py": "import os\nos.environ['X'] = '1'\n"},
    "a configuration function is called": {"a.py": "import warnings\nwarnings.simplefilter('error')\nimport decimal\n"},
    "another file configures": {"z.py": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')\n"},
    "an attribute is assigned": {"a.py": "import sys\nsys.tracebacklimit = 5\nimport decimal\n"},
    "an entry is assigned": {"z.py": "import csv\ncsv.__dict__['x'] = 1\n"},
    "the result of a call is kept": {"a.py": "import os\nX = os.umask(0)\nimport decimal\n"},
    "a file of the author's that keeps one comes before it": {
        "a.py": "from . import b\nimport decimal\n",
        "b.py": "import os\nX = os.umask(0)\n",
    },
    "that comes by its own name": {"a.py": "import model_code.b\nimport decimal\n", "b.py": "X = id(0)\n"},
    "that comes through another": {
        "a.py": "from .m import f\n",
        "m.py": "from .z import X\nfrom .b import f\n",
        "b.py": "import decimal\n",
        "z.py": "import os\nX = os.umask(0)\n",
    },
    "the package's own file keeps one": {"__init__.py": "import locale\nX = locale.setlocale(0)\n"},
    "model_spec.py keeps one": {"../model_spec.py": f"{SPEC}import os\nX = os.umask(0)\n"},
    "model_spec.py is imported before it": {"a.py": "import model_spec\nimport decimal\n"},
    "only model_spec.py imports it": {"a.py": "", "../model_spec.py": f"{SPEC}import decimal\n"},
    "only a file imports it that the model does not": {"a.py": "", "train.py": "import decimal\n"},
    "only a function imports it": {
        "a.py": "def f():\n    import decimal\n",
        "../model_spec.py": f"{SPEC}import decimal\n",
    },
    "a class calls something": {"a.py": "import os\nclass A:\n    x = os.umask(0)\nimport decimal\n"},
    "a decorator does": {"a.py": "import atexit\n@atexit.register\ndef f():\n    pass\nimport decimal\n"},
    "a file of the package sets one": {
        "__init__.py": "from . import a\n",
        "a.py": "import os\nos.environ['X'] = '1'\nimport decimal\n",
    },
    "a file deep in the package does": {"deep/__init__.py": "", "deep/a.py": "import os\nos.environ.update(X='1')\n"},
    "a file beside the package does": {"a.py": "import beside\n", "../beside.py": "import os\nos.environ['X'] = '1'\n"},
    "a branch decides": {"a.py": "import sys\nif sys.version_info > (3,):\n    import decimal\n"},
    "a handler takes another one": {"a.py": "try:\n    import sys\nexcept:\n    import csv\nimport decimal\n"},
    "a block sets something around it": {
        "a.py": "import warnings\nwith warnings.catch_warnings():\n    import decimal\n"
    },
}


@pytest.mark.parametrize("files", SETTINGS.values(), ids=SETTINGS)
def test_nothing_is_imported_ahead_when(tmp_path: Path, files: dict[str, str]) -> None:
    authored = {f"model_code/{name}": text for name, text in {"a.py": "import decimal\n", **files}.items()}
    found = hosted_facts(tmp_path, authored)
    assert found["loaded"] is False
    assert found["host"] != os.getpid()


@pytest.mark.parametrize(
    "text",
    [
        '"""Doc."""\nfrom __future__ import annotations\nimport decimal\n',
        "import typing\nif typing.TYPE_CHECKING:\n    import csv\nimport decimal\n",
        "X = 'a'\nA: int = 1\ndef f(x=1):\n    return print(x)\nimport decimal\n",
        "import os\nimport decimal\nX = os.environ.get('X')\nY = os.environ['PATH'] if 'PATH' in os.environ else ''\n",
        "import decimal\nX = decimal.Decimal(1)\nclass A:\n    x = decimal.Decimal(1)\nfrom .b import c\n",
        "try:\n    import no_such_module\nexcept ImportError:\n    no_such_module = None\nimport decimal\n",
        "import decimal\nif __name__ == '__main__':\n    import csv\n    print('x')\n",
        "import logging\nLOGGER = logging.getLogger('a')\nclass A:\n    x: int = int('1')\nimport decimal\n",
        "from . import b\nimport decimal\n",
        "from .deep import b\nX = id(0)\n",
    ],
)
def test_import_is_ahead_when_nothing_before_it_does_anything(tmp_path: Path, text: str) -> None:
    files = {"__init__.py": "", "a.py": text, "b.py": "", "deep/__init__.py": "", "deep/b.py": "import decimal\n"}
    spec = {"model_spec.py": f"{SPEC}import numpy as np\nINPUT_EXAMPLE = np.array([1])\ndef CHECKS():\n    print(1)\n"}
    assert hosted_facts(tmp_path, {f"model_code/{name}": each for name, each in files.items()} | spec)["loaded"] is True


def test_nothing_is_imported_ahead_when_code_behind_a_link_sets_a_variable(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "settings.py").write_text("import os\nos.environ['X'] = '1'\n")
    (tmp_path / "package" / "model_code").mkdir(parents=True)
    (tmp_path / "package" / "model_code" / "linked").symlink_to(tmp_path / "shared")
    (tmp_path / "shared" / "back").symlink_to(tmp_path / "package")  # a link that leads back ends
    files = {"model_code/a.py": "from .linked import settings\nimport decimal\n"}
    assert hosted_facts(tmp_path / "package", files)["loaded"] is False


def test_module_of_the_model_is_the_packages_where_model_spec_names_none(tmp_path: Path) -> None:
    root = tmp_path / "foo_mlflow_pkg"
    root.mkdir()
    files = {"model_spec.py": "", "model_code/foo_mlflow_model.py": "import decimal\n"}
    assert hosted_facts(root, files)["loaded"] is True


def test_imports_are_ahead_in_the_order_in_which_they_stand(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    for name in ("zebra", "ant"):
        (tmp_path / "library" / f"{name}.py").write_text(f"open({str(tmp_path / 'order')!r}, 'a').write('{name} ')\n")
    files = {
        "a.py": "from .z import X\nfrom .b import Y\n",
        "z.py": "import zebra\nX = 1\n",
        "b.py": "import ant\nY = 1\n",
    }
    authored = {f"model_code/{name}": text for name, text in files.items()}
    hosted_facts(tmp_path, authored, PYTHONPATH=str(tmp_path / "library"))
    assert (tmp_path / "order").read_text() == "zebra ant "


LOCKED = "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\n_thread.start_new_thread(lock.acquire, ())\n"
POOL = "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\npool.submit(print).result()\n"


@pytest.mark.parametrize("library", [LOCKED, POOL])
def test_steps_run_by_themselves_and_that_is_said_once_when_an_import_starts_threads(
    tmp_path: Path, library: str
) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "busy.py").write_text(library)
    write_module(tmp_path, "import decimal\nimport busy\n")
    env, said = {"PYTHONPATH": str(tmp_path / "library")}, list[str]()
    steps = [script_step(name, FACTS, tmp_path, env=env) for name in ("one", "two", "three")]
    assert Builder(say=said.append).build_all([Pipeline(tmp_path, tuple(steps))])[0].ok
    assert [facts(tmp_path, name)["host"] for name in ("one", "two", "three")] == [os.getpid()] * 3
    assert len(said) == 1
    assert "importing busy starts threads" in said[0]


def test_threads_of_openblas_are_no_reason_to_run_by_itself(tmp_path: Path) -> None:
    said: list[str] = []
    assert hosted_facts(tmp_path, {"model_code/a.py": "import numpy.linalg\n"}, said)["host"] != os.getpid()
    assert said == []


@pytest.mark.parametrize("host", [(), HOST], ids=["by itself", "in a host"])
def test_step_that_does_nothing_is_told_of_before_it_ends(tmp_path: Path, host: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "go")
    said: list[str] = []

    def release(text: str) -> None:
        if not said:
            (tmp_path / "go").write_text("go")
        said.append(text)

    step = script_step("one", "open('go').read()\nopen('one.json', 'w').write('1')\n", tmp_path, host=host)
    builder = Builder(say=release)
    builder.processes.patience = 0.3
    assert builder.build_all([Pipeline(tmp_path, (step,))])[0].ok
    assert f"{tmp_path.name}: one has not worked for 0.3 s" in said[0]
    assert f"{tmp_path.name}/.pipeline/logs/one.log" in said[0]


def test_host_that_hangs_in_an_import_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    os.mkfifo(tmp_path / "go")
    (tmp_path / "library" / "stuck.py").write_text(f"open({str(tmp_path / 'go')!r}).read()\n")
    write_module(tmp_path, "import stuck\n")

    def release(text: str) -> None:
        (tmp_path / "go").write_text("go")

    step = script_step("one", FACTS, tmp_path, env={"PYTHONPATH": str(tmp_path / "library")})
    builder = Builder(say=release)
    builder.processes.patience = 0.3
    assert builder.build_all([Pipeline(tmp_path, (step,))])[0].ok
