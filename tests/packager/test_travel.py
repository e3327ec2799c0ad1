"""What may travel: the parts of it that no package of this environment shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_side.base.errors import UsageError
from model_side.model.requirements import read_requirements
from model_side.package.travel import artifact_faults, tree

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
    assert read_requirements(tmp_path)[1:] == [each.strip() for each in line.splitlines()]


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
