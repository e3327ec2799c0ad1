"""model_data.toml: what is accepted, and what is said about the rest."""

from __future__ import annotations

import pytest

from downloads.declaration import read_declaration
from model_side.base.errors import UsageError

from .conftest import Model

PIN = "a" * 64
WRONG = {
    'uri = "https://x/y"': "path: missing",
    'url = "https://x/y"\npath = "a"': "Did you mean 'uri'?",
    'uri = "https://x/y"\npath = "a"\nsha265 = "x"': "Did you mean 'sha256'?",
    'uri = "https://x/y"\npath = "a"\nsha256 = "xyz"': "expected 64 hexadecimal digits, got 'xyz'",
    'uri = "https://x/y"\npath = "../a"': "expected a path inside model_data/",
    'uri = "https://x/y"\npath = "/a"': "expected a path inside model_data/",
    'uri = "https://x/y"\npath = ""': "expected a path inside model_data/",
    'uri = "https://x/y"\npath = ".downloads/a"': "a name reserved for the tool",
    'uri = "https://x/y"\npath = ".sources.json"': "a name reserved for the tool",
    'uri = "/local/file"\npath = "a"': "A file of this machine is file:///absolute/path",
    'uri = "https://me:topsecret@x/y"\npath = "a"': "it carries credentials: 'https://x/y'",
    'uri = 3\npath = "a"': "uri: expected a text, got 3",
    'uri = "https://x/y"\npath = "a"\nunpack = "yes"': "unpack: expected true or false",
    'uri = "https://x/y"\ncommand = "x"\npath = "a"': "exactly one of uri, package, command, got uri and command",
    'path = "a"': "exactly one of uri, package, command, got none",
    'uri = "https://x/y"\nmember = "m"\npath = "a"': "member: it does not go with uri",
    'package = "name>=1"\nmember = "m"\npath = "a"': "package: expected name==version",
    'package = "name==1"\npath = "a"': "member: missing",
    'package = "name==1"\nmember = "../m"\npath = "a"': "member: expected a path inside the wheel",
    'command = " "\npath = "a"': "command: it is empty",
    'command = "x"': "expected outputs = [...]",
    'command = "x"\noutputs = []': "outputs: expected a list of paths",
    'command = "x"\noutputs = [1]': "outputs: expected a list of paths",
    'command = "x"\noutputs = ["a"]\nunpack = true': "unpack: it does not go with command",
}


@pytest.mark.parametrize("source", WRONG)
def test_declaration_is_refused_when_it_is_wrong(model: Model, source: str) -> None:
    model.declare(source)
    with pytest.raises(UsageError) as caught:
        read_declaration(model.root)
    assert WRONG[source] in str(caught.value)
    assert "topsecret" not in str(caught.value)


def test_every_problem_is_named_at_once(model: Model) -> None:
    model.declare('uri = "https://x/y"', 'command = "x"')
    with pytest.raises(UsageError) as caught:
        read_declaration(model.root)
    assert "source 1: path: missing" in str(caught.value)
    assert "source 2: expected outputs" in str(caught.value)


@pytest.mark.parametrize(("one", "other", "word"), [("a", "a", "declared twice"), ("a", "a/b", "lies inside")])
def test_two_sources_are_refused_when_they_want_one_place(model: Model, one: str, other: str, word: str) -> None:
    model.declare(*(f'uri = "https://x/y"\npath = "{path}"' for path in (one, other)))
    with pytest.raises(UsageError, match=word):
        read_declaration(model.root)


@pytest.mark.parametrize(
    "text", ["[[source]", "source = 3", "[source]\nuri = 'https://x'", "[[sources]]\nx = 1", b"\xff"]
)
def test_file_is_refused_when_it_is_no_declaration(model: Model, text: str | bytes) -> None:
    (model.root / "model_data.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError):
        read_declaration(model.root)


def test_sha256_is_taken_in_either_form(model: Model) -> None:
    pins = {"a": PIN, "b": f"sha256:{PIN.upper()}"}
    model.declare(*(f'uri = "https://x/y"\npath = "{path}"\nsha256 = "{pin}"' for path, pin in pins.items()))
    assert [source.sha256 for source in read_declaration(model.root)] == [PIN, PIN]
