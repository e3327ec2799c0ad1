"""A package received from someone else: checked by its manifest, then by its example, in an environment of its own."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import py_compile
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import check_model
import pytest

from model_side.base.errors import ReportedError
from model_side.model.manifest import read_files
from serving.check import Trust

from .conftest import REPOSITORY, Package
from .test_chain import SPEC

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("by-hand")]


def check(model: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "check", "--model-uri", str(model), *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    print(done.stderr)
    return done


@pytest.fixture(scope="module")
def built(package: Package) -> Package:
    """Return the package with an MLflow Model in it."""
    (package.root / "tiny.h5ad").rename(package.root / "model_data" / "tiny.h5ad")
    spec = package.root / "model_spec.py"
    spec.write_text(f'{spec.read_text()}{SPEC}VERIFICATION = {{"environment": ["TINY_UNIT"]}}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINY_UNIT", "cells")
        assert package.invoke("package").returncode == 0
    return package


@pytest.fixture(autouse=True)
def unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the model needs."""
    monkeypatch.setenv("TINY_UNIT", "cells")


@pytest.fixture
def received(built: Package, tmp_path: Path) -> Path:
    """Return a copy of the MLflow Model, far from its package."""
    return Path(shutil.copytree(built.root / "mlflow_model_artifacts", tmp_path / "a received model"))


def test_check_passes_and_names_the_digest_when_the_model_is_as_packaged(received: Path) -> None:
    done = check(received)
    assert done.returncode == 0
    assert json.loads((received / "package_manifest.json").read_text())["digest"] in done.stderr
    assert "its example gives the output that it was packaged with" in done.stderr


def test_check_tells_what_the_model_needs_and_runs_nothing_without_it(
    received: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINY_UNIT")
    done = check(received, "--manifest-only")
    assert done.returncode == 0
    assert "it needs the environment variables TINY_UNIT" in done.stderr
    done = check(received)
    assert done.returncode == 2
    assert "environment variable TINY_UNIT: not set, and the model needs it" in done.stderr


REGISTER = """
import mlflow, os, sys
os.chdir(os.path.dirname(sys.argv[2]))
mlflow.set_tracking_uri("sqlite:///" + sys.argv[2])
with mlflow.start_run() as run:
    mlflow.log_artifacts(sys.argv[1], "model")
mlflow.register_model(f"runs:/{run.info.run_id}/model", "tf")
mlflow.MlflowClient().set_registered_model_alias("tf", "champion", 1)
"""


def test_check_takes_a_model_from_a_registry_says_its_own_words_and_leaves_nothing_behind(
    received: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store" / "mlflow.db"
    for directory in (store.parent, tmp_path / "here"):
        directory.mkdir()
    subprocess.run([sys.executable, "-c", REGISTER, str(received), str(store)], capture_output=True, check=True)

    def checked(uri: str, *words: str, **variables: str) -> tuple[int, list[str]]:
        command = [sys.executable, str(REPOSITORY / "scripts" / "check_model.py"), "--model-uri", uri, *words]
        env = {**os.environ, **variables}
        done = subprocess.run(command, cwd=tmp_path / "here", env=env, capture_output=True, text=True, check=False)
        assert list((tmp_path / "here").iterdir()) == []
        return done.returncode, done.stderr.splitlines()

    digest = json.loads((received / "package_manifest.json").read_text())["digest"]
    first = ["models:/tf/1: every file is as it was packaged; " + digest]
    first += ["not of the package, and never loaded: registered_model_meta"]
    first += ["it needs the environment variables TINY_UNIT"]
    code, said = checked("models:/tf/1", MLFLOW_REGISTRY_URI=f"sqlite:///{store}")
    said = [line for line in said if not line.startswith(("rebuilding the model's", "what will run"))]
    assert (code, said) == (0, [*first, "its example gives the output that it was packaged with"])
    code, said = checked("models:/tf@champion", "--manifest-only", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
    assert (code, said[1:]) == (0, first[1:])
    code, (error,) = checked("models:/tf/1", "--manifest-only")
    assert code == 1
    assert error.endswith("Set MLFLOW_TRACKING_URI to the address of the server or store that has it.")


def author_of(received: Path) -> Path:
    return next((received / "code" / "model_code").glob("*_mlflow_model.py"))


def seal(received: Path) -> None:
    """Write the manifest of what is there, as a stranger can."""
    manifest = json.loads((received / "package_manifest.json").read_text())
    manifest["files"] = {name: asdict(entry) for name, entry in read_files(received).items()}
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in manifest["files"].items())
    manifest["digest"] = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    (received / "package_manifest.json").write_text(json.dumps(manifest))


def test_check_shows_what_the_model_said_when_it_fails(received: Path) -> None:
    code = author_of(received)
    code.write_text(code.read_text().replace("def load_context(self, context", "def load_contexts(self, context"))
    seal(received)
    done = check(received)
    assert done.returncode == 1
    assert done.stderr.count("object has no attribute 'scale'") == 1
    assert done.stderr.count("Traceback (most recent call last)") == 1


def test_check_runs_no_bytecode_that_lies_beside_the_code(received: Path) -> None:
    for source in sorted((received / "code").rglob("*.py")):  # one that Python takes for the source's, unchecked
        text = 'raise SystemExit("planted")\n' if source.name.endswith("_mlflow_model.py") else source.read_text()
        planted = received.with_name(source.name)
        planted.write_text(text)
        place = importlib.util.cache_from_source(str(source))
        py_compile.compile(str(planted), place, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    done = check(received)
    assert done.returncode == 0
    assert "its example gives the output that it was packaged with" in done.stderr


# What a stranger's code may try: all of it works with the rights of who checks it.
HOSTILE = """
import ctypes, os, socket
from pathlib import Path

LIBRARY = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(LIBRARY, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)

def write(path):
    open(path, "a").close()

def write_after_remount():
    place = Path(__file__).parents[2]
    call("mount", b"none", os.fsencode(place), None, 0x1020, None)
    write(place / "MLmodel")

def unmount_in_new_namespaces():
    call("unshare", 0x10020000)
    call("umount2", os.fsencode(Path(__file__).parents[2]), 2)

def read_of_other_processes():
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if Path(f"{each}/root{SECRET}").exists() or b"A_SECRET" in Path(each, "environ").read_bytes():
                return
        except OSError:
            continue
    raise OSError("nothing")

ATTEMPTS = {
    "file": lambda: open(SECRET).read(), "home": lambda: next(Path.home().iterdir()),
    "variable": lambda: os.environ["A_SECRET"], "network": lambda: socket.create_connection(("127.0.0.1", PORT), 2),
    "sockets": lambda: next(Path("/run").iterdir()), "others": read_of_other_processes,
    "model": write_after_remount, "unmount": unmount_in_new_namespaces, "packages": lambda: write(np.__file__),
    "system": lambda: write("/etc/hosts"), "kernel": lambda: write("/proc/sys/kernel/core_pattern"),
}
done = []
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        done.append(name)
    except (OSError, KeyError, StopIteration):
        pass
raise RuntimeError("it could: " + " ".join(done) + ".")
"""


@pytest.fixture
def hostile(received: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a model whose code looks for what it can do to its receiver."""
    monkeypatch.setenv("A_SECRET", "mine")
    (tmp_path / "secret").write_text("mine")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        facts = f"SECRET, PORT = {str(tmp_path / 'secret')!r}, {listening.getsockname()[1]}\n"
        author_of(received).write_text(author_of(received).read_text() + facts + HOSTILE)
        seal(received)
        yield received


def test_check_lets_a_strangers_code_reach_nothing_of_its_receivers(hostile: Path) -> None:
    done = check(hostile)
    assert done.returncode == 1
    assert "it could: ." in done.stderr
    assert "what will run: python_model.pkl, a pickle, which can run any code" in done.stderr
    done = check(hostile, "--unconfined")
    assert re.search("it could: file .*variable.*network|it could: file .*network", done.stderr)


@pytest.mark.parametrize("unconfined", [False, True])
def test_strangers_model_has_a_limit_of_time_that_is_not_its_own_word(tmp_path: Path, *, unconfined: bool) -> None:
    assert Trust(unconfined).limits([], tmp_path, tmp_path).seconds == 600


@pytest.mark.parametrize(
    ("words", "body", "says"),
    [
        (["--time-limit", "6"], "while True: pass", "killed after 6 seconds"),
        (["--memory", "1"], "bytearray(1500000000)", "MemoryError"),
    ],
)
def test_check_limits_the_time_and_the_memory_of_a_strangers_model(
    received: Path, words: list[str], body: str, says: str
) -> None:
    author_of(received).write_text(f"{author_of(received).read_text()}\n{body}\n")
    seal(received)
    done = check(received, *words)
    assert done.returncode == 1
    assert says in done.stderr


NO_NAMESPACES = """
import os, sys
from pathlib import Path
sys.path.insert(0, "scripts")
from model_side.base.namespaces import NEW_USER, NEW_FILES, leave
leave(NEW_USER | NEW_FILES)
Path("/proc/sys/user/max_user_namespaces").write_text("0")
os.execv(sys.executable, [sys.executable, "scripts/check_model.py", "--model-uri", *sys.argv[1:]])
"""


def test_check_asks_where_the_system_cannot_confine_the_model(received: Path) -> None:
    command = [sys.executable, "-c", NO_NAMESPACES, str(received)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "this system cannot confine a model" in done.stderr
    assert "--unconfined runs the model's code with your own rights" in done.stderr.splitlines()[-1]


def link_out(model: Path) -> None:
    (model / "artifacts" / "more").symlink_to(model.parent)


def link_to_one_file(model: Path) -> None:
    weights = model / "artifacts" / "tf_sapiens" / "scale.txt"
    weights.rename(model.parent / "scale.txt")
    weights.symlink_to(model.parent / "scale.txt")


def link_beside(model: Path) -> None:
    (model / "README.md").symlink_to("/etc/passwd")


def link_to_a_directory(model: Path) -> None:
    (model / "artifacts" / "more").symlink_to("tf_sapiens")


def name(path: str) -> Callable[[Path], None]:
    """Return what declares a file in the manifest."""

    def act(model: Path) -> None:
        manifest = json.loads((model / "package_manifest.json").read_text())
        manifest["files"][path] = {"size": 0, "sha256": hashlib.sha256().hexdigest()}
        (model / "package_manifest.json").write_text(json.dumps(manifest))

    return act


def add(path: str, *, sealed: bool = False) -> Callable[[Path], None]:
    """Return what adds an empty file, and to the manifest, too."""

    def act(model: Path) -> None:
        (model / path).touch()
        if sealed:
            seal(model)

    return act


def edit(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Return what edits a file, and the manifest for it."""

    def act(model: Path) -> None:
        text = (model / file).read_text()
        assert old in text
        (model / file).write_text(text.replace(old, new))
        seal(model)

    return act


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (link_out, "artifacts/more: a link out of the model"),
        (link_to_one_file, "artifacts/tf_sapiens/scale.txt: a link out of the model"),
        (link_beside, "README.md: a link out of the model"),
        (link_to_a_directory, "artifacts/more: a link to a directory"),
        (name("../"), "../: leaves the directory"),
        (name("/etc/passwd"), "/etc/passwd: leaves the directory"),
        (name("code/../../x"), "code/../../x: leaves the directory"),
        (add("code/numpy.py"), "code/numpy.py: not of this package"),
        (add("artifacts/more.bin"), "artifacts/more.bin: not of this package"),
        (add("numpy.py", sealed=True), "numpy.py: code beside code/"),
        (edit("MLmodel", "code: code", "code: artifacts"), "MLmodel: code: expected code, got artifacts"),
        (edit("MLmodel", "path: artifacts/", "path: ../artifacts/"), "leaves the directory: ../artifacts"),
        (
            edit("MLmodel", "serving_input_path: ", "serving_input_path: ../"),
            "serving_input_path: leaves the directory",
        ),
        (edit("python_env.yaml", "python: ", "python: ../evil/python"), "python: expected a version, such as 3.11.7"),
        (
            edit("requirements.txt", "mlflow", "-e ./artifacts\nmlflow"),
            "installing it runs code: got -e ./artifacts. --a",
        ),
    ],
)
def test_check_refuses_before_anything_runs(
    received: Path, alter: Callable[[Path], None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alter(received)
    with pytest.raises(ReportedError) as fault:
        check_model.main(["--model-uri", str(received)])
    assert says in str(fault.value)
    assert "what will run" not in capsys.readouterr().err


def test_check_names_the_file_when_a_bit_has_flipped(received: Path) -> None:
    path = received / "artifacts" / "tf_sapiens" / "scale.txt"
    path.write_text("0.7\n")
    done = check(received)
    assert done.returncode == 1
    assert "artifacts/tf_sapiens/scale.txt: expected sha256" in done.stderr
    assert check(received, "--manifest-only").returncode == 1


def test_check_refuses_when_there_is_no_model_or_no_manifest(received: Path) -> None:
    assert check(received.with_name("nothing")).returncode == 2
    (received / "package_manifest.json").unlink()
    done = check(received)
    assert done.returncode == 2
    assert "package_manifest.json" in done.stderr
