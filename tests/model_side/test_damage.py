"""What a file's name and header tell alone: a pointer, an error page, an empty file, one that is not whole."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model_side.base.damage import damage

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1153412\n"
STAND_INS = {
    "w.pickle": (LFS, "a Git LFS pointer"),
    "w.txt": ("/annex/objects/SHA256E-s10--00.txt\n", "a git-annex pointer"),
    "w.pt": ("\n<!DOCTYPE html>\n<html><head><title>404", "an HTML page"),
    "vocab.txt": ("\ufeff<HTML lang='en'>", "an HTML page"),
    "xhtml.pt": ('<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN">', "an HTML page"),
    "cached.pt": ("<!-- by a proxy,\nat noon -->\n<!doctype html><html>", "an HTML page"),
    "moved.pt": ("<head><title>301 Moved", "an HTML page"),
    "s3.bin": ('<Error xmlns="https://s3.example.org"><Code>NoSuchKey</Code>', "an error message of a server"),
    "w.bin": ('<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code>', "an error message of a server"),
    "w.csv": ("", "an empty file"),
    "w.csv.part": ("a,b", "an unfinished download"),
    "W.BIN.INCOMPLETE": ("a,b", "an unfinished download"),
    "w.npz": ('{"message":"Not Found"}', "a text with no zip header"),
    "w.keras": ('{"message":"Not Found"}', "a text with no zip header"),
    "w.npy": ('{"message":"Not Found"}', "a text with no npy header"),
    "w.safetensors": ('{"message":"Not Found"}', "a text with no safetensors header"),
    "w.parquet": ('{"message":"Not Found"}', "a text with no Parquet header"),
    "w.h5ad": ('{"message":"Not Found"}', "a text with no HDF5 header"),
}


@pytest.mark.parametrize(("name", "text", "said"), [(name, *case) for name, case in STAND_INS.items()])
def test_stand_in_for_a_file_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    assert said in damage(tmp_path / name)


RIGHT = {
    "index.html": "<!doctype html>",
    "notes.txt": "version https://git-lfs.github.io/ is where it is",
    "page.xml": "<?xml version='1.0'?><Errors/>",
    "w.pt": "\x80\x02 a pickle",
    "htmlish.txt": "<htmlarea>",
    "annotated.xml": "<?xml version='1.0'?><!-- <html> --><header/>",
    "part": "a,b",
    "of-a-family-1.h5": "\x00\x01",
}


@pytest.mark.parametrize(("name", "text"), RIGHT.items())
def test_file_that_says_nothing_of_the_kind_is_right(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert damage(tmp_path / name) == ""


def test_empty_member_of_a_directory_is_right_unless_its_format_has_no_empty_file(tmp_path: Path) -> None:
    for name in ("__init__.py", "w.npz", "w.safetensors"):
        (tmp_path / name).touch()
    assert damage(tmp_path / "__init__.py", member=True) == ""
    (tmp_path / "example.h5ad").write_text("1 2 3")
    assert damage(tmp_path / "example.h5ad", member=True) == ""
    assert damage(tmp_path / "w.npz", member=True) == damage(tmp_path / "w.safetensors", member=True) == "an empty file"


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", os.urandom(100_000))


def write_safetensors(path: Path) -> None:
    header = json.dumps({"__metadata__": {"a": "b"}, "w": {"dtype": "U8", "shape": [400], "data_offsets": [0, 400]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(400))


def write_hdf5(version: int, before: int = 0) -> Callable[[Path], None]:
    """Return what writes a file of this version of the superblock, with an end of 2048 bytes, as h5py begins it."""
    fields = {
        0: bytes([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]),
        1: bytes([1, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0, 32, 0, 0, 0]),
        3: bytes([3, 8, 8, 0]),
    }
    addresses = struct.pack("<4Q", before, 2**64 - 1, before + 2048, 48 if version == 3 else 2**64 - 1)
    head = b"\x89HDF\r\n\x1a\n" + fields[version] + addresses
    return lambda path: path.write_bytes((bytes(before) + head).ljust(before + 2048, b"\0")) and None


WHOLE: dict[str, Callable[[Path], object]] = {
    "a.zip": write_zip,
    "a.pt": write_zip,
    "a.npz": lambda path: np.savez(path, a=np.arange(100)),
    "a.npy": lambda path: np.save(path, np.arange(1000, dtype="<i2").reshape(10, 100)),
    "text.npy": lambda path: np.save(path, np.array(["word"] * 100)),
    "a.parquet": lambda path: pd.DataFrame({"a": range(1000)}).to_parquet(path),
    "a.safetensors": write_safetensors,
    "v0.h5": write_hdf5(0),
    "v1.h5": write_hdf5(1),
    "v3.h5ad": write_hdf5(3),
    "behind.h5": write_hdf5(0, before=1024),
}


@pytest.mark.parametrize(("name", "write"), WHOLE.items(), ids=WHOLE)
def test_file_without_its_last_byte_is_cut_off(tmp_path: Path, name: str, write: Callable[[Path], object]) -> None:
    path = tmp_path / name
    write(path)
    assert damage(path) == ""
    content = path.read_bytes()
    for size in (len(content) - 1, len(content) // 2, 8 if content[0] else 1032):
        path.write_bytes(content[:size])
        assert damage(path).startswith("cut off: "), size
    path.write_bytes(content + b"more")
    assert damage(path) == "" or path.suffix == ".parquet"


@pytest.mark.parametrize("value", [np.array([{}, None]), np.zeros(3, [("a", "i4"), ("b", "U3")])])
def test_array_is_right_when_its_header_does_not_tell_the_size(tmp_path: Path, value: object) -> None:
    np.save(tmp_path / "a.npy", value, allow_pickle=True)
    assert damage(tmp_path / "a.npy") == ""
