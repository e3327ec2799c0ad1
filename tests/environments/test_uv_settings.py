"""uv's settings: which of them are known, written down, and handed on."""

from __future__ import annotations

from pathlib import Path

import compile_requirements
import pytest

from environments.settings import uv_anchored, uv_files, uv_settings
from environments.uv import own_settings
from model_side.base.errors import run_main
from tests.wheels import NAME, write_index


def test_settings_that_can_change_a_resolution_are_named_and_others_are_not() -> None:
    environment = {
        "UV_TORCH_BACKEND": "cpu",
        "UV_OVERRIDE": "o.txt",
        "UV_FIND_LINKS": "wheels",
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_CACHE_DIR": "cache",
        "UV_OFFLINE": "1",
        "UV_INDEX_OURS_PASSWORD": "secret",
        "PATH": "bin",
    }
    assert sorted(uv_settings(environment)) == ["UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_OVERRIDE", "UV_TORCH_BACKEND"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://me:secret@index.example/simple", "https://index.example/simple"),
        ("https://one.example/a https://me:secret@two.example/b", "https://one.example/a https://two.example/b"),
        ("https://me:secret@one.example/a,https://me:secret@two.example", "https://one.example/a,https://two.example"),
        ("ours=https://me:secret@index.example/simple", "ours=https://index.example/simple"),
        ("https://me:s@cret@index.example", "https://index.example"),
        ("/srv/wheels@home", "/srv/wheels@home"),
    ],
)
def test_settings_are_kept_without_credentials(value: str, kept: str) -> None:
    assert uv_settings({"UV_FIND_LINKS": value}) == {"UV_FIND_LINKS": kept}


def test_relative_paths_hold_in_any_directory_when_anchored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "a place"
    here.mkdir()
    monkeypatch.chdir(here)
    environment = {
        "UV_OVERRIDE": "o.txt /srv/p.txt",
        "UV_FIND_LINKS": "wheels,https://index.example/torch",
        "UV_CONFIG_FILE": "uv.toml",
        "UV_TORCH_BACKEND": "cpu",
    }
    assert uv_anchored(environment) == {
        "UV_OVERRIDE": f"{(here / 'o.txt').as_uri()} /srv/p.txt",
        "UV_FIND_LINKS": f"{(here / 'wheels').as_uri()},https://index.example/torch",
        "UV_CONFIG_FILE": str(here / "uv.toml"),
    }
    assert " " not in uv_anchored(environment)["UV_OVERRIDE"].split("/srv")[0].strip()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("UV_INDEX", "./simple"),
        ("UV_INDEX", "ours=simple"),
        ("UV_INDEX", "other=empty ours=./simple"),
        ("UV_EXTRA_INDEX_URL", "./empty ./simple"),
        ("UV_DEFAULT_INDEX", "simple"),
        ("UV_DEFAULT_INDEX", "ours=../a place/simple"),
        ("UV_INDEX_URL", "../a place/simple"),
        ("UV_INDEX", "ours={here}/simple"),
    ],
)
def test_index_at_a_relative_path_is_that_of_the_working_directory(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, package = tmp_path / "a place", tmp_path / "b" / "c"
    for path in (here / "empty", package):
        path.mkdir(parents=True)
    write_index(here / "simple", "1.0")
    write_index(here / "simple", "0.1", name="mlflow-skinny")
    (package / "requirements.in").write_text(f"mlflow-skinny==0.1\n{NAME}\n")
    if value.startswith("ours={here}"):
        here = here.rename(tmp_path / "place")
    monkeypatch.chdir(here)
    monkeypatch.setenv(variable, value.format(here=here))
    assert run_main(lambda: compile_requirements.main(["--package", str(package)])) == 0
    assert f"{NAME}==1.0" in (package / "requirements.txt").read_text()


def test_index_elsewhere_is_left_as_it_is() -> None:
    environment = {
        "UV_INDEX": "https://one.example/simple ours=https://two.example/a=b",
        "UV_DEFAULT_INDEX": "n=/srv/x",
    }
    assert uv_anchored(environment) == environment


def test_files_of_settings_are_found_wherever_uv_looks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "above" / "models" / "foo_mlflow_pkg"
    for name in ("above/uv.toml", "user/uv/uv.toml", "system/uv/uv.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "o.txt").write_text("-r more.txt\n")
    environment = {
        "XDG_CONFIG_HOME": str(tmp_path / "user"),
        "XDG_CONFIG_DIRS": str(tmp_path / "system"),
        "UV_OVERRIDE": "o.txt https://index.example/o.txt",
    }
    found = dict(uv_files(environment, package))
    assert found["uv.toml above the package"] == str(tmp_path / "above" / "uv.toml")
    assert found["uv.toml of the user"] == str(tmp_path / "user" / "uv" / "uv.toml")
    assert found["uv.toml of the system"] == str(tmp_path / "system" / "uv" / "uv.toml")
    assert found["UV_OVERRIDE[0]"] == str(tmp_path / "o.txt")
    assert found["UV_OVERRIDE[1]"] == str(tmp_path / "more.txt")
    assert len(found) == 5


def test_own_files_join_what_the_machine_names(tmp_path: Path) -> None:
    assert own_settings(tmp_path, {"UV_OVERRIDE": "/srv/o.txt"}) == {}
    (tmp_path / "overrides.txt").touch()
    (tmp_path / "constraints.txt").touch()
    assert own_settings(tmp_path, {"UV_OVERRIDE": "/srv/o.txt"}) == {
        "UV_OVERRIDE": "/srv/o.txt overrides.txt",
        "UV_CONSTRAINT": "constraints.txt",
    }
