"""What of a package's settings of uv travels in its MLflow Model."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from model_side.base.errors import UsageError
from model_side.model.requirements import read_uv_toml, uv_toml

INDEX = '[[index]]\nname = "cpu"\nurl = "https://index.example/cpu"\n'


def test_rules_travel_without_comments_and_hashes_beside_what_uv_toml_says(tmp_path: Path) -> None:
    assert uv_toml(tmp_path) == ""
    constraints = "setuptools<81  # why\nsix==1.16.0 \\\n    --hash=sha256:00 \\\n --hash sha256:11\n"
    (tmp_path / "constraints.txt").write_text(constraints)
    (tmp_path / "overrides.txt").write_text("# why\ntorch==2.13.0  # runs, too\n\nsix>=1 ; python_version < '4'\n")
    (tmp_path / "uv.toml").write_text(INDEX)
    assert tomllib.loads(uv_toml(tmp_path)) == {
        "constraint-dependencies": ["setuptools<81", "six==1.16.0"],
        "override-dependencies": ["torch==2.13.0", "six>=1 ; python_version < '4'"],
        "index": [{"name": "cpu", "url": "https://index.example/cpu"}],
    }


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "overrides.txt").write_text("six==1.4.1\n")
    (tmp_path / "constraints.txt").write_text("setuptools<81\n")
    rules = {"overrides.txt": ("six==1.4.1",), "constraints.txt": ("setuptools<81",)}
    assert read_uv_toml(uv_toml(tmp_path)) == (rules, False)
    (tmp_path / "uv.toml").write_text(INDEX)
    assert read_uv_toml(uv_toml(tmp_path)) == (rules, True)
    assert read_uv_toml("") == ({}, False)
    for text in ('override-dependencies = "six"', "constraint-dependencies = [1]", "a ="):
        with pytest.raises(UsageError, match=r"uv.toml: "):
            read_uv_toml(text)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"uv.toml": "a = "}, "not valid TOML"),
        ({"overrides.txt": "-r more.txt\n"}, "requirements alone"),
        ({"overrides.txt": "six\n", "uv.toml": 'override-dependencies = ["six"]\n'}, "declared here and in"),
        ({"constraints.txt": "-c more.txt\n"}, "constraints.txt: expected requirements alone"),
        ({"constraints.txt": "six @ file:///srv/six.whl\n"}, "file:///srv/six.whl"),
        ({"constraints.txt": "a\n", "uv.toml": 'constraint-dependencies = ["a"]\n'}, "declared here and in constr"),
        ({"uv.toml": 'find-links = ["/srv/wheels"]\n'}, "/srv/wheels"),
        ({"uv.toml": 'find-links = ["../wheels"]\n'}, "../wheels"),
        ({"uv.toml": '[[index]]\nurl = "file:///srv/simple"\n'}, "file:///srv/simple"),
        ({"uv.toml": 'index-url = "https://me:secret@index.example"\n'}, "index.example"),
        ({"overrides.txt": "./six.whl\n"}, "./six.whl"),
        ({"overrides.txt": "six @ file:///srv/six.whl\n"}, "file:///srv/six.whl"),
    ],
)
def test_settings_are_refused_when_no_receiver_could_use_them(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        uv_toml(tmp_path)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
