"""Addresses: what is taken for one, and which file it stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from downloads.declaration import read_declaration
from downloads.repositories import locate_on_hub
from model_side.base.errors import UsageError

from .conftest import Model, sha256
from .server import Hostile

REFUSED = {
    "https://": "a host",
    "https:///w": "a host",
    "s3:///key": "a host",
    "https://[::1/w": "a host",
    "https://host:x/w": "a host",
    "https://host:99999/w": "a host",
    "https://host/w\\n": "a control character",
    "https://host/\\tw": "a control character",
    " https://host/w": "begins or ends with a space",
    "https://host/w?a= b": "%20",
    "file://relative/w": "file:///absolute/path",
    "file://~/w": "file:///absolute/path",
    "/w": "file:///absolute/path",
    "https:/host/w": "expected a scheme",
    "zip://w::s3://bucket/w.zip": "one address",
    "hf://repo": "hf://owner/repo/file@revision",
    "github://me:ghp_topsecret@org/w": "it carries credentials: 'github://org/w'",
    "https://huggingface.co/o/r/blob/main/d/w.bin": "Write 'hf://o/r/d/w.bin@main'",
    "HTTPS://hf.co/datasets/o/r/blob/refs%2Fpr%2F1/a%20b.bin?download=true": "'hf://datasets/o/r/a b.bin@refs/pr/1'",
    "https://www.huggingface.co/o/r/tree/v1/d": "Write 'hf://o/r/d/@v1'",
    "https://huggingface.co/o/r/tree/v1": "Write 'hf://o/r@v1'",
}


@pytest.mark.parametrize("uri", REFUSED)
def test_address_is_refused_when_it_is_none(model: Model, uri: str) -> None:
    model.declare(f'uri = "{uri}"\npath = "w"')
    with pytest.raises(UsageError) as caught:
        read_declaration(model.root)
    assert REFUSED[uri] in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "https://[::1]:8080/w",
        "https://host:8080/a b/%C3%BC",
        "s3://bucket/dir/**/w-?[0-9].bin",
        "s3://bucket",
        "hdfs:///w",
        "hf://datasets/owner/repo/dir/w.bin@refs/pr/1",
        "sftp://me@host/w",
        "abfs://container@account.dfs.core.windows.net/w",
        "github://org:repo@main/dir/w.bin",
        "github://org:re.po-1@/w.bin",
        "https://huggingface.co/o/r/resolve/main/w.bin",
        "https://host/o/r/blob/main/w.bin",
        "file:///a::b",
    ],
)
def test_address_is_accepted(model: Model, uri: str) -> None:
    model.declare(f'uri = "{uri}"\npath = "w"')
    assert read_declaration(model.root)[0].uri == uri


@pytest.mark.parametrize("resolver", ["https://doi.org/", "HTTP://dx.doi.org/", "https://www.doi.org/"])
def test_address_of_a_doi_is_the_doi(model: Model, resolver: str) -> None:
    model.declare(f'uri = "{resolver}10.5281/zenodo.1/w.bin"\npath = "w"')
    assert read_declaration(model.root)[0].uri == "doi:10.5281/zenodo.1/w.bin"


NAMES = ["a b.bin", "ü.bin", "100%.bin", "a#b?c.bin", "a%20b.bin", "[1].bin", "a::b;c&d.bin", os.fsdecode(b"\xff.bin")]


@pytest.mark.parametrize("form", ["{}", "FILE://localhost/{}", "file:{}"], ids=["uri", "host", "short"])
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_file_address_brings_a_file_of_any_name(model: Model, tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_bytes(b"w")
    address = (tmp_path / name).as_uri()
    uri = {"{}": address, "file:{}": address.replace("file://", "file:")}.get(form, form.format(address[8:]))
    model.declare(f'uri = "{uri}"\npath = "w"\nsha256 = "{sha256(b"w")}"')
    assert model.actions() == ["fetched"]
    assert model.files() == {"w": b"w"}


@pytest.mark.parametrize("name", ["a b.bin", "ü.bin", "100%.bin", "a#b?c.bin", "[1].bin"])
def test_file_address_is_taken_as_it_is_written(model: Model, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"w")
    (model.root / "model_data.toml").write_text(
        f'[[source]]\nuri = "file://{tmp_path}/{name}"\npath = "w"\nsha256 = "{sha256(b"w")}"\n', encoding="utf-8"
    )
    assert model.actions() == ["fetched"]


@pytest.mark.parametrize("path", ["/a b/ü.bin", "/a%20b/%C3%BC.bin"])
def test_http_address_is_asked_percent_encoded(model: Model, hostile: Hostile, path: str) -> None:
    hostile.put("/a%20b/%C3%BC.bin", b"w")
    (model.root / "model_data.toml").write_text(
        f'[[source]]\nuri = "{hostile.address.replace("http", "HTTP")}{path}"\npath = "w"\nsha256 = "{sha256(b"w")}"\n',
        encoding="utf-8",
    )
    assert model.actions() == ["fetched"]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("hf://datasets/o/r/d/w.bin@refs/pr/1", "datasets/o/r/resolve/refs%2Fpr%2F1/d/w.bin"),
        ("hf://datasets/o/r@refs/pr/1/d/w.bin", "datasets/o/r/resolve/refs%2Fpr%2F1/d/w.bin"),
        ("hf://o/r@refs/convert/parquet/w.bin", "o/r/resolve/refs%2Fconvert%2Fparquet/w.bin"),
        ("hf://o/r@refs%2Fpr%2F1/w.bin", "o/r/resolve/refs%2Fpr%2F1/w.bin"),
        ("hf://spaces/o/r/w.bin@a/branch", "spaces/o/r/resolve/a%2Fbranch/w.bin"),
        ("hf://models/o/r/w.bin", "o/r/resolve/main/w.bin"),
        ("hf://o/r/a@b.bin@v1", "o/r/resolve/v1/a%40b.bin"),
        ("hf://o/r/a b#ü.bin", "o/r/resolve/main/a%20b%23%C3%BC.bin"),
    ],
)
def test_hub_address_names_kind_revision_and_file(uri: str, path: str) -> None:
    found = locate_on_hub(uri, {"HF_ENDPOINT": "https://hub", "HF_HOME": "/none"})
    assert not isinstance(found, tuple)
    assert found.uri == f"https://hub/{path}"
