"""The rebuilt environment: what decides it, when it is reused, and what is never taken for whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from environments.installed import altered_files, installed, pin_faults, pins, snapshot
from model_side.base.errors import StepError, UsageError
from serving.rebuilt import VARIABLE, cache_directory, faults, rebuilt_environment
from serving.recipe import read_recipe
from tests.wheels import NAME, write_wheels

Make = Callable[..., Path]
Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PIN = f"filelock=={version('filelock')}"
LOCK = """
# a comment
aiohttp==3.1.0 \\
    --hash=sha256:00
Typing_Extensions==4.01.0  # via x
uvicorn[standard]==0.30.0
colorama==0.4 ; sys_platform == 'win32'
loose>=1
--index-url https://example.org/simple
"""


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes what of an MLflow Model decides its environment."""

    def write(requirements: str = PIN, python: str = "") -> Path:
        directory = tmp_path / "model"
        directory.mkdir(exist_ok=True)
        asked = python or ".".join(str(part) for part in sys.version_info[:3])
        (directory / "python_env.yaml").write_text(f"python: {asked}\ndependencies:\n- -r requirements.txt\n")
        (directory / "requirements.txt").write_text(f"{requirements}\n")
        return directory

    return write


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, VARIABLE: str(tmp_path / "the cache")}


def made_by_hand(root: Path, **versions: str) -> Path:
    """Write what uv leaves of distributions with one file each."""
    site = root / "lib" / "python3.11" / "site-packages"
    for name, each in versions.items():
        record = site / f"{name}-{each}.dist-info" / "RECORD"
        record.parent.mkdir(parents=True)
        (site / f"{name}.py").write_text("x = 1\n")
        record.write_text(f"{name}.py,sha256=00,6\n{name}-{each}.dist-info/RECORD,,\n")
    return root


BACKEND = """
def build_wheel(*arguments, **settings):
    open({marker!r}, "w").close()
"""


@pytest.mark.parametrize("wheels_only", [True, False])
def test_source_distribution_of_a_strangers_model_is_built_only_where_that_is_allowed(
    tmp_path: Path, model: Make, variables: dict[str, str], *, wheels_only: bool
) -> None:
    source, marker = tmp_path / "source" / f"{NAME}-1.0", tmp_path / "was built"
    source.mkdir(parents=True)
    (source / "backend.py").write_text(BACKEND.format(marker=str(marker)))
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (source / "pyproject.toml").write_text(f'{system}[project]\nname = "{NAME}"\nversion = "1.0"\n')
    archive = shutil.make_archive(str(source), "gztar", source.parent, source.name)
    received = model(f"{NAME} @ {Path(archive).as_uri()}")
    with pytest.raises(UsageError) as fault:
        rebuilt_environment(received, variables, wheels_only=wheels_only)
    assert marker.exists() is not wheels_only
    assert ("a package has no wheel, and to build one runs its code" in str(fault.value)) is wheels_only


def test_no_code_of_a_strangers_wheel_runs_while_its_environment_is_built(
    tmp_path: Path, model: Make, variables: dict[str, str]
) -> None:
    marker = tmp_path / "was run"
    hook = {"at_start.pth": f"import sys; open({str(marker)!r}, 'w').close()\n"}
    wheels = write_wheels(tmp_path / "wheels", "1.0", more=hook)
    received = model(f"--find-links {wheels}\n{NAME}==1.0")
    (received / "uv.toml").write_text("no-cache = true\n[pip]\ncompile-bytecode = true\n")
    built = rebuilt_environment(received, variables, wheels_only=True)
    assert not marker.exists()
    again = rebuilt_environment(received, variables, wheels_only=True)
    assert (again.path, again.distributions) == (built.path, {NAME: "1.0"})
    assert not marker.exists()
    own = rebuilt_environment(received, variables)
    assert marker.exists()
    assert own.path != built.path


@pytest.mark.parametrize("python", ["../evil/python", "/usr/bin/true", "python3", "[1]"])
def test_model_names_no_program_for_its_python(python: str, model: Make, variables: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"python: expected a version, such as 3\.11\.7, got"):
        read_recipe(model(python=python), variables)


def test_pins_are_the_exact_ones_without_a_condition() -> None:
    assert pins(LOCK) == {"aiohttp": "3.1.0", "typing-extensions": "4.01.0", "uvicorn": "0.30.0"}


@pytest.mark.parametrize(
    ("pin", "found", "fits"),
    [
        ("1.0", "1.0.0", True),
        ("1.0.0-rc.1", "1.0.0rc1", True),
        ("2024.01", "2024.1", True),
        ("2.3.0", "2.3.0+cpu", True),
        ("2.3.0+cpu", "2.3.0+cu118", False),
        ("1.0", "1.1", False),
        ("10", "1", False),
        ("1.*", "1.7", True),  # no exact pin: nothing to hold it to
    ],
)
def test_versions_are_compared_as_pep_440_says(tmp_path: Path, pin: str, found: str, fits: bool) -> None:
    there = installed(made_by_hand(tmp_path, x=found.replace("-", "_")))
    assert (list(pin_faults(there, pins(f"x=={pin}"))) == []) is fits


def test_installed_and_altered_are_read_from_the_records(tmp_path: Path) -> None:
    environment = made_by_hand(tmp_path, Typing_Extensions="4.1", idna="3.0")
    assert installed(environment) == {"typing-extensions": "4.1", "idna": "3.0"}
    assert list(altered_files(environment)) == []
    name = "lib/python3.11/site-packages/idna.py"
    assert list(altered_files(environment, {name})) == [name]  # the hash is another
    (environment / name).write_text("x = 12\n")
    assert list(altered_files(environment)) == [name]
    (environment / name).unlink()
    assert list(altered_files(environment)) == list(altered_files(environment, {name})) == [name]


def test_environment_is_refused_for_a_reason_when_it_is_not_what_was_built(
    tmp_path: Path, model: Make, variables: Mapping[str, str]
) -> None:
    recipe, place = read_recipe(model("idna==3.0"), variables), tmp_path / "place"
    assert faults(place, recipe) == "it was not built yet"
    made_by_hand(place, idna="3.0", six="1.0")
    assert faults(place, recipe) == "its Python is gone"
    (place / "bin").mkdir()
    (place / "bin" / "python").symlink_to(sys.executable)
    assert faults(place, recipe) == "built.json cannot be read"

    def say_built(**distributions: str) -> None:
        built = {"distributions": distributions, "files": snapshot(place), "sources": {}}
        (place / "built.json").write_text(json.dumps(built))

    say_built(idna="3.0")
    assert faults(place, recipe) == "six: expected none, got 1.0"
    say_built(idna="3.0", six="1.1")
    assert faults(place, recipe) == "six: expected 1.1, got 1.0"
    say_built(idna="3.0", six="1.0")
    assert faults(place, recipe) == ""
    assert faults(place, read_recipe(model("idna==3.1"), variables)) == "idna: expected 3.1, got 3.0"


def test_fingerprint_follows_what_decides_the_environment(model: Make, variables: Mapping[str, str]) -> None:
    def fingerprint(directory: Path, **extra: str) -> str:
        return read_recipe(directory, {**variables, **extra}).fingerprint

    first = fingerprint(model())
    assert fingerprint(model()) == first
    assert fingerprint(model(), UV_CACHE_DIR="elsewhere", UV_INDEX_PASSWORD="secret") == first
    assert fingerprint(model(), UV_EXCLUDE_NEWER="2025-01-01") != first
    assert fingerprint(model("idna==3.0")) != first
    assert fingerprint(model(python="3.12.1")) != first
    directory = model()
    (directory / "uv.toml").write_text('override-dependencies = ["idna==3.0"]\n')
    assert fingerprint(directory) != first


def test_cache_is_the_users_and_can_be_moved(tmp_path: Path) -> None:
    assert cache_directory({VARIABLE: str(tmp_path)}) == tmp_path
    assert cache_directory({"XDG_CACHE_HOME": "/c"}) == Path("/c/mlflow-model-chain/environments")


def test_model_is_refused_when_it_does_not_say_its_environment(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"python_env.yaml: cannot be read"):
        read_recipe(tmp_path, {})


@pytest.mark.e2e
def test_environment_is_reused_while_it_is_whole(model: Make, variables: dict[str, str], capfd: Capture) -> None:
    directory = model()
    first = rebuilt_environment(directory, variables)
    assert list(first.distributions) == ["filelock"]
    said = subprocess.run([first.program("python"), "-c", "import filelock, sys; print(sys.prefix)"], **CAPTURED)
    assert said.stdout.strip() == str(first.path)
    assert {path.suffix for path in first.path.parent.iterdir()} == {"", ".lock"}
    inode = first.path.stat().st_ino
    assert rebuilt_environment(directory, variables).path.stat().st_ino == inode
    assert capfd.readouterr().err.count("rebuilding") == 1


def other_of_same_size(path: Path) -> None:
    """Put another file in the place of one, which stays as it is in uv's cache."""
    text = path.read_text()
    path.unlink()
    path.write_text(f"#{text[1:]}")


def more(path: Path) -> None:
    path.write_text(f"{path.read_text()}include-system-site-packages = true\n")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "change"),
    [
        (f"{SITE}/filelock/__init__.py", other_of_same_size),
        (f"{SITE}/filelock/_api.py", Path.unlink),
        (f"{SITE}/sitecustomize.py", Path.touch),
        (f"{SITE}/more.pth", Path.touch),
        ("bin/activate", other_of_same_size),
        (f"{SITE}/more", Path.mkdir),
        ("bin/python3", lambda path: path.unlink() or path.symlink_to("/usr/bin/env")),
        ("bin/git", Path.touch),
        ("pyvenv.cfg", more),
    ],
)
def test_environment_is_built_anew_when_it_was_changed(
    name: str, change: Callable[[Path], object], model: Make, variables: dict[str, str], capfd: Capture
) -> None:
    first = rebuilt_environment(model(), variables)
    change(first.path / name)
    capfd.readouterr()
    assert rebuilt_environment(model(), variables) == first
    assert f"environment: {name} is not as it was installed\n" in capfd.readouterr().err
    assert next(first.path.rglob("filelock/_api.py")).is_file()
    rebuilt_environment(model(), variables)
    assert "rebuilding" not in capfd.readouterr().err


@pytest.mark.e2e
def test_environment_is_kept_when_only_bytecode_and_links_to_it_come(
    model: Make, variables: dict[str, str], tmp_path: Path, capfd: Capture
) -> None:
    first = rebuilt_environment(model(), variables)
    for compiled in [*first.path.rglob("__pycache__")]:
        shutil.rmtree(compiled)
    subprocess.run([first.program("python"), "-c", "import filelock"], check=True)
    assert [*first.path.rglob("__pycache__")]
    shutil.copytree(first.path, tmp_path / "links", copy_function=os.link, symlinks=True)
    capfd.readouterr()
    rebuilt_environment(model(), variables)
    assert "rebuilding" not in capfd.readouterr().err


@pytest.mark.e2e
def test_edit_in_place_is_refused_as_long_as_it_is_in_the_cache_of_uv(
    model: Make, variables: dict[str, str], tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_FIND_LINKS", str(write_wheels(tmp_path / "wheels", "1.0")))
    directory = model(f"{NAME}==1.0")
    source = next(rebuilt_environment(directory, variables).path.rglob("only_in_these_tests.py"))
    whole = source.read_text()
    with source.open("r+") as stream:
        stream.write("#")
    for _ in range(2):
        with pytest.raises(StepError, match=r"only_in_these_tests.py is not what its distribution records"):
            rebuilt_environment(directory, variables)
    shutil.rmtree(tmp_path / "uv")
    rebuilt_environment(directory, variables)
    assert source.read_text() == whole


@pytest.mark.e2e
def test_environment_is_removed_when_it_was_not_used_for_long_and_another_is_built(
    model: Make, variables: dict[str, str]
) -> None:
    cache = cache_directory(variables)
    old, new, other = cache / ("0" * 32), cache / ("1" * 32), cache / "notes"
    for path in (old, new, other):
        path.mkdir(parents=True)
    for path in (old, other):
        os.utime(path, (0, 0))
    rebuilt_environment(model(), variables)
    assert [path.exists() for path in (old, new, other)] == [False, True, True]


ABOVE = [
    ({"uv.toml": 'find-links = ["wheels"]\n'}, {}),
    ({"pyproject.toml": '[tool.uv]\nfind-links = ["wheels"]\n'}, {}),
    ({"pyproject.toml": '[project]\nname = "x"\nversion = "0"\n[tool.uv]\nfind-links = ["wheels"]\n'}, {}),
    ({"model/uv.toml": 'constraint-dependencies = ["six"]\n', "uv.toml": 'find-links = ["wheels"]\n'}, {}),
    ({"named.toml": 'find-links = ["wheels"]\n'}, {"UV_CONFIG_FILE": "named.toml"}),
]


@pytest.mark.e2e
@pytest.mark.parametrize(("files", "named"), ABOVE)
def test_configuration_above_the_model_holds_and_decides(
    files: Mapping[str, str],
    named: Mapping[str, str],
    model: Make,
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    directory = model(f"{NAME}==1.0")
    write_wheels(tmp_path / "wheels", "1.0")
    for name, value in named.items():
        monkeypatch.setenv(name, str(tmp_path / value))
        variables[name] = str(tmp_path / value)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = read_recipe(directory, variables).fingerprint
    rebuilt = rebuilt_environment(directory, variables)
    assert rebuilt.distributions == {NAME: "1.0"}
    assert rebuilt.facts()["sources"] == {"a directory of this machine": [f"{NAME}==1.0"]}
    assert rebuilt_environment(directory, variables).facts() == rebuilt.facts()
    last = tmp_path / [*files][-1]
    last.write_text(f"{last.read_text()}no-build = false\n")
    assert read_recipe(directory, variables).fingerprint != before


def test_fingerprint_is_that_of_another_place_and_of_what_no_uv_reads(
    model: Make, variables: dict[str, str], tmp_path: Path
) -> None:
    directory = model()
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\nno-build = true\n")
    before = read_recipe(directory, variables).fingerprint
    (tmp_path / "pyproject.toml").write_text("# edited\n[tool.other]\na = 1\n[tool.uv]\nno-build = true\n")
    assert read_recipe(directory, variables).fingerprint == before
    (tmp_path / "other").mkdir()
    directory.rename(tmp_path / "other" / "model")
    assert read_recipe(tmp_path / "other" / "model", variables).fingerprint == before
    (tmp_path / "other" / "uv.toml").touch()
    assert read_recipe(tmp_path / "other" / "model", variables).fingerprint != before


@pytest.mark.e2e
@pytest.mark.parametrize("variable", ["", "UV_CONFIG_FILE", "UV_NO_CONFIG", "in a project"])
def test_rules_of_the_model_apply_also_when_uv_reads_no_file_of_the_models(
    variable: str, model: Make, variables: dict[str, str], tmp_path: Path, monkeypatch: Patch
) -> None:
    (tmp_path / "empty.toml").touch()
    if variable == "in a project":
        (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0"\n[tool.uv]\n')
    elif variable:
        monkeypatch.setenv(variable, str(tmp_path / "empty.toml") if variable == "UV_CONFIG_FILE" else "1")
    monkeypatch.setenv("UV_CONSTRAINT", (tmp_path / "machine.txt").as_uri())
    (tmp_path / "machine.txt").write_text("wheel<0.45\n")
    directory = model("python-dateutil==2.9.0.post0\nsix==1.4.1")
    asked = directory / "python_env.yaml"
    asked.write_text(f"{asked.read_text()}build_dependencies:\n- setuptools\n- wheel\n")
    with pytest.raises(UsageError):
        rebuilt_environment(directory, variables)
    (directory / "uv.toml").write_text(
        'override-dependencies = ["six==1.4.1"]\nconstraint-dependencies = ["setuptools<81"]\nno-build = false\n'
    )
    found = rebuilt_environment(directory, variables).distributions
    assert found["six"] == "1.4.1"
    assert int(found["setuptools"].split(".")[0]) < 81
    assert [int(part) for part in found["wheel"].split(".")[:2]] < [0, 45]


@pytest.mark.e2e
def test_killed_build_is_not_taken_for_complete(model: Make, variables: dict[str, str]) -> None:
    directory = model()
    recipe = read_recipe(directory, variables)
    half = cache_directory(variables) / f"{recipe.fingerprint.removeprefix('sha256:')[:32]}.part"
    made_by_hand(half, filelock="0.1")
    assert rebuilt_environment(directory, variables).distributions == pins(PIN)
    assert not half.exists()


@pytest.mark.e2e
def test_nothing_is_kept_when_the_requirements_cannot_be_installed(model: Make, variables: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"requirements.txt: no index .* has filelock==0.0.0.1"):
        rebuilt_environment(model("filelock==0.0.0.1"), variables)
    assert [path.suffix for path in cache_directory(variables).iterdir()] == [".lock"]


def test_facts_hold_no_place_and_name_what_no_pin_decides(tmp_path: Path, model: Make) -> None:
    from serving.rebuilt import Rebuilt

    recipe = read_recipe(model("idna==3.0"), {})
    facts = Rebuilt(tmp_path, recipe, {"idna": "3.0", "pip": "26.0"}).facts()
    assert facts["not_pinned"] == ["pip==26.0"]
    assert facts["distributions"] == {"idna": "3.0", "pip": "26.0"}
    assert str(tmp_path) not in json.dumps(facts)


CAPTURED: dict[str, bool] = {"capture_output": True, "text": True, "check": True}
