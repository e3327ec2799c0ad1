"""ftp:// against a real server: several files at once over its one connection, trouble that passes, and errors."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .conftest import Model, sha256

servers = pytest.importorskip("pyftpdlib.servers", reason="pyftpdlib is not installed")
MB = 1 << 20
BIG = random.Random(1).randbytes(20 * MB)


@dataclass
class Ftp:
    """A server of a directory, and how often it is still to hang up in the middle of a file."""

    top: Path
    address: str = ""
    cuts: int = 0
    said: list[str] = field(default_factory=list)


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[Ftp]:
    """Run it for anonymous, who may read, and for `me`, who needs a password."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler

    logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
    made = Ftp(tmp_path / "served")
    made.top.mkdir()
    authorizer = DummyAuthorizer()
    authorizer.add_anonymous(str(made.top))
    authorizer.add_user("me", "topsecret4", str(made.top))

    class Handler(FTPHandler):  # type: ignore[misc]
        def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
            made.said.append(cmd if cmd == "PASS" else line)
            if made.cuts and made.said.count("TYPE I") % 2 == 0 and cmd == "RETR":
                made.cuts -= 1
                self.close()
                return
            super().pre_process_command(line, cmd, arg)

    Handler.authorizer = authorizer
    server = servers.ThreadedFTPServer(("127.0.0.1", 0), Handler)
    made.address = f"ftp://127.0.0.1:{server.socket.getsockname()[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.05}, daemon=True)
    thread.start()
    yield made
    server.close_all()
    thread.join()


def test_directory_is_brought_over_one_connection(model: Model, ftp: Ftp) -> None:
    files = {f"f{n} ü.bin": random.Random(n).randbytes(100_000) for n in range(8)}
    (ftp.top / "d" / "deep").mkdir(parents=True)
    for name, content in files.items():
        (ftp.top / "d" / name).write_bytes(content)
    (ftp.top / "d" / "deep" / "x").write_bytes(b"x")
    model.declare(
        f'uri = "{ftp.address}/d/"\npath = "all"\nmutable = true',
        f'uri = "{ftp.address}/d/*.bin"\npath = "some"\nmutable = true',
    )
    assert model.actions() == ["fetched"] * 2
    expected = {f"{top}/{name}": content for top in ("all", "some") for name, content in files.items()}
    assert model.files() == {**expected, "all/deep/x": b"x"}


def test_file_is_brought_when_the_server_hangs_up_in_between(model: Model, ftp: Ftp) -> None:
    (ftp.top / "big").write_bytes(BIG)
    ftp.cuts = 2
    model.declare(f'uri = "{ftp.address}/big"\npath = "w"\nsha256 = "{sha256(BIG)}"')
    assert model.actions() == ["fetched"]
    assert model.files() == {"w": BIG}
    assert ftp.cuts == 0


@pytest.mark.parametrize("place", ["none", "none/", "none/*.bin", "none/none"])
def test_error_says_that_nothing_is_there(model: Model, ftp: Ftp, place: str) -> None:
    model.declare(f'uri = "{ftp.address}/{place}"\npath = "w"\nmutable = true')
    error = model.error()
    assert error.startswith(f"{ftp.address}/{place}: no ")
    assert "Check the uri." in error


def test_error_says_that_access_is_refused(model: Model, ftp: Ftp) -> None:
    (ftp.top / "w").write_bytes(b"w")
    model.declare(f'uri = "{ftp.address.replace("://", "://you@")}/w"\npath = "w"\nmutable = true')
    done = model.command_line()
    assert done.returncode == 1
    assert "access is refused" in done.stderr
    assert "~/.netrc" in done.stderr
    assert "Traceback" not in done.stderr


def test_password_comes_from_netrc(model: Model, ftp: Ftp, tmp_path: Path, netrc: Path) -> None:
    (ftp.top / "w").write_bytes(b"w")
    model.declare(f'uri = "{ftp.address}/w"\npath = "w"\nmutable = true')
    assert model.actions() == ["fetched"]
    assert "USER me" in ftp.said
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != netrc]
    assert not [path for path in written if b"topsecret" in path.read_bytes()]
