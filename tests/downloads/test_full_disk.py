"""A disk that is full is a clear error, and leaves the good file: on a real, small file system."""

from __future__ import annotations

import io
import random
import subprocess
import tarfile

import pytest

from .conftest import Model, sha256
from .server import Hostile

GOOD, MORE = random.Random(1).randbytes(5 << 20), random.Random(2).randbytes(9 << 20)
RUN = """
mount -t tmpfs -o size=14m tmpfs model_data || exit 77
"$@" && cp next.toml model_data.toml && "$@"
code=$?
find model_data -type f ! -path '*/.downloads/*' -exec sha256sum {} +
exit $code
"""


def ball() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(entry := tarfile.TarInfo("zeros"), None)
        entry.name, entry.size = "more", 12 << 20
        archive.addfile(entry, io.BytesIO(bytes(12 << 20)))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["file", "cached", "archive"])
def test_full_disk_is_an_error_and_the_last_good_file_stays(model: Model, hostile: Hostile, kind: str) -> None:
    content, unpack = (ball(), "\nunpack = true") if kind == "archive" else (MORE * 1, "")
    good, more = (
        f'uri = "{hostile.put(f"/{name}", text)}"\npath = "{name}"\nsha256 = "{sha256(text)}"'
        for name, text in (("good", GOOD), ("more", content))
    )
    if kind == "cached":
        model.declare(more)
        assert model.actions() == ["fetched"]
        (model.data / "more").unlink()
    model.declare(good, more + unpack)
    (model.root / "model_data.toml").rename(model.root / "next.toml")
    model.declare(good)
    model.data.mkdir(exist_ok=True)
    command = ["unshare", "-rm", "sh", "-c", RUN, "sh", *model.command]
    environment = {"PATH": "/usr/bin:/bin", "MODEL_DATA_CACHE": str(model.cache)}
    try:
        done = subprocess.run(command, cwd=model.root, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 1
    assert "the disk refused: got No space left on device. Make room" in done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [[sha256(GOOD), "model_data/good"]]
