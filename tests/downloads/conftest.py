"""A package with a declaration, its own cache, and a hostile server."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import pytest

from downloads.bring import Settings
from downloads.http import session
from downloads.progress import Progress
from downloads.record import Outcome
from downloads.session import run
from downloads.transfer import Tuning
from tests.object_store import object_store, put  # noqa: F401  a fixture

from .server import Hostile, serving

SCRIPT = Path(__file__).parents[2] / "scripts" / "download_data.py"
QUICK = Tuning(attempts=4, first_wait=0.001, longest_wait=0.002, connections=1, block=1 << 20)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def contents(top: Path, but: Path | None = None) -> dict[str, bytes]:
    """Return every file under a directory, by its name in it, but those under another."""
    found = (path for path in sorted(top.rglob("*")) if path.is_file() and not (but and path.is_relative_to(but)))
    return {str(path.relative_to(top)): path.read_bytes() for path in found}


@dataclass
class Model:
    """A package that declares sources."""

    root: Path
    cache: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    @property
    def data(self) -> Path:
        return self.root / "model_data"

    def declare(self, *sources: str) -> None:
        """Write model_data.toml with these tables."""
        (self.root / "model_data.toml").write_text("".join(f"[[source]]\n{source}\n\n" for source in sources))

    def another(self) -> Model:
        """Return another package that declares the same, and has the same cache."""
        root = self.root.with_name("bar_mlflow_pkg")
        root.mkdir()
        (root / "model_data.toml").write_bytes((self.root / "model_data.toml").read_bytes())
        return Model(root, self.cache)

    @property
    def command(self) -> list[str]:
        """Return the command that downloads as a person does."""
        return [sys.executable, str(SCRIPT), "--package", str(self.root)]

    def get(self, tuning: Tuning = QUICK, **settings: object) -> list[Outcome]:
        """Bring all that is declared."""
        return run(self.root, Settings(self.cache, tuning=tuning, **settings), Progress(self.said))  # type: ignore[arg-type]

    def actions(self, **settings: object) -> list[str]:
        """Bring all, expect success, and return what was done for each source."""
        outcomes = self.get(**settings)  # type: ignore[arg-type]
        assert not [str(outcome.error) for outcome in outcomes if outcome.error]
        return [outcome.action for outcome in outcomes]

    def error(self, **settings: object) -> str:
        """Bring all, expect one failure, and return its text."""
        (error,) = [outcome.error for outcome in self.get(**settings) if outcome.error]  # type: ignore[arg-type]
        return str(error)

    def files(self) -> dict[str, bytes]:
        """Return every file in model_data/ that is not the tool's own."""
        return contents(self.data, but=self.data / ".downloads")

    def desk(self) -> dict[str, bytes]:
        """Return what lies on the desks of all sources, by names on a desk."""
        desks = self.data / ".downloads"
        return {name: text for desk in sorted(desks.glob("*")) for name, text in contents(desk).items()}

    def command_line(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run download_data.py as a person does."""
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the person's cache, home and proxies out of it, and close the connections of the process after it."""
    monkeypatch.setenv("MODEL_DATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    session().close()


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Return a package without sources."""
    root = tmp_path / "foo_mlflow_pkg"
    root.mkdir()
    return Model(root, tmp_path / "cache")


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a ~/.netrc with a password for the local server."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login me password topsecret4\nmachine localhost login me password topsecret5\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


@pytest.fixture
def hub(hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    """Let the hostile server be the Hub."""
    monkeypatch.setenv("HF_ENDPOINT", hostile.address)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return hostile


@pytest.fixture
def bucket(object_store: str) -> Iterator[str]:  # noqa: F811
    """Make a bucket of an object store, and return its address."""
    put(f"{object_store}/weights")
    yield "s3://weights"
    fsspec.filesystem("s3").clear_instance_cache()


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    """Run the hostile server."""
    with serving() as server:
        yield server
