"""model_data.toml as it is written, and pyvenv.cfg: read in one place each."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_side.base.errors import UsageError
from model_side.base.variables import pyvenv
from model_side.model.declared_data import declared_paths, declared_sources


def test_sources_are_the_tables_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "model_data.toml"
    assert declared_sources(path) == []
    for text, sources in (
        ('[[source]]\nuri = "u"\npath = "a"\n', [{"uri": "u", "path": "a"}]),
        ('[[source]]\ncommand = "c"\noutputs = ["a", "b", 1]\n', [{"command": "c", "outputs": ["a", "b", 1]}]),
        ('source = ["a"]\n', []),
        ("source = 1\n", []),
        ("", []),
    ):
        path.write_text(text)
        assert declared_sources(path) == sources
        for source in declared_sources(path):
            source.clear()  # what one reader does with it, the next does not see
        assert declared_sources(path) == sources


@pytest.mark.parametrize("content", [b"a =", b"\xff", b'uri = "https://me:secret@example.org'])
def test_declaration_is_refused_without_its_credentials_when_it_is_not_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model_data.toml").write_bytes(content)
    with pytest.raises(UsageError, match=f"{tmp_path.name}/model_data.toml: not valid TOML") as caught:
        declared_sources(tmp_path / "model_data.toml")
    assert "secret" not in str(caught.value)


def test_paths_of_a_source_are_its_outputs_or_its_path() -> None:
    assert declared_paths({"outputs": ["a", "b", 1], "path": "c"}) == ["a", "b"]
    assert declared_paths({"path": "c"}) == ["c"]
    assert declared_paths({"path": 1}) == declared_paths({}) == []


def test_settings_of_an_environment_are_those_of_its_pyvenv_cfg(tmp_path: Path) -> None:
    assert pyvenv(tmp_path) == {}
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.8.0\n\nprompt=a=b\n")
    assert pyvenv(tmp_path) == {"home": "/usr/bin", "uv": "0.8.0", "prompt": "a=b"}
