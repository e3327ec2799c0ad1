"""What may travel: the parts of it that no package of this environment shows."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from environments.installed import pins
from model_side.base.errors import UsageError
from model_side.model.requirements import read_requirements
from model_side.package.travel import artifact_faults, tree
from serving.recipe import read_recipe, recipe_ahead

from .conftest import FLAGS, Author


def two_weights(root: Path) -> dict[str, Path]:
    paths = {name: root / name / "w.txt" for name in ("one", "two")}
    for name, path in paths.items():
        path.parent.mkdir(parents=True)
        path.write_text(name)
    return paths


def test_artifacts_of_one_base_name_both_travel(author: Author) -> None:
    two_weights(author.root / "model_data")
    words = [f"--artifact={name}=model_data/{name}/w.txt" for name in ("one", "two")]
    assert author.package(*FLAGS, *words).returncode == 0
    assert sorted(text for name, text in author.files().items() if name.endswith("w.txt")) == [b"one", b"two"]


def test_tree_ends_when_a_link_leads_back(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "w").touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert {path.name for path in tree(tmp_path)} == {"w", "back"}
    (fault,) = artifact_faults({"checkpoint": tmp_path}, {})
    assert "a/back: a link to a directory that it lies in itself" in fault


def test_directory_is_read_twice_when_two_links_lead_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "w").touch()
    (tmp_path / "b").symlink_to("a")
    assert [path.relative_to(tmp_path).as_posix() for path in tree(tmp_path)] == ["a/w", "b/w"]


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.1.0 ; python_version > '3.10'  # via mlflow",
        "--index-url https://example.org/simple",
        "mine @ https://example.org/mine-1-py3-none-any.whl#sha256=aa",
        "mine @ git+ssh://git@example.org/mine.git@v1",
        "numpy==2.1.0 \\\n    --hash=sha256:aa",
    ],
)
def test_requirement_travels_when_any_receiver_can_get_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"# made by uv\nmlflow-skinny==3.1.0\n{line}\n")
    said = line.partition("  #")[0].replace("\\", "")
    assert read_requirements(tmp_path)[1:] == [" ".join(said.split())]


OF_THIS_MACHINE = (
    *("--editable=../mine", "./mine.whl", "wheels/mine-1-py3-none-any.whl", "/opt/mine"),
    *("mine @ file:///opt/mine", "mine @ ../mine"),
)
PLACES = ("--find-links wheels", "--index-url /srv/simple")
CREDENTIALS = (
    "mine @ https://me:hunter2@example.org/mine.zip",
    "git+https://hunter2@example.org/mine.git",
    "--extra-index-url https://me:hunter2@example.org/simple",
    "mine @ https://example.org/mine.zip?access_token=hunter2",
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mlflow==3.1.0\nnumpy\n", "line 2: it is not pinned: expected name==version, got numpy"),
        ("mlflow>=3.1\n", "line 1: it is not pinned"),
        ("mlflow==3.1.0\nnumpy>=\n", "line 2: it is not pinned"),
        ("mlflow==3.1.0\nnumpy==2.*\n", "line 2: it is not pinned"),
        ("mlflow==3.1.0\n!!!\n", "line 2: it is not pinned"),
        ("numpy==2.1.0\n", "it does not name mlflow"),
        ("", "it does not name mlflow"),
        ("mlflow\udcff", "expected UTF-8"),
        *((f"mlflow==3.1.0\n{line}\n", "line 2: it names what is on this machine only") for line in OF_THIS_MACHINE),
        *((f"mlflow==3.1.0\n{line}\n", "line 2: it names a place on this machine") for line in PLACES),
        ("mlflow==3.1.0\n-r other.txt\n", "line 2: it names another file"),
        ("mlflow==3.1.0\n--constraint=c.txt\n", "line 2: it names another file"),
        *((f"mlflow==3.1.0\n{line}\n", "line 2: it holds a credential") for line in CREDENTIALS),
    ],
)
def test_requirements_are_refused_when_they_cannot_travel(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "requirements.txt").write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError) as caught:
        read_requirements(tmp_path)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_every_line_that_cannot_travel_is_named_and_no_credential_is(tmp_path: Path) -> None:
    text = "-e .\n\nmine @ https://u:hunter2@example.org/x?token=hunter2&a=1\n# uv pip compile -i https://u:hunter2@x.org\n"
    (tmp_path / "requirements.txt").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_requirements(tmp_path)
    said = str(caught.value)
    assert "line 1: it names what is on this machine only: got -e ." in said
    assert "line 3: it holds a credential" in said
    assert "line 4: it holds a credential" in said
    assert "https://***@example.org/x?token=***&a=1" in said
    assert "hunter2" not in said


def test_desks_of_downloads_do_not_travel(author: Author) -> None:
    data = author.root / "model_data"
    for name in (".downloads/record.json", ".downloads/desk/part", "tf_tiny/mine.bad", "tf_tiny/.downloads/mine"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("0.5")
    assert author.package(*FLAGS, "--artifact", "all=model_data").returncode == 0
    travelled = {name.partition("/model_data/")[2] for name in author.files() if "/model_data/" in name}
    assert travelled >= {"tf_tiny/mine.bad", "tf_tiny/.downloads/mine"}
    assert not [name for name in travelled if name.startswith(".downloads")]


# Requirements that MLflow writes in other words than their author, or leaves out as said before.
REWRITTEN = r"""--extra-index-url https://example.org/simple
mlflow==3.1.0 \
    --hash=sha256:aa \
    --hash=sha256:bb
    # via -r requirements.in
colorama == 0.4.6 ; sys_platform == 'win32'  # via click
NumPy==2.3.0
NumPy==2.3.0
torch==2.13.0+cpu
uvicorn[standard, http]==0.30.0; (python_version > '3.8')
mine @ https://example.org/mine-1-py3-none-any.whl#sha256=aa
six==1.16.0"""


def test_recipe_of_the_environment_is_known_before_the_model_is_made(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = author.root / ".venv" / "lib" / "python3.11" / "site-packages"
    for name, version in (("setuptools", "80.9.0"), ("wheel", "0.45.1")):  # pip is not there
        (site / f"{name}-{version}.dist-info").mkdir(parents=True)
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (author.root / ".venv" / "pyvenv.cfg").write_text(f"version_info = {platform.python_version()}\n")
    (author.root / "requirements.txt").write_text(REWRITTEN)
    monkeypatch.setenv("PYTHONPATH", str(site))  # a tool environment has no build tools
    monkeypatch.setenv("MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK", "true")
    assert author.package_by_hand(*FLAGS).returncode == 0
    ahead, asked = recipe_ahead(author.root, os.environ), read_recipe(author.model, os.environ)
    assert ahead == replace(asked, above=ahead.above)
    assert asked.build_dependencies == ("pip", "setuptools==80.9.0", "wheel==0.45.1")
    pinned = pins(asked.files["requirements.txt"])
    assert pinned == {"mlflow": "3.1.0", "numpy": "2.3.0", "torch": "2.13.0+cpu", "six": "1.16.0"}
    assert ahead.fingerprint == asked.fingerprint
