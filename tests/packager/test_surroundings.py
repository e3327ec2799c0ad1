"""The packager in odd surroundings: links, other users, other runs of it, settings of the shell."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.archetypes.conftest import write

from .conftest import FLAGS, Author


def test_model_lies_where_the_link_leads_and_mlflow_gives_no_advice(author: Author) -> None:
    link, place = author.root / "link", author.root.parent / "scratch"
    link.symlink_to(place)
    for _ in range(2):
        done = author.package(*FLAGS, "--out-dir", "link")
        assert (done.returncode, done.stderr) == (0, "")
        assert link.readlink() == place
        assert (place / "MLmodel").is_file()
    assert {path.name for path in author.root.parent.iterdir()} == {author.root.name, "scratch"}


def test_packager_refuses_and_leaves_the_other_alone_when_two_make_one_model(packaged: Author) -> None:
    work = packaged.root / ".mlflow_model_artifacts.part-other"
    work.mkdir()
    before = packaged.files()
    descriptor = os.open(work, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = packaged.package(*FLAGS)
    assert done.returncode == 1
    assert "mlflow_model_artifacts: another process is making it" in done.stderr
    assert work.is_dir()
    assert packaged.files() == before
    os.close(descriptor)
    assert packaged.package(*FLAGS).returncode == 0
    assert not work.exists()


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "253402300800"])
def test_packager_names_source_date_epoch_when_it_is_no_time(author: Author, text: str) -> None:
    done = author.package(*FLAGS, SOURCE_DATE_EPOCH=text)
    assert done.returncode == 2
    assert done.stderr.startswith("error: SOURCE_DATE_EPOCH: not a time")


def test_packager_needs_no_directory_on_its_path_when_that_is_safe(author: Author) -> None:
    command = [sys.executable, "-P", "mlflow_packager.py", "--no-such-flag"]
    done = subprocess.run(command, cwd=author.root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--no-such-flag" in done.stderr


def test_closed_streams_do_no_harm(author: Author) -> None:
    command = f"{sys.executable} mlflow_packager.py {' '.join(FLAGS)} --json <&- >&-"
    done = subprocess.run(command, shell=True, cwd=author.root, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (author.model / "MLmodel").is_file()


def test_model_is_the_same_to_the_byte_when_another_person_makes_it_elsewhere_on_another_day(
    author: Author, good_model: Author, tmp_path: Path
) -> None:
    code, weights = author.root / "model_code", author.root / "model_data" / "tf_tiny"
    for other in (code, weights):  # written in another order, at another time
        contents = {path.name: path.read_bytes() for path in sorted(other.iterdir(), reverse=True) if path.is_file()}
        shutil.rmtree(other)
        other.mkdir(mode=0o700)
        for name, content in contents.items():
            (other / name).write_bytes(content)
            os.utime(other / name, (86400, 86400))
    scratch = tmp_path / "another scratch"
    scratch.mkdir()
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(scratch), "HOME": str(scratch), "USER": "someone"}
    environment |= {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    command = [sys.executable, "mlflow_packager.py", *FLAGS]
    subprocess.run(command, cwd=author.root, env=environment, umask=0o077, check=True)
    assert author.files() == good_model.files()
    assert not list(scratch.rglob("*.*"))


def test_dry_run_holds_the_example_to_the_signature(tmp_path: Path) -> None:
    author = write(tmp_path, "dataframe_to_dataframe")
    author.declare('INPUT_EXAMPLE = pandas.DataFrame({"value": ["a"]})')
    done = author.package("--dry-run")
    assert done.returncode == 2
    assert "INPUT_EXAMPLE: does not fit the model's signature:\n" in done.stderr
    assert 'dataframe_split.data[0][0] (column "value")' in done.stderr


def test_stored_example_is_json_when_an_optional_value_is_missing(tmp_path: Path) -> None:
    author = write(tmp_path, "dataframe_to_dataframe")
    spec = author.root / "model_spec.py"
    optional = 'ColSpec("double", "value"), ColSpec("string", "note", False), ColSpec("double", "size", False)'
    example = 'pandas.DataFrame({"value": [1.0, 2.0], "note": ["a", None], "size": [None, 3.0]})'
    text = spec.read_text().replace('ColSpec("double", "value")', optional)
    spec.write_text(f"{text}\nINPUT_EXAMPLE = {example}\n")
    body = 'table["value"] + table["note"].isna() + 10 * table["size"].isna()'
    author.replace('table["value"]', body)
    assert author.package().returncode == 0
    stored = json.loads((author.model / "serving_input_example.json").read_text())
    assert stored["dataframe_split"]["data"] == [[1.0, "a", None], [2.0, None, 3.0]]
    assert author.golden() == [{"score": 5.5}, {"score": 1.5}]


# Root reads and writes everything by CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH; without them it is as any user.
AS_USER = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def package_as_user(author: Author) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AS_USER, "mlflow_packager.py", *FLAGS]
    done = subprocess.run(command, cwd=author.root, capture_output=True, text=True, check=False)
    print(done.stderr)
    return done


def test_packager_names_every_path_that_may_not_be_read(packaged: Author) -> None:
    before = packaged.files()
    closed = {"model_data/tf_tiny/scale.txt": 0, "model_data/tf_tiny/sub": 0o400, "model_code/secret.py": 0}
    (packaged.root / "model_data/tf_tiny/sub").mkdir()
    (packaged.root / "model_code/secret.py").touch()
    for name, mode in closed.items():
        (packaged.root / name).chmod(mode)
    done = package_as_user(packaged)
    assert done.returncode == 2
    assert "model_code/secret.py: it cannot be read: permission denied" in done.stderr
    (packaged.root / "model_code/secret.py").unlink()
    done = package_as_user(packaged)
    assert done.returncode == 2
    for name in ("tf_tiny/scale.txt", "tf_tiny/sub"):
        assert f'artifact "checkpoint": {name}: it cannot be read: permission denied' in done.stderr
    assert packaged.files() == before


def test_package_of_read_only_sources_can_be_replaced(author: Author) -> None:
    tops = [author.root / "model_code", author.root / "model_data"]
    closed = [*tops, *(path for top in tops for path in top.rglob("*"))]
    for path in closed:
        path.chmod(0o555 if path.is_dir() else 0o444)
    for _ in range(2):
        assert package_as_user(author).returncode == 0
    assert not list(author.root.glob(".mlflow_model_artifacts*"))
    for path in closed:
        path.chmod(0o755)


def run_help(author: Author, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, "mlflow_packager.py", "--help"], {**os.environ, **environment}
    return subprocess.run(command, cwd=author.root, env=env, capture_output=True, text=True, check=False)


def test_packager_runs_the_hidden_code_of_the_package_or_what_a_build_names(author: Author) -> None:
    (author.root / "model_side").mkdir()
    (author.root / "model_side" / "__init__.py").write_text("raise RuntimeError('of an older package')")
    done = run_help(author)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--output-dtype" in done.stdout
    assert "Exit codes: 0 packaged" in done.stdout
    shutil.rmtree(author.root / ".pipeline")
    done = run_help(author)
    assert done.returncode == 2
    advice = f"`invoke scaffold --model tiny --models-dir {author.root.parent}` puts it there."
    assert f"error: {author.root}/.pipeline/model_side: no such directory. {advice}" in done.stderr
    assert run_help(author, MODEL_SIDE=str(Path(__file__).parents[2] / "scripts")).returncode == 0


def test_modules_beside_the_tools_code_are_none_of_the_models(author: Author) -> None:
    author.add("import importlib.util\n    assert not importlib.util.find_spec('predict_func')")
    assert author.package(*FLAGS, MODEL_SIDE=str(Path(__file__).parents[2] / "scripts")).returncode == 0
