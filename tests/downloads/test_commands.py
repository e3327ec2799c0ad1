"""A model's own downloader, run in the model environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chain.packages import Package
from downloads.cache import Cache
from downloads.declaration import read_declaration
from downloads.orphans import orphans
from model_side.model.declared_data import named_files

from .conftest import Model, sha256


@pytest.fixture
def program(model: Model) -> Path:
    """Give the package a model environment with a program `bring` in it; return where its script is."""
    programs = model.root / ".venv" / "bin"
    programs.mkdir(parents=True)
    program = programs / "bring"
    program.write_text("#!/bin/sh\nmkdir -p model_data/out\nprintf good > model_data/out/w.bin\n")
    program.chmod(0o755)
    return program


def script(program: Path, body: str) -> None:
    program.write_text(f"#!/bin/sh\n{body}\n")


NAMES = ("n", "out/deep/v", "out/w.bin")
ALL = "cd model_data; mkdir -p out/deep; for name in n out/deep/v out/w.bin; do printf good > $name; done"
SOURCE = 'command = "bring --all \'two words\'"\noutputs = ["out"]'


def test_command_runs_in_the_model_environment_and_its_outputs_are_recorded(model: Model, program: Path) -> None:
    script(
        program,
        'mkdir model_data/out; printf "%s\\n" "$@" "$PWD" "$(command -v bring)" "${PYTHONPATH-}" > model_data/out/w',
    )
    model.declare(SOURCE)
    done = model.command_line()
    assert done.returncode == 0, done.stderr
    lines = (model.data / "out/w").read_text().splitlines()
    assert lines == ["--all", "two words", str(model.root), str(program), ""]
    assert model.desk() == {}


def test_words_of_a_command_show_no_credentials(model: Model, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "topsecret1")
    begin = (
        'printf "half of "; echo "https://host/w?sig=topsecret2"; printf "10%%\\r20%%\\r" >&2; echo "with $SOME_TOKEN"'
    )
    script(program, f'{begin}; mkdir model_data/out; echo w > model_data/out/w; printf "ends with $SOME_TOKEN"')
    model.declare(SOURCE)
    done = model.command_line()
    assert done.returncode == 0
    assert done.stdout == ""
    assert "half of https://host/w?...\n10%\n20%\nwith ***\nends with ***" in done.stderr


def test_command_ends_when_something_that_it_started_goes_on(model: Model, program: Path) -> None:
    script(program, "sleep 60 & echo $! > pid; mkdir model_data/out; echo w > model_data/out/w; echo done")
    model.declare(SOURCE)
    done = model.command_line()
    os.kill(int((model.root / "pid").read_text()), signal.SIGKILL)
    assert done.returncode == 0
    assert "done\n" in done.stderr


def test_command_does_not_run_again_when_its_outputs_are_there(model: Model, program: Path) -> None:
    script(program, "mkdir -p model_data/out; echo x >> model_data/out/w; echo x >> runs")
    model.declare(SOURCE)
    assert [model.actions(), model.actions()] == [["ran"], ["present"]]
    assert (model.root / "runs").read_text() == "x\n"


@pytest.mark.parametrize("change", ["alter", "delete", "declare"])
def test_command_runs_again_when_an_output_or_the_declaration_has_changed(
    model: Model, program: Path, change: str
) -> None:
    model.declare(SOURCE)
    assert model.actions() == ["ran"]
    path = model.data / "out/w.bin"
    if change == "declare":
        model.declare(SOURCE.replace("--all", "--some"))
    else:
        path.write_text("evil") if change == "alter" else path.unlink()
    assert model.actions() == ["ran"]
    assert path.read_text() == "good"
    assert model.actions() == ["present"]


def test_command_runs_again_when_the_authors_script_that_it_names_changes(model: Model, program: Path) -> None:
    script(program, "mkdir -p model_data/out; cp make.txt model_data/out/w.bin")
    (model.root / "make.txt").write_text("one")
    model.declare('command = "bring make.txt"\noutputs = ["out"]')
    assert [model.actions(), model.actions()] == [["ran"], ["present"]]
    assert Package("foo", model.root.parent).scripts() == ("make.txt",)
    (model.root / "make.txt").write_text("two")
    assert model.actions() == ["ran"]
    assert model.files() == {"out/w.bin": b"two"}


LOCKED = f'sha256 = "{sha256(b"one")}"'


def pinned(model: Model, program: Path, words: str = "make.txt", name: str = "make.txt") -> Path:
    """Bring what a command makes of a script, with its sha256 declared; return the script."""
    script(program, f"mkdir -p model_data; cp {name} model_data/w")
    made = model.root / name
    made.parent.mkdir(exist_ok=True)
    made.write_text("one")
    model.declare(f'command = "bring {words}"\npath = "w"\n{LOCKED}')
    assert [model.actions(), model.actions()] == [["ran"], ["present"]]
    return made


def unpin(model: Model) -> None:
    declaration = model.root / "model_data.toml"
    declaration.write_text(declaration.read_text().replace(LOCKED, ""))


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(
    ("words", "name"),
    [("make.txt", "make.txt"), ("-m tools.make", "tools/make.py"), ("-m tools", "tools/__main__.py")],
)
def test_changed_script_runs_and_contradicts_the_declared_sha256(
    model: Model, program: Path, words: str, name: str, is_there: bool
) -> None:
    made = pinned(model, program, words, name)
    made.write_text("two")
    if not is_there:  # the cache has what the former script made
        (model.data / "w").unlink()
    for _ in range(2):
        error = model.error()
        assert "its command or script has changed, and makes other bytes than the sha256 declares" in error
        assert f"expected {sha256(b'one')}, got {sha256(b'two')}" in error
        assert model.files() == ({"w": b"one"} if is_there else {})
    unpin(model)
    assert model.actions() == ["ran"]
    assert model.files() == {"w": b"two"}


def test_changed_script_that_makes_the_same_is_recorded_and_a_reverted_one_does_not_run(
    model: Model, program: Path
) -> None:
    made = pinned(model, program)
    made.write_text("two")
    assert "has changed" in model.error()
    made.write_text("one")
    assert model.actions() == ["present"]
    script(program, "printf one > model_data/w")
    made.write_text("two")
    assert [model.actions(), model.actions()] == [["ran"], ["present"]]


@pytest.mark.parametrize("how", ["from cache", "present"])
def test_command_runs_when_the_sha256_was_all_that_spoke_for_its_output(model: Model, program: Path, how: str) -> None:
    pinned(model, program)
    other = model.another()
    (other.root / "make.txt").write_text("two")
    (other.root / ".venv").symlink_to(model.root / ".venv")
    if how == "present":
        other.data.mkdir()
        (other.data / "w").write_text("one")
    assert [other.actions(), other.actions()] == [[how], ["present"]]
    unpin(other)
    assert [other.actions(), other.actions()] == [["ran"], ["present"]]
    assert other.files() == {"w": b"two"}


@pytest.mark.parametrize(("end", "how"), [("exit 3", "exit code 3"), ("kill -9 $$", "signal 9")])
def test_only_old_outputs_are_there_when_the_command_fails(model: Model, program: Path, end: str, how: str) -> None:
    script(program, f"mkdir model_data/out; echo half > model_data/out/w.bin; {end}")
    model.declare(SOURCE)
    assert how in model.error()
    assert model.files() == {}
    script(program, GOOD)
    assert model.actions() == ["ran"]
    model.declare(SOURCE.replace("--all", "--some"))
    script(program, f"mkdir model_data/out; echo half > model_data/out/w.bin; {end}")
    error = model.error()
    assert "its command failed" in error
    assert how in error
    assert model.files() == {"out/w.bin": b"good"}


def test_authors_file_among_the_outputs_is_kept_aside_when_the_command_runs_again(model: Model, program: Path) -> None:
    model.declare(SOURCE)
    assert model.actions() == ["ran"]
    (model.data / "out" / "mine").write_text("mine")
    model.declare(SOURCE.replace("--all", "--some"))
    assert model.actions() == ["ran"]
    assert model.files() == {"out/w.bin": b"good"}
    assert {name.partition("/out/")[2]: text for name, text in model.desk().items()} == {
        "w.bin": b"good",
        "mine": b"mine",
    }


def test_command_is_at_fault_when_an_output_is_missing(model: Model, program: Path) -> None:
    script(program, "mkdir model_data/other; echo x > model_data/other/w")
    model.declare(SOURCE)
    error = model.error()
    assert "did not write model_data/out" in error
    assert "other" in error


def test_wrong_output_is_kept_aside_when_a_sha256_is_declared(model: Model, program: Path) -> None:
    model.declare(f'command = "bring"\npath = "out/w.bin"\nsha256 = "{"a" * 64}"')
    error = model.error()
    assert f"expected {'a' * 64}, got {sha256(b'good')}" in error
    assert (model.files(), model.desk()) == ({}, {"bad/out/w.bin": b"good"})


def test_empty_output_of_a_command_is_refused_and_the_former_one_stays(model: Model, program: Path) -> None:
    model.declare('command = "bring"\npath = "out/w.bin"')
    assert model.actions() == ["ran"]
    script(program, ": > model_data/out/w.bin")
    model.declare('command = "bring again"\npath = "out/w.bin"')
    assert "model_data/out/w.bin: an empty file. It came from bring again, was not installed" in model.error()
    assert (model.files(), model.desk()) == ({"out/w.bin": b"good"}, {"bad/out/w.bin": b""})


def test_lock_pins_the_outputs_of_a_command(model: Model, program: Path) -> None:
    model.declare('command = "bring"\npath = "out/w.bin"')
    assert model.command_line("--lock").returncode == 0
    (source,) = read_declaration(model.root)
    assert source.sha256 == sha256(b"good")


OUTPUTS = {
    "file": ('path = "out/w.bin"', sha256(b"good")),
    "directory": ('path = "out"', sha256(f"{sha256(b'good')}  deep/v\n{sha256(b'good')}  w.bin\n".encode())),
    "several": ('outputs = ["n", "out"]', sha256("".join(f"{sha256(b'good')}  {name}\n" for name in NAMES).encode())),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_come_from_the_cache_when_it_has_the_declared_bytes(model: Model, program: Path, kind: str) -> None:
    outputs, pin = OUTPUTS[kind]
    script(program, ALL)
    model.declare(f'command = "bring"\n{outputs}\nsha256 = "{pin}"')
    assert model.actions() == ["ran"]
    other = model.another()
    assert [other.actions(offline=True), other.actions()] == [["from cache"], ["present"]]
    names = [name for name in NAMES if kind == "several" or name.startswith("out/w" if kind == "file" else "out")]
    assert other.files() == dict.fromkeys(names, b"good")


def test_command_runs_when_the_cache_is_damaged(model: Model, program: Path) -> None:
    script(program, ALL)
    outputs, pin = OUTPUTS["directory"]
    model.declare(f'command = "bring"\n{outputs}\nsha256 = "{pin}"')
    assert model.actions() == ["ran"]
    digest = sha256(b"good")
    cached = model.cache / "objects" / digest[:2] / digest[2:]
    cached.unlink()
    cached.write_bytes(b"evil")
    (model.data / "out/w.bin").unlink()
    (model.data / "out/deep/v").chmod(0o644)
    (model.data / "out/deep/v").write_bytes(b"mine")
    assert "missing, and --offline" in model.error(offline=True)
    assert model.files() == {"n": b"good", "out/deep/v": b"mine"}
    assert model.actions() == ["ran"]
    assert {name: text for name, text in model.files().items() if "out/" in name} == dict.fromkeys(NAMES[1:], b"good")


def test_outputs_are_kept_in_the_cache_when_a_sha256_is_declared_or_filled_in(model: Model, program: Path) -> None:
    model.declare(SOURCE)
    assert model.actions() == ["ran"]
    assert Cache(model.cache).contents() == []
    model.declare(SOURCE.replace("--all", "--some"))
    assert model.command_line("--lock").returncode == 0
    assert model.another().actions() == ["from cache"]


def test_output_that_is_a_link_to_elsewhere_is_not_kept(model: Model, program: Path, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"good")
    script(program, f"ln -s {tmp_path}/w model_data/w")
    model.declare(f'command = "bring"\npath = "w"\nsha256 = "{sha256(b"good")}"')
    assert model.actions() == ["ran"]
    assert Cache(model.cache).contents() == []
    assert (tmp_path / "w").stat().st_mode & 0o200


def test_authors_file_is_not_replaced_when_a_command_wants_its_place(model: Model, program: Path) -> None:
    model.declare(SOURCE)
    (model.data / "out").mkdir(parents=True)
    (model.data / "out" / "mine").write_text("mine")
    assert "came from no source" in model.error()
    assert model.files() == {"out/mine": b"mine"}


def die_in_the_middle(model: Model, program: Path, body: str) -> None:
    """Download with a command that kills the download, and itself is done for."""
    script(program, f"{body}; kill -9 $PPID")
    killed = subprocess.run(model.command, check=False)
    assert killed.returncode == -signal.SIGKILL


HALF = "mkdir model_data/out; echo half > model_data/out/half"
GOOD = "mkdir model_data/out; printf good > model_data/out/w.bin"


def test_half_done_outputs_go_when_the_command_was_killed_with_everything(model: Model, program: Path) -> None:
    model.declare(f'{SOURCE}\nsha256 = "{"a" * 64}"')
    die_in_the_middle(model, program, HALF)
    assert (model.data / "out/half").exists()
    model.declare(SOURCE)
    script(program, "exit 3")
    assert "exit code 3" in model.error()
    assert model.files() == {}
    script(program, GOOD)
    assert model.actions() == ["ran"]
    assert model.files() == {"out/w.bin": b"good"}


def test_last_good_outputs_stay_aside_when_a_killed_run_cannot_be_tidied_up(model: Model, program: Path) -> None:
    source = 'command = "bring {}"\npath = "in/out"'
    script(program, "mkdir -p model_data/in; printf good > model_data/in/out")
    model.declare(source.format("--all"))
    assert model.actions() == ["ran"]
    model.declare(source.format("--some"))
    die_in_the_middle(model, program, "echo half > model_data/in/out")
    (model.data / "in").rename(model.root / "in")
    (model.data / "in").symlink_to(model.root / "in")
    assert "leads out of model_data/" in model.error()
    assert not [name for name in orphans(model.root, every=True) if name.endswith("/old")]
    (model.data / "in").unlink()
    (model.root / "in").rename(model.data / "in")
    script(program, "exit 3")
    assert "exit code 3" in model.error()
    assert model.files() == {"in/out": b"good"}


def test_nothing_unfinished_stays_when_a_second_run_was_killed_at_its_end(model: Model, program: Path) -> None:
    model.declare(SOURCE)
    assert model.actions() == ["ran"]
    model.declare(SOURCE.replace("--all", "--some"))
    die_in_the_middle(model, program, GOOD)
    model.declare(SOURCE)
    script(program, GOOD)
    assert model.actions() == ["ran"]
    assert model.files() == {"out/w.bin": b"good"}


def test_command_needs_the_model_environment_and_a_program_in_it(model: Model) -> None:
    model.declare('command = "brign"\npath = "w"')
    assert "needs the model environment" in model.error()
    (model.root / ".venv" / "bin").mkdir(parents=True)
    assert "got brign" in model.error()


def test_secret_is_not_shown_when_the_command_fails(
    model: Model, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "topsecret1")
    script(program, 'test "$MY_TOKEN" = topsecret1 || exit 9; exit 4')
    model.declare('command = "bring topsecret1"\npath = "w"')
    error = model.error()
    assert "exit code 4" in error
    assert "topsecret1" not in error
    assert os.environ["MY_TOKEN"] not in model.said.getvalue()


def test_files_that_a_command_names_are_the_packages_own_and_no_data(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in ("make.py", "tools/x.sh", "model_data/w", "../above.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    command = f"python make.py 'tools/x.sh' --out model_data model_data/w ../above.py {tmp_path}/above.py missing.py ."
    assert named_files(command, package) == ["make.py", "tools/x.sh"]
    (package / "tools/__main__.py").touch()
    modules = {"make": ["make.py"], "tools": ["tools/__main__.py"], "json.tool": []}
    assert {name: named_files(f"python -m {name} x", package) for name in modules} == modules


FILES = {
    "train.sh": "#!/bin/sh\nset -e\npython tools/train.py --out model_data/w\n",
    "tools/train.py": "import numpy as np, helper\nfrom model_code.net import Net\nif 1:\n    import deep.er.most as m",
    "tools/helper.py": "from . import missing; import os\n# import unused\n",
    "tools/unused.py": "",
    "tools/deep/er/most.py": "from ..near import (\n    one,  # comment\n    two as other,\n)\n",
    "tools/deep/near/__init__.py": "",
    "tools/deep/near/two.py": "from ...helper import x\n",
    "model_code/__init__.py": "from .late import *\n",
    "model_code/late.py": "import model_code.net",
    "model_code/net.py": "\xe9",
    "model_code/other.py": "",
    "model_spec.py": "",
}


def test_what_a_script_imports_or_calls_of_the_package_is_named_too(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    named = sorted(set(FILES) - {"tools/unused.py", "model_code/other.py", "model_spec.py"})
    assert sorted(named_files("sh train.sh", tmp_path)) == named
    assert named_files("python model_code/late.py", tmp_path) == [
        "model_code/late.py",
        "model_code/__init__.py",
        "model_code/net.py",
    ]


def test_command_runs_again_when_what_its_script_imports_changes(model: Model, program: Path) -> None:
    (program.parent / "python").symlink_to(sys.executable)
    for name, text in {"train.py": "import net\nopen('model_data/w', 'w').write(net.WEIGHTS)", "net.py": ""}.items():
        (model.root / name).write_text(text)
    model.declare('command = "python train.py"\npath = "w"')
    for weights in ("one", "three"):  # of one length, Python would take its bytecode of the same second
        (model.root / "net.py").write_text(f"WEIGHTS = {weights!r}")
        assert [model.actions(), model.actions()] == [["ran"], ["present"]]
        assert model.files() == {"w": weights.encode()}
    assert Package("foo", model.root.parent).scripts() == ("train.py", "net.py")
