"""Requirements and model environments, made with the real uv."""

from __future__ import annotations

import subprocess
from pathlib import Path

import compile_requirements
import pytest
import sync_environment

from environments.uv import interpreter, python_version, run_uv
from model_side.base.errors import UsageError, run_main
from model_side.model.requirements import uv_toml
from tests.wheels import NAME, write_wheels

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

pytestmark = pytest.mark.e2e
SMALL = "six==1.16.0\n"


def compile_in(package: Path, *flags: str) -> int:
    return run_main(lambda: compile_requirements.main(["--package", str(package), *flags]))


def sync_in(package: Path) -> int:
    return run_main(lambda: sync_environment.main(["--package", str(package)]))


def pins(package: Path) -> dict[str, str]:
    lines = (package / "requirements.txt").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line and not line.lstrip().startswith("#"))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package of which only the requirements are there."""
    root = tmp_path / "a package"
    root.mkdir()
    (root / "requirements.in").write_text("six<1.17\n")
    return root


SKINNY_IN_ANOTHER = {"requirements.in": "-r base.in\n-c constraints.in\n", "constraints.in": "mlflow<4\n"}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({}, "mlflow"),
        ({"requirements.in": "mlflow-skinny\nsix\n"}, "mlflow-skinny"),
        ({**SKINNY_IN_ANOTHER, "base.in": "mlflow-skinny\n"}, "mlflow-skinny"),
        ({**SKINNY_IN_ANOTHER, "base.in": "six\n"}, "mlflow"),
    ],
)
def test_mlflow_is_in_the_set_unless_a_file_names_it_or_mlflow_skinny(
    package: Path, files: dict[str, str], name: str
) -> None:
    for file, text in files.items():
        (package / file).write_text(text)
    assert compile_in(package) == 0
    assert name in pins(package)
    assert ("mlflow" in pins(package)) == (name == "mlflow")


LOCAL = (
    "-e .",
    "--editable ../mine",
    "mine @ file:///opt/mine",
    "./mine",
    "wheels/mine-1-py3-none-any.whl",
    "/opt/mine",
)
WRITTEN = {
    **{f"requirements.in {line}": ({"requirements.in": f"six\n{line}  # mine\n"}, 2) for line in LOCAL},
    "a file that it includes": ({"requirements.in": "-r base.in\n", "base.in": "-e .\n"}, 1),
    "overrides.txt": ({"overrides.txt": "six @ file:///opt/six.whl\n"}, 0),
    "constraints.txt": ({"constraints.txt": "six @ ./six.whl\n"}, 0),
    "uv.toml": ({"uv.toml": 'find-links = ["/opt/wheels"]\n'}, 0),
    "a credential": ({"requirements.in": "six\nmine @ https://me:hunter2@example.org/mine.zip\n"}, 2),
}


@pytest.mark.parametrize(("files", "line"), WRITTEN.values(), ids=WRITTEN)
def test_requirement_that_cannot_travel_is_refused_before_anything_is_resolved(
    package: Path, files: dict[str, str], line: int, capfd: Capture
) -> None:
    for file, text in files.items():
        (package / file).write_text(text)
    assert compile_in(package) == 2
    said = capfd.readouterr().err
    name = [*files][-1]
    assert f"{name}: it cannot travel" in said or f"{name}: it names" in said
    assert f"line {line}: " in said or not line
    assert "hunter2" not in said
    assert not (package / "requirements.txt").exists()


def test_requirement_is_compiled_when_only_its_comment_or_a_source_is_of_this_machine(package: Path) -> None:
    (package / "wheels").mkdir()
    (package / "requirements.in").write_text("# -e .\n--find-links wheels\nmlflow-skinny\nsix==1.16.0  # not ./six\n")
    assert compile_in(package) == 0
    assert pins(package)["six"] == "1.16.0"


def test_pins_stay_until_upgrade_moves_them(package: Path) -> None:
    (package / "requirements.in").write_text("mlflow-skinny\nsix==1.15.0\n")
    assert compile_in(package) == 0
    (package / "requirements.in").write_text("mlflow-skinny\nsix\n")
    assert compile_in(package) == 0
    assert pins(package)["six"] == "1.15.0"
    first = (package / "requirements.txt").read_bytes()
    (package / "requirements.txt").unlink()
    assert compile_in(package) == 0
    assert (package / "requirements.txt").read_bytes() == first
    assert compile_in(package, "--upgrade") == 0
    assert pins(package)["six"] != "1.15.0"


def test_every_file_has_a_hash_when_asked(package: Path) -> None:
    (package / "requirements.in").write_text("mlflow-skinny\n")
    assert compile_in(package, "--generate-hashes") == 0
    assert (package / "requirements.txt").read_text().count("--hash=sha256:") >= len(pins(package))


def test_missing_requirements_are_named_and_nothing_is_written(package: Path, capfd: Capture) -> None:
    (package / "requirements.in").unlink()
    assert compile_in(package) == 2
    assert "requirements.in: no such file" in capfd.readouterr().err
    assert list(package.iterdir()) == []


def test_explanation_of_uv_is_shown_and_the_old_file_stands_when_nothing_fits(package: Path, capfd: Capture) -> None:
    (package / "requirements.txt").write_text("six==1.16.0\n")
    (package / "requirements.in").write_text("six==1.16.0\nsix==1.15.0\n")
    assert compile_in(package) == 2
    said = capfd.readouterr().err
    assert "your requirements are unsatisfiable" in " ".join(said.split())
    assert "requirements.in: uv refused it" in said
    assert (package / "requirements.txt").read_text() == "six==1.16.0\n"
    assert not list(package.glob(".*.part"))


def test_environment_holds_exactly_what_is_pinned(package: Path) -> None:
    (package / "requirements.txt").write_text(SMALL)
    assert sync_in(package) == 0
    python = package / ".venv" / "bin" / "python"
    shown = subprocess.run(
        [python, "-c", "import six; print(six.__version__)"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "1.16.0\n"
    assert sorted(path.name for path in (package / ".venv/lib").rglob("*.dist-info")) == ["six-1.16.0.dist-info"]


def test_old_environment_stands_when_the_new_one_cannot_be_made(package: Path, capfd: Capture) -> None:
    (package / "requirements.txt").write_text(SMALL)
    assert sync_in(package) == 0
    (package / "requirements.txt").write_text("six==0.0.0.1\n")
    assert sync_in(package) == 2
    assert "requirements.txt: no index or directory that uv knows has six==0.0.0.1." in capfd.readouterr().err
    assert (package / ".venv" / "bin" / "python").exists()
    assert sorted(path.name for path in (package / ".venv/lib").rglob("*.dist-info")) == ["six-1.16.0.dist-info"]
    assert not (package / ".venv.old").exists()


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (">=3.9,<3.11", False),
        (">=3.12", False),
        ("!=3.11.*", False),
        ("==3.10.*", False),
        ("<4,>=3.8", True),
        ("~=3.8", True),
        (">3.10.99,!=3.11.0a1", True),
        ("3.11 or so", True),  # not a condition: uv and pip pass over it
    ],
)
def test_environment_is_refused_when_its_python_is_not_what_a_distribution_asks_for(
    package: Path, asked: str, fits: bool, capfd: Capture, monkeypatch: Patch
) -> None:
    wheels = write_wheels(package / "wheels", "1.0", metadata=f"Requires-Python: {asked}\n")
    monkeypatch.setenv("UV_FIND_LINKS", wheels.as_uri())
    (package / ".python-version").write_text("3.11\n")
    (package / "requirements.txt").write_text(f"{NAME}==1.0\n")
    assert sync_in(package) == (0 if fits else 2)
    assert (package / ".venv").is_dir() is fits
    said = capfd.readouterr().err
    assert fits or f"{NAME} 1.0 requires Python {asked}" in said
    assert fits or "Name another Python in .python-version, or other releases in requirements.in" in said


def test_missing_lock_is_named_when_there_is_none(package: Path, capfd: Capture) -> None:
    assert sync_in(package) == 2
    assert "requirements.txt: no such file" in capfd.readouterr().err


def test_pins_of_one_python_are_no_start_for_another(package: Path) -> None:
    (package / "requirements.in").write_text("mlflow-skinny\nsix==1.15.0\n")
    (package / ".python-version").write_text("3.11\n")
    assert compile_in(package) == 0
    (package / "requirements.in").write_text("mlflow-skinny\nsix\n")
    (package / ".python-version").write_text("3.12\n")
    assert compile_in(package) == 0
    assert pins(package)["six"] != "1.15.0"
    (package / ".python-version").write_text("3.11\n")
    assert compile_in(package) == 0
    assert pins(package)["six"] == "1.15.0"


def test_python_version_is_named_when_it_is_none(package: Path, capfd: Capture) -> None:
    (package / ".python-version").write_text("banana\n")
    assert compile_in(package) == 2
    assert "expected a version, for example 3.11 or 3.11.7, got 'banana'" in capfd.readouterr().err


def test_overrides_of_the_machine_and_of_the_package_both_hold(
    package: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    (package / "requirements.in").write_text("mlflow-skinny\nsix==1.16.0\nidna==3.10\n")
    (package / "overrides.txt").write_text("six==1.15.0\n")
    (package / "constraints.txt").write_text("iniconfig<0\n")
    (tmp_path / "more.txt").write_text("idna==3.4\n")
    monkeypatch.setenv("UV_OVERRIDE", (tmp_path / "more.txt").as_uri())
    assert compile_in(package) == 0
    assert (pins(package)["six"], pins(package)["idna"]) == ("1.15.0", "3.4")
    (package / "constraints.txt").write_text("idna<3\n")
    assert compile_in(package) == 2


def test_rules_of_the_package_hold_from_the_model_alone(package: Path, tmp_path: Path) -> None:
    # As MLflow does it: a directory of links to the model's files, and `uv pip install -r` in it.
    (package / "overrides.txt").write_text("six==1.4.1\n")
    (package / "requirements.txt").write_text("python-dateutil==2.9.0.post0\nsix==1.4.1\n")
    model = tmp_path / "model"
    model.mkdir()
    (model / "uv.toml").write_text(uv_toml(package))
    run_uv(["venv", "--quiet", "--python", interpreter(python_version(package)), ".venv"], tmp_path, ".venv")
    install = ["pip", "install", "--python", str(tmp_path / ".venv"), "-r", str(package / "requirements.txt")]
    with pytest.raises(UsageError):
        run_uv(install, package, "requirements.txt")
    served = tmp_path / "served"
    served.mkdir()
    (served / "uv.toml").symlink_to(model / "uv.toml")
    run_uv(install, served, "requirements.txt")
    (package / "constraints.txt").write_text("setuptools<81\n")
    (model / "uv.toml").write_text(uv_toml(package))
    run_uv([*install[:-2], "setuptools"], served, "requirements.txt")
    (found,) = (tmp_path / ".venv" / "lib").rglob("setuptools-*.dist-info")
    assert int(found.name.split("-")[1].split(".")[0]) < 81
