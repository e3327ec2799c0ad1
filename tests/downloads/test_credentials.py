"""Credentials are nowhere but where a person put them: not in a record, not in words, not in what travels."""

from __future__ import annotations

from pathlib import Path

import pytest

from downloads.declaration import read_declaration
from model_side.base.errors import UsageError
from model_side.base.redact import redact
from tests.chain.cheap_package import build_cheaply, write_environment, write_package
from tests.chain.test_verbs import invoke

from .conftest import Model, sha256
from .server import Hostile, code

SECRETS = ("?sig=topsecret1", "?a=b&token=topsecret2", "?X-Amz-Signature=topsecret3&x=1", "#token=topsecret4")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/a/b?sig=1", "https://host/a/b?..."),
        ("https://me:p/w@host/a@main", "https://host/a@main"),
        ("https://host:8080/a/@b", "https://host:8080/a/@b"),
        ("https://host/a#token=pw", "https://host/a#..."),
        ("https://host/a#part", "https://host/a#part"),
        ("s3://key@bucket/a", "s3://bucket/a"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("sftp://me@host/a", "sftp://me@host/a"),
        ("sftp://me:pw@host/a", "sftp://host/a"),
        ("github://org:repo@ref/a", "github://org:repo@ref/a"),
        ("github://me:github_pat_1@org/a", "github://org/a"),
        ("github://pw@org/a", "github://org/a"),
        ("doi:10.5281/zenodo.1/w?token=pw", "doi:10.5281/zenodo.1/w?..."),
        ("Max retries: /a/b?token=1 (timeout)", "Max retries: /a/b?... (timeout)"),
        ("'https://host/a?x=1', next", "'https://host/a?...', next"),
        ("fetch --token pw --to w", "fetch --token *** --to w"),
        ("fetch --api-key=pw w", "fetch --api-key=*** w"),
        ("env HF_TOKEN=pw fetch", "env HF_TOKEN=*** fetch"),
        ("fetch --tokenizer bert", "fetch --tokenizer bert"),
        ("plain text? yes", "plain text? yes"),
    ],
)
def test_credentials_are_taken_out_of_text(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_secret_of_the_environment_is_taken_out_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/def+123")
    assert redact("wrong signature abc/def+123") == "wrong signature ***"


@pytest.mark.parametrize(
    "source",
    [
        'uri = ["https://host/w?sig=topsecret1"]\npath = "w"',
        'uri = "https://host/w"\npath = "../https://host/w?sig=topsecret1"',
        'uri = "https://me:top/secret1@host/w"\npath = "w"',
        'uri = "https://topsecret1@host/w"\npath = "w"',
        'uri = "s3://key:topsecret1@bucket/w"\npath = "w"',
        'command = "x"\noutputs = "https://host/w?sig=topsecret1"',
        'package = "https://host/w?sig=topsecret1"\nmember = "w"\npath = "w"',
    ],
)
def test_declaration_error_shows_no_credentials(model: Model, source: str) -> None:
    model.declare(source)
    with pytest.raises(UsageError) as caught:
        read_declaration(model.root)
    assert "secret1" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "hf://one?token=topsecret1",
        "hf://o/r/w?token=topsecret1",
        "doi:10.5281/zenodo.1/w?token=topsecret1",
        "doi:10.1000/none?token=topsecret1",
        "file:///none/w?token=topsecret1",
        "file://host/w?token=topsecret1",
        "http://[::1/w?token=topsecret1",
        "http://host:x/w?token=topsecret1",
        "http://a..b/w?token=topsecret1",
        "http://xn--a/w?token=topsecret1",
        "http://*.x/w?token=topsecret1",
        "nonsense://host/w?token=topsecret1",
        "memory://none/w?token=topsecret1",
    ],
)
def test_error_of_an_address_shows_no_credentials(
    model: Model, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    for variable in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, hostile.address)
    monkeypatch.setenv("HF_ENDPOINT", hostile.address)
    for path in ("/api/models/o/r/revision/main", "https://zenodo.org/api/records/1"):
        hostile.put(path, b"", code(404))
    model.declare(f'uri = "{uri}"\npath = "w"\nmutable = true')
    done = model.command_line("--json")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "topsecret" not in done.stdout + done.stderr


def test_credentials_are_not_written_when_a_source_is_brought_checked_or_missing(
    model: Model, hostile: Hostile, tmp_path: Path
) -> None:
    sources = [
        f'uri = "{hostile.put(f"/w{n}", b"w")}{secret}"\npath = "w{n}"\nsha256 = "{sha256(b"w")}"'
        for n, secret in enumerate(SECRETS)
    ]
    model.declare(*sources, f'uri = "{hostile.address}/w0?sig=topsecret5"\npath = "m"\nmutable = true')
    said = []
    for flags in (["--offline"], ["--json"], ["--refresh"], ["--check", "--json"]):
        done = model.command_line(*flags)
        said += [done.stdout, done.stderr]
    assert done.returncode == 0
    (model.data / "w0").write_text("edited")
    done = model.command_line("--check")
    assert done.returncode == 1
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "model_data.toml"]
    assert {path.name for path in written} >= {"record.json", "w0"}
    texts = [*said, done.stdout, done.stderr, *(path.read_bytes().decode("latin-1") for path in written)]
    assert not [text for text in texts if "topsecret" in text]


def test_credentials_are_not_in_the_state_of_the_pipeline_nor_in_its_words(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    python, package = write_environment(models, 1), write_package(models)
    declared = 'uri = "https://host/w?sig=topsecret1"\npath = "weights.bin"\nmutable = true\n'
    command = 'command = "fetch --token topsecret2 https://host/w?token=topsecret3"\npath = "v"\nmutable = true\n'
    declaration = package.root / "model_data.toml"
    declaration.write_text(f"[[source]]\n{declared}[[source]]\n{command}")
    (package.root / "model_data" / "v").write_text("v")
    assert build_cheaply(package, python).ok
    written = [path for path in models.rglob("*") if path.is_file() and path != declaration]
    assert [path for path in written if path.parent.name == ".pipeline"]
    assert not [path for path in written if b"topsecret" in path.read_bytes()]
    declaration.write_text(declaration.read_text().replace("host", "other"))
    explain = ["explain", "--step", "package"]
    for verb in (["status"], ["status", "--json"], explain, ["graph"], ["package", "--dry-run"]):
        done = invoke(models, *verb, "--model", "cheap")
        assert done.returncode < 2
        assert "topsecret" not in done.stdout + done.stderr
        assert "https://other/w?..." in done.stdout or verb != explain
