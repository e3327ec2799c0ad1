"""Which configuration counts: what the real uv reads is what makes requirements and environments stale."""

from __future__ import annotations

import os
from pathlib import Path

import compile_requirements
import pytest

from environments.settings import uv_files, uv_tables
from model_side.base.errors import run_main
from tests.wheels import NAME, write_wheels

TABLE, PROJECT = "[tool.uv]\n", '[project]\nname = "x"\nversion = "0"\n'
# By layout: the files below a directory, each with what is before its constraint; what uv runs in is a/models/pkg.
LAYOUTS = {
    "nothing": {},
    "above": {"a/models/uv.toml": ""},
    "nearest wins": {"a/models/uv.toml": "", "a/uv.toml": ""},
    "the package's own": {"a/models/pkg/uv.toml": "", "a/models/uv.toml": ""},
    "the package's own, in a project": {"a/models/pkg/uv.toml": "", "a/pyproject.toml": PROJECT + TABLE},
    "table": {"a/models/pyproject.toml": TABLE, "a/uv.toml": ""},
    "table in the package": {"a/models/pkg/pyproject.toml": TABLE, "a/models/uv.toml": ""},
    "uv.toml beside a table": {"a/models/uv.toml": "", "a/models/pyproject.toml": TABLE},
    "no table": {"a/models/pyproject.toml": "[tool.other]\n", "a/uv.toml": ""},
    "not TOML": {"a/models/pyproject.toml": "[", "a/uv.toml": ""},
    "project": {"a/models/uv.toml": "", "a/pyproject.toml": PROJECT + TABLE},
    "project without table": {"a/models/uv.toml": "", "a/pyproject.toml": PROJECT, "uv.toml": ""},
    "project that uv leaves alone": {"a/models/uv.toml": "", "a/pyproject.toml": PROJECT + TABLE + "managed = false\n"},
    "workspace": {"a/models/uv.toml": "", "a/pyproject.toml": "[tool.uv.workspace]\nmembers = []\n" + TABLE},
    "member": {
        "a/models/pkg/pyproject.toml": PROJECT + TABLE,
        "a/pyproject.toml": '[tool.uv.workspace]\nmembers = ["models/*"]\n' + TABLE,
    },
    "no member": {
        "a/models/pkg/pyproject.toml": PROJECT + TABLE,
        "a/pyproject.toml": PROJECT + '[tool.uv.workspace]\nexclude = ["models/*"]\n' + TABLE,
    },
}


@pytest.mark.e2e
@pytest.mark.parametrize("layout", LAYOUTS)
def test_configuration_that_uv_obeys_is_among_what_makes_stale(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "a" / "models" / "pkg"
    package.mkdir(parents=True)
    (package / "requirements.in").write_text(f"mlflow-skinny\n{NAME}\n")
    write_wheels(tmp_path / "wheels", *(f"{number}.0" for number in range(1, len(LAYOUTS[layout]) + 2)))
    for number, (name, start) in enumerate(LAYOUTS[layout].items(), 1):
        (tmp_path / name).write_text(f'{start}constraint-dependencies = ["{NAME}=={number}"]\n')
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    assert run_main(lambda: compile_requirements.main(["--package", str(package)])) == 0
    pinned = (package / "requirements.txt").read_text().partition(f"{NAME}==")[2]
    number = int(pinned.partition(".")[0])
    obeyed = [*LAYOUTS[layout], ""][number - 1]
    files = {os.path.relpath(path, tmp_path) for _, path in uv_files(os.environ, package)}
    tables = uv_tables(os.environ, package).values()
    if obeyed.endswith("pyproject.toml"):
        assert any(f"{NAME}=={number}" in table for table in tables)
    elif obeyed:
        assert obeyed in files
    assert len(tables) + len(files & {*LAYOUTS[layout]}) == (
        2 if layout in ("member", "no member") else 1 if obeyed else 0
    )


def test_nothing_is_looked_for_when_uv_is_told_not_to(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "uv.toml").touch()
    (tmp_path / "a" / "pyproject.toml").write_text(TABLE)
    (tmp_path / "user" / "uv").mkdir(parents=True)
    (tmp_path / "user" / "uv" / "uv.toml").touch()
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "user"), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert len(uv_tables(environment, tmp_path / "a")) == 1
    assert len(list(uv_files(environment, tmp_path / "b"))) == 2
    told = {**environment, "UV_NO_CONFIG": "true"}
    assert (uv_tables(told, tmp_path / "a"), list(uv_files(told, tmp_path / "b"))) == ({}, [])
    told = {**environment, "UV_CONFIG_FILE": str(tmp_path / "uv.toml")}
    assert uv_tables(told, tmp_path / "a") == {}
    assert [label for label, _ in uv_files(told, tmp_path / "b")] == ["UV_CONFIG_FILE"]


def test_table_is_written_down_without_credentials(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f'{TABLE}index-url = "https://me:secret@index.example/simple?token=abc"\n')
    (table,) = uv_tables({}, tmp_path).values()
    assert "index.example/simple" in table
    assert not {"secret", "abc"} & {*table.replace("@", ":").replace("=", ":").replace('"', ":").split(":")}
