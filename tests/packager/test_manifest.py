"""The manifest: what is in a package, what it was made from, and that nothing in it can change unseen."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from model_side.base.errors import StepError, UsageError
from model_side.model.manifest import check_manifest, read_files

from .conftest import FLAGS, Author

LOAD = """
import sys, mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pandas.DataFrame({"input_uri": ["artifact://input_example"]})).tolist()[0][0])
"""


@pytest.fixture
def model(good_model: Author, tmp_path: Path) -> Path:
    """Return a copy of a good MLflow Model."""
    return Path(shutil.copytree(good_model.model, tmp_path / "received"))


def test_manifest_lists_every_file_with_its_size_and_sha256(good_model: Author) -> None:
    files = good_model.files()
    manifest = json.loads(files.pop("package_manifest.json"))
    assert manifest["files"].keys() == files.keys()
    for name, content in files.items():
        assert manifest["files"][name] == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["python"] == ".".join(map(str, sys.version_info[:3]))
    assert manifest["mlflow"]
    assert manifest["sources"] == []
    tool = read_files(good_model.root / ".pipeline" / "model_side")
    lines = "".join(f"{entry.sha256}  {name}\n" for name, entry in sorted(tool.items()))
    assert manifest["packager"] == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def test_manifest_names_the_sources_of_the_data_and_the_commit(author: Author) -> None:
    source = '[[source]]\nuri = "https://example.org/w?sig=topsecret1"\npath = "w"\nsha256 = "ab"\n'
    (author.root / "model_data.toml").write_text(source)
    git = ["git", "-C", str(author.root), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "requirements.in"], ["commit", "-qm", "mine"]):
        subprocess.run([*git, *words], check=True)
    assert author.package(*FLAGS).returncode == 0
    manifest = json.loads((author.model / "package_manifest.json").read_text())
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert manifest["source_commit"] == head
    assert manifest["sources"] == [{"uri": "https://example.org/w?...", "path": "w", "sha256": "ab"}]


def test_check_gives_the_digest_when_nothing_changed(model: Path) -> None:
    manifest = json.loads((model / "package_manifest.json").read_text())
    assert check_manifest(model).digest == manifest["digest"]
    (model / "code" / "model_code" / "__pycache__").mkdir()
    (model / "code" / "model_code" / "__pycache__" / "x.pyc").touch()
    assert check_manifest(model).digest == manifest["digest"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


WEIGHTS = "artifacts/tf_tiny/scale.txt"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: flip(model / WEIGHTS), [f"{WEIGHTS}: expected sha256"]),
        (lambda model: (model / WEIGHTS).write_text("0.55"), [f"{WEIGHTS}: expected 3 bytes, got 4"]),
        (lambda model: (model / WEIGHTS).unlink(), [f"{WEIGHTS}: missing"]),
        (lambda model: (model / "code" / "extra.py").touch(), ["code/extra.py: not of this package"]),
        (lambda model: (flip(model / WEIGHTS), (model / "conda.yaml").unlink()), [WEIGHTS, "conda.yaml: missing"]),
    ],
)
def test_check_names_the_file_when_it_is_not_as_packaged(
    model: Path, change: Callable[[Path], object], words: list[str]
) -> None:
    change(model)
    with pytest.raises(StepError) as caught:
        check_manifest(model)
    assert all(word in str(caught.value) for word in words)


def test_check_names_a_directory_that_was_empty_and_is_gone(author: Author) -> None:
    for name in ("assets", "deep/er"):
        (author.root / "model_data" / "tf_tiny" / name).mkdir(parents=True)
    assert author.package(*FLAGS).returncode == 0
    digest, assets = check_manifest(author.model), author.model / "artifacts" / "tf_tiny" / "assets"
    (author.model / "artifacts" / "more").mkdir()  # nothing of it is lost
    (assets / "__pycache__").mkdir()
    assert check_manifest(author.model) == digest
    shutil.rmtree(assets)
    (author.model / "artifacts" / "tf_tiny" / "deep" / "er").rmdir()
    with pytest.raises(StepError) as caught:
        check_manifest(author.model)
    assert "artifacts/tf_tiny/assets/: missing" in str(caught.value)
    assert "artifacts/tf_tiny/deep/er/: missing" in str(caught.value)
    assert author.package(*FLAGS).returncode == 0
    assert check_manifest(author.model) == digest


REGISTERED = "model_name: tiny\nmodel_version: '3'\n"


def add(model: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(text)


def test_check_names_what_mlflow_never_loads_and_goes_on(model: Path) -> None:
    digest = check_manifest(model).digest
    add(model, {"registered_model_meta": REGISTERED})
    assert check_manifest(model) == (digest, ["registered_model_meta"])
    add(model, {"model.sig": "{}", "README.md": "# card", ".gitattributes": "*.npy filter=lfs"})
    add(model, {".git/objects/ab/cd": "blob", ".cache/huggingface/download/MLmodel.metadata": "1"})
    names = [".cache/huggingface", ".git", ".gitattributes", "README.md", "model.sig", "registered_model_meta"]
    assert check_manifest(model) == (digest, names)
    shutil.rmtree(model / ".git")
    add(model, {".git": "gitdir: ../.git/modules/model"})  # of a submodule
    assert check_manifest(model) == (digest, names)


def test_card_and_history_of_a_model_stay_and_others_files_are_not_removed_when_it_is_packaged_again(
    packaged: Author,
) -> None:
    digest = check_manifest(packaged.model).digest
    own = {"README.md": "# card", "model.sig": "{}", ".git/HEAD": "ref: main", ".gitattributes": "*.npy filter=lfs"}
    add(packaged.model, {**own, "registered_model_meta": REGISTERED, "artifacts/tf_tiny/lock.mdb": "left by a model"})
    assert packaged.package(*FLAGS).returncode == 0
    assert {name: packaged.files()[name].decode() for name in own} == own
    assert check_manifest(packaged.model) == (digest, [".git", ".gitattributes", "README.md", "model.sig"])
    add(packaged.model, {"figures/one.txt": "1", "notes.md": "mine"})
    before = packaged.files()
    done = packaged.package(*FLAGS)
    assert done.returncode == 2
    assert "it holds what no step has made: got figures, notes.md. It would be removed: move it away" in done.stderr
    assert packaged.files() == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("registered_model_meta", f"{REGISTERED}more: 1\n"),
        ("registered_model_meta", "model_name: tiny\n"),
        ("registered_model_meta", "import os"),
        ("registered_model_meta", "a: [\n"),
        ("registered_model_meta", REGISTERED + "#" * 10_000),
        ("registered_model_meta", "model_name: 2026-99-99\n"),
        ("registered_model_meta/x", REGISTERED),
        ("model.sig/x.py", "import os"),
        ("README.md/x", "# card"),
        ("code/registered_model_meta", REGISTERED),
        ("code/README.md", "# card"),
        ("artifacts/.git/config", "[core]"),
        (".cache/pip/x", "1"),
        (".github/x", "1"),
        ("LICENSE.txt", "MIT"),
    ],
)
def test_check_refuses_what_is_added_elsewhere_or_is_unknown(model: Path, name: str, text: str) -> None:
    add(model, {name: text})
    with pytest.raises(StepError, match=f"{re.escape(name)}: not of this package"):
        check_manifest(model)


def test_check_refuses_an_added_file_that_the_package_has_itself(model: Path) -> None:
    manifest = json.loads((model / "package_manifest.json").read_text())
    manifest["files"]["README.md"] = {"size": 1, "sha256": "ab"}
    add(model, {"package_manifest.json": json.dumps(manifest), "README.md": "other"})
    with pytest.raises(StepError, match=r"README.md: expected 1 bytes, got 5"):
        check_manifest(model)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"files": {"a": 1}}', '{"files": {"a": {"size": 1}}}'])
def test_check_refuses_when_there_is_no_manifest_to_go_by(model: Path, content: str | None) -> None:
    (model / "package_manifest.json").unlink()
    if content is not None:
        (model / "package_manifest.json").write_text(content)
    with pytest.raises(UsageError, match=r"package_manifest\.json"):
        check_manifest(model)


def test_model_from_code_loads_without_any_pickle(author: Author) -> None:
    assert author.package(*FLAGS, "--serialization", "code").returncode == 0
    files = author.files()
    assert "model.py" in files
    assert "python_model.pkl" not in files
    assert not [name for name, content in files.items() if str(author.root.parent).encode() in content]
    command = [sys.executable, "-c", LOAD, str(author.model)]
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    done = subprocess.run(command, cwd=author.root.parent, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "3.0\n"


def test_dry_run_checks_everything_before_saving_and_writes_nothing(author: Author, scaffolded: Author) -> None:
    before = sorted(author.root.rglob("*.*"))
    done = author.package(*FLAGS, "--dry-run", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"ok": True, "dry_run": True, "model": "mlflow_model_artifacts"}
    assert [path for path in sorted(author.root.rglob("*.*")) if path.suffix != ".pyc"] == before
    assert author.package("--dry-run").returncode == 2


def test_other_payload_must_pass_too_when_it_is_given(packaged: Author) -> None:
    good = packaged.files()
    (packaged.root / "more.txt").write_text("1 1 1\n2 2 2\n3 3 3\n")
    payload = packaged.root / "payload.json"
    payload.write_text(json.dumps({"inputs": {"input_uri": ["more.txt"]}}))
    flags = (*FLAGS, "--json-payload-filepath", "payload.json", "--json")
    done = packaged.package(*flags, STEP_FOUND=str(packaged.root.parent / "found.json"))
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["output"] == "float32 [3, 4]"
    assert document["digest"] == check_manifest(packaged.model).digest
    told = json.loads((packaged.root.parent / "found.json").read_text())
    assert told.pop("proof")["seconds"] > 0
    assert told == {"digest": document["digest"], "output": document["output"], "predictions": 3, "loads": 2}
    assert packaged.files() == good
    for text, code, word in (
        (json.dumps({"inputs": {"input_uri": ["none.txt"]}}), 1, "none.txt"),
        (json.dumps({"inputs": {"input_url": ["more.txt"]}}), 2, "input_url"),
    ):
        payload.write_text(text)
        done = packaged.package(*FLAGS, "--json-payload-filepath", "payload.json")
        assert done.returncode == code
        assert word in done.stderr
    assert packaged.package(*FLAGS, "--json-payload-filepath", "none.json").returncode == 2
    assert packaged.files() == good


def test_artifact_is_one_copy_that_the_manifest_describes_when_packaged(packaged: Author) -> None:
    directory = packaged.root / "model_data" / "tf_tiny"
    (directory / "deep" / "empty").mkdir(parents=True)
    (directory / "deep" / "big.bin").write_bytes(os.urandom(20_000_000))
    (directory / "link.txt").symlink_to("scale.txt")
    assert packaged.package(*FLAGS).returncode == 0
    saved = packaged.model / "artifacts" / "tf_tiny"
    for name in ("deep/big.bin", "scale.txt", "link.txt"):
        assert (saved / name).read_bytes() == (directory / name).read_bytes()
        assert not (saved / name).samefile(directory / name)
        assert not (saved / name).is_symlink()
    check_manifest(packaged.model)
    mlmodel = (packaged.model / "MLmodel").read_text()
    assert "uri: model_data/tf_tiny\n" in mlmodel
    size = next(int(line.split()[1]) for line in mlmodel.splitlines() if line.startswith("model_size_bytes"))
    assert size > 20_000_000


def test_artifact_shares_its_bytes_when_the_author_opts_in(packaged: Author) -> None:
    weights = packaged.root / "model_data" / "tf_tiny" / "scale.txt"
    assert packaged.package(*FLAGS, "--link-artifacts").returncode == 0
    assert (packaged.model / WEIGHTS).samefile(weights)
    check_manifest(packaged.model)
