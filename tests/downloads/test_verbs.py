"""The verbs of Invoke around downloads: a lock, the cache, and what a removed source leaves."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import generate_model_pkg_dir_structure as scaffold
import pytest

from downloads.desk import desk_name

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package that declares one file of this machine, without its sha256."""
    (tmp_path / "models").mkdir()
    assert scaffold.main(["--model-name", "foo", "--target", str(tmp_path / "models")]) == 0
    (tmp_path / "w.bin").write_text("weights")
    root = tmp_path / "models" / "foo_mlflow_pkg"
    source = f'# mine\n[[source]]\nuri = "{(tmp_path / "w.bin").as_uri()}"\npath = "w.bin"\n'
    (root / "model_data.toml").write_text(source)
    return root


def invoke(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", *words]
    if words[0] != "cache":
        command += ["--model", "foo", "--models-dir", str(package.parent)]
    environment = {**os.environ, "MODEL_DATA_CACHE": str(package.parents[1] / "cache")}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done


def test_lock_fills_in_what_a_build_refused_to_guess(package: Path) -> None:
    assert invoke(package, "download-data").returncode == 2
    assert invoke(package, "download-data", "--lock").returncode == 0
    text = (package / "model_data.toml").read_text()
    assert hashlib.sha256(b"weights").hexdigest() in text
    assert text.startswith("# mine\n")
    assert "download-data  up to date" in invoke(package, "download-data").stdout
    assert (package / "model_data" / "w.bin").read_text() == "weights"
    assert invoke(package, "download-data", "--check").returncode == 0
    (package / "model_data" / "w.bin").write_text("weightz")
    done = invoke(package, "download-data", "--check")
    assert (done.returncode, "w.bin: altered" in done.stderr) == (1, True)


def test_mutable_source_is_warned_of_at_each_build(package: Path) -> None:
    text = (package / "model_data.toml").read_text()
    (package / "model_data.toml").write_text(f"{text}mutable = true\n")
    warning = "warning: model_data/w.bin: mutable, without sha256: any content of "
    for state in ("ran", "up to date"):
        done = invoke(package, "download-data")
        assert (done.returncode, done.stderr.count(warning)) == (0, 1)
        assert f"download-data  {state}" in done.stdout
    assert warning not in invoke(package, "scaffold").stderr


def test_lock_says_what_would_run_and_writes_nothing_when_dry(package: Path) -> None:
    before = (package / "model_data.toml").read_text()
    done = invoke(package, "download-data", "--lock", "--dry-run")
    assert done.returncode == 0
    assert "would run" in done.stdout
    assert (package / "model_data.toml").read_text() == before
    assert not (package / "model_data" / "w.bin").exists()


def test_file_of_a_removed_source_is_an_orphan_that_clean_removes(package: Path) -> None:
    assert invoke(package, "download-data", "--lock").returncode == 0
    (package / "model_data" / "mine.bin").write_text("mine")
    (package / "model_data.toml").write_text("# nothing\n")
    assert "model_data/w.bin is an orphan" in invoke(package, "status").stdout
    listed = invoke(package, "clean", "--dry-run").stdout
    assert "would remove model_data/w.bin: no source declares it\n" in listed
    assert (package / "model_data" / "w.bin").exists()
    assert invoke(package, "clean").stdout == listed.replace("would remove", "removed")
    assert not (package / "model_data" / "w.bin").exists()
    assert (package / "model_data" / "mine.bin").read_text() == "mine"
    assert "orphan" not in invoke(package, "status").stdout


def test_orphan_that_was_edited_is_kept_and_a_dry_run_says_so_too(package: Path) -> None:
    assert invoke(package, "download-data", "--lock").returncode == 0
    (package / "model_data.toml").write_text("# nothing\n")
    (package / "model_data" / "w.bin").write_text("mine")
    listed = invoke(package, "clean", "--dry-run").stdout
    assert "kept model_data/w.bin: it was edited, so it may be yours\n" in listed
    assert invoke(package, "clean").stdout == listed.replace("would remove", "removed")
    assert (package / "model_data" / "w.bin").read_text() == "mine"


@pytest.mark.parametrize("flags", [[], ["--all"]])
def test_unfinished_and_wrong_files_of_a_removed_source_are_orphans(package: Path, flags: list[str]) -> None:
    text = (package / "model_data.toml").read_text()
    (package / "model_data.toml").write_text(f'{text}sha256 = "{"a" * 64}"\n')
    assert invoke(package, "download-data").returncode == 1
    data = package / "model_data"
    bad = f"model_data/.downloads/{desk_name(['w.bin'])}/bad"
    assert (package / bad / "w.bin").read_text() == "weights"
    assert "orphan" not in invoke(package, "status").stdout
    (package / "model_data.toml").write_text("# nothing\n")
    (data / "mine.bad").write_text("mine")
    assert f"{bad} is an orphan" in invoke(package, "status").stdout
    assert f"would remove {bad}" in invoke(package, "clean", "--dry-run").stdout
    assert f"removed {bad}" in invoke(package, "clean", *flags).stdout
    assert [path.name for path in data.rglob("*") if path.is_file() and path.name != ".gitignore"] == ["mine.bad"]


def test_cleaning_all_takes_what_is_unfinished_along(package: Path) -> None:
    text = (package / "model_data.toml").read_text()
    (package / "model_data.toml").write_text(f'{text}sha256 = "{"a" * 64}"\n')
    assert invoke(package, "download-data").returncode == 1
    bad = package / "model_data" / ".downloads" / desk_name(["w.bin"]) / "bad"
    assert "/bad" not in invoke(package, "clean").stdout
    assert bad.exists()
    listed = invoke(package, "clean", "--all", "--dry-run").stdout
    assert f"would remove {bad.relative_to(package)}: what a download left unfinished or wrong\n" in listed
    assert f"removed {bad.relative_to(package)}: what a" in invoke(package, "clean", "--all").stdout
    assert not bad.exists()
    assert not (package / ".pipeline" / "ledger.json").exists()


def test_file_that_its_author_put_there_is_never_removed_when_a_source_declares_it(package: Path) -> None:
    mine = package / "model_data" / "mine.txt"
    mine.write_text("mine")
    before = (package / "model_data.toml").read_text()
    digest = hashlib.sha256(b"mine").hexdigest()
    source = f'[[source]]\nuri = "file:///gone/mine.txt"\npath = "mine.txt"\nsha256 = "{digest}"\n'
    (package / "model_data.toml").write_text(source)
    assert invoke(package, "download-data").returncode == 0
    done = invoke(package, "clean", "--all")
    assert "kept model_data/mine.txt: it was there before its source was declared, so it is yours" in done.stdout
    assert mine.read_text() == "mine"
    assert invoke(package, "download-data").returncode == 0
    (package / "model_data.toml").write_text(before)
    assert "orphan" not in invoke(package, "status").stdout
    invoke(package, "clean")
    assert mine.read_text() == "mine"


def test_cache_shows_what_it_holds_and_prunes_it(package: Path) -> None:
    assert "0 files" in invoke(package, "cache").stdout
    assert json.loads(invoke(package, "cache", "--json").stdout)["found"]["files"] == []
    assert "removed 0 files" in invoke(package, "cache", "--prune", "0").stderr


def test_verb_says_so_when_there_is_nothing_to_do(package: Path) -> None:
    assert invoke(package, "download-data", "--lock").returncode == 0
    assert "every byte of 1 sources is as declared" in invoke(package, "download-data", "--check").stderr
    assert "up to date with its template" in invoke(package, "scaffold", "--update").stderr
    invoke(package, "clean")
    assert invoke(package, "clean").stdout == "foo: nothing to remove\n"


def test_path_that_leaves_is_named_as_the_author_wrote_it(package: Path) -> None:
    text = (package / "model_data.toml").read_text()
    (package / "model_data.toml").write_text(text.replace('path = "w.bin"', 'path = "../../x"'))
    done = invoke(package, "download-data")
    assert done.returncode == 2
    assert "model_data.toml: a path leaves the directory: expected one inside model_data/, got '../../x'" in done.stderr


def test_refused_request_is_a_json_document_where_one_is_due(package: Path) -> None:
    done = invoke(package, "package", "--model", "fooo", "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert "Did you mean 'foo'?" in document["error"]
    assert invoke(package, "status", "--model", "").returncode == 2
