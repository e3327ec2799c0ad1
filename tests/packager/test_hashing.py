"""Hashes taken while the model is proven: right, and used for the file that was hashed only."""

from __future__ import annotations

import os
from pathlib import Path

from model_side.base.files import file_entry
from model_side.package.hashing import hashing


def test_file_is_known_unless_it_changed_since(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("same.bin", "changed.bin")]
    for path in paths:
        path.write_bytes(os.urandom(1000))
    with hashing(tmp_path, [path.name for path in paths]) as hashes:
        os.utime(paths[1], ns=(0, 0))
        assert hashes() == {"same.bin": file_entry(paths[0])}
