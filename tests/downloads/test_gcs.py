"""gs:// through its real library, against a stub of the storage's JSON interface on the loopback device."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from .conftest import Model, sha256
from .server import running

pytest.importorskip("gcsfs", reason="gcsfs is not installed")
BIG = random.Random(1).randbytes(20 << 20)
FILES = {"dir/a b.bin": BIG, "dir/deep/ü.bin": b"b", "dir/deep/c.txt": b"c", "other/d.txt": b"d"}
OBJECTS = "/storage/v1/b/weights/o"


class Storage(BaseHTTPRequestHandler):
    """A bucket, `weights`, of which everybody may read, and another, `closed`, of which nobody may."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked, query = url.path.removeprefix("/download"), dict(parse_qsl(url.query))
        if asked.startswith("/storage/v1/b/closed"):
            self.say(403, {"error": {"code": 403, "message": "caller does not have storage.objects.get access"}})
        elif asked == OBJECTS:
            self.say(200, self.listing(query.get("prefix", ""), query.get("delimiter", "")))
        elif (name := unquote(asked.removeprefix(f"{OBJECTS}/"))) not in FILES:
            self.say(404, {"error": {"code": 404, "message": f"No such object: weights/{name}"}})
        elif query.get("alt") == "media":
            self.send(name)
        else:
            self.say(200, self.facts(name))

    def listing(self, prefix: str, delimiter: str) -> dict[str, object]:
        names = [name for name in FILES if name.startswith(prefix)]
        cut = {name: name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "") for name in names}
        below = sorted({f"{prefix}{head}{mark}" for head, mark, _ in cut.values() if mark})
        here = [self.facts(name) for name, (_, mark, _) in cut.items() if not mark]
        return {"kind": "storage#objects", "items": here, "prefixes": below}

    def facts(self, name: str) -> dict[str, object]:
        moment = {"updated": "2026-01-01T00:00:00Z", "timeCreated": "2026-01-01T00:00:00Z"}
        size, mark = str(len(FILES[name])), sha256(FILES[name])[:8]
        return {"name": name, "bucket": "weights", "size": size, "generation": "1", "etag": mark, **moment}

    def send(self, name: str) -> None:
        content, wanted = FILES[name], re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(wanted[1]), int(wanted[2] or len(content) - 1)) if wanted else (0, len(content) - 1)
        body = content[first : last + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def say(self, code: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run it where the library looks for an emulator; no credentials of this machine are found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with running(Storage) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield


def test_file_directory_and_pattern_are_brought_without_a_word_of_the_library(model: Model) -> None:
    model.declare(
        f'uri = "gs://weights/dir/a b.bin"\npath = "a"\nsha256 = "{sha256(BIG)}"',
        'uri = "gs://weights/dir/"\npath = "d"\nmutable = true',
        'uri = "gs://weights/**/*.txt"\npath = "t"\nmutable = true',
    )
    done = model.command_line()
    assert done.returncode == 0, done.stderr
    assert {line.partition(" ")[0] for line in done.stderr.splitlines()} == {
        "warning:",
        *map("model_data/{}:".format, "adt"),
    }
    assert model.files() == {
        "a": BIG,
        **{f"d/{name.removeprefix('dir/')}": text for name, text in FILES.items() if name.startswith("dir/")},
        **{f"t/{name}": text for name, text in FILES.items() if name.endswith(".txt")},
    }


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        ("gs://weights/none", "no such file or directory"),
        ("gs://weights/none/", "no file is there"),
        ("gs://closed/w", "access is refused"),
    ],
)
def test_error_says_what_is_wrong_and_nothing_else_is_said(model: Model, uri: str, fault: str) -> None:
    model.declare(f'uri = "{uri}"\npath = "w"\nsha256 = "{"a" * 64}"')
    done = model.command_line()
    assert done.returncode == 1
    failed, error = done.stderr.splitlines()
    assert failed.startswith("model_data/w: failed")
    assert error.startswith(f"error: {uri}: {fault}")
