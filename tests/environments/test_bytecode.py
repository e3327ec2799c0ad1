"""Bytecode is compiled once for all environments, and only ever serves the source that it was compiled of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sync_environment

from environments.bytecode import KEPT_DAYS, VARIABLE, keep, reuse
from model_side.base.errors import run_main
from serving.rebuilt import VARIABLE as ENVIRONMENTS
from serving.rebuilt import rebuilt_environment

SITE = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
COMPILED = SITE / "__pycache__" / f"six.{sys.implementation.cache_tag}.pyc"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "bytecode"
    monkeypatch.setenv(VARIABLE, str(place))
    monkeypatch.setenv(ENVIRONMENTS, str(tmp_path / "environments"))
    return place


def synced(package: Path) -> Path:
    package.mkdir()
    (package / "requirements.txt").write_text("six==1.16.0\n")
    assert run_main(lambda: sync_environment.main(["--package", str(package)])) == 0
    return package / ".venv"


def by_hand(root: Path, text: str, when: int) -> Path:
    """Write an environment with one compiled source, and return where the bytecode is."""
    site = root / SITE
    (site / "x-1.dist-info").mkdir(parents=True)
    (site / "x.py").write_text(text)
    os.utime(site / "x.py", (when, when))
    (site / "x-1.dist-info" / "RECORD").write_text(f"x.py,sha256={text},9\n../../../bin/x.py,sha256=0,1\n")
    (site / "__pycache__").mkdir()
    compiled = site / "__pycache__" / f"x.{sys.implementation.cache_tag}.pyc"
    compiled.write_text(f"of {text}")
    return compiled


@pytest.mark.e2e
def test_second_environment_and_the_rebuilt_one_have_the_bytecode_of_the_first(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))  # another test may fill the shared one between the two
    first, second = synced(tmp_path / "first"), synced(tmp_path / "second")
    model = tmp_path / "model"
    model.mkdir()
    python = ".".join(str(part) for part in sys.version_info[:3])
    (model / "python_env.yaml").write_text(f"python: {python}\ndependencies:\n- -r requirements.txt\n")
    shutil.copy(tmp_path / "first" / "requirements.txt", model)
    rebuilt = rebuilt_environment(model, os.environ).path
    assert (second / COMPILED).samefile(first / COMPILED)
    assert (rebuilt / COMPILED).samefile(first / COMPILED)
    shown = [rebuilt / "bin" / "python", "-v", "-c", "import six; six.ensure_str(1)"]
    said = subprocess.run(shown, capture_output=True, text=True, check=False).stderr
    assert f"# {rebuilt / COMPILED} matches {rebuilt / SITE / 'six.py'}" in said
    assert f'File "{rebuilt / SITE / "six.py"}", line' in said  # a traceback names the environment's own source
    assert store.is_dir()


@pytest.mark.parametrize(("text", "when", "given"), [("abc", 10, True), ("abd", 10, False), ("abc", 11, False)])
def test_bytecode_is_given_to_the_same_source_alone(
    tmp_path: Path, store: Path, text: str, when: int, *, given: bool
) -> None:
    by_hand(tmp_path / "one", "abc", 10)
    keep(tmp_path / "one", os.environ)
    compiled = by_hand(tmp_path / "other", text, when)
    shutil.rmtree(compiled.parent)
    reuse(tmp_path / "other", os.environ)
    assert compiled.exists() is given
    assert len(list(store.rglob("*-*"))) == 1


def test_bytecode_is_dropped_when_it_is_old_and_no_environment_has_it(tmp_path: Path, store: Path) -> None:
    old = time.time() - (KEPT_DAYS + 1) * 86400
    for name in ("used", "gone", "new"):
        compiled = by_hand(tmp_path / name, name, 10)
        keep(tmp_path / name, os.environ)
        if name != "new":
            os.utime(compiled, (old, old))
        if name != "used":
            shutil.rmtree(tmp_path / name)
    keep(tmp_path / "used", os.environ)
    assert sorted(path.read_text() for path in store.rglob("*-*")) == ["of new", "of used"]


@pytest.mark.e2e
def test_environment_is_made_when_bytecode_cannot_be_kept(tmp_path: Path, store: Path) -> None:
    store.write_text("not a directory")
    assert (synced(tmp_path / "first") / COMPILED).exists()


def spoil(path: Path, target: str) -> None:
    """Make a directory unusable, also for root: a link, or a file in its way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if target:
        path.symlink_to(path.name if target == "itself" else target)
    else:
        path.write_text("")


@pytest.mark.parametrize("target", ["", "nowhere", "itself", "/proc/self/fdinfo"])  # where nothing can be written
@pytest.mark.parametrize("where", ["the store", "one Python", "above the store", "the environment", "no home"])
def test_bytecode_is_left_alone_when_there_is_no_usable_place_for_it(
    tmp_path: Path, store: Path, where: str, target: str
) -> None:
    compiled, named = by_hand(tmp_path / "one", "abc", 10), {"no home": "~no-such-user/x"}.get(where, str(store))
    if where == "the environment":
        keep(tmp_path / "one", {VARIABLE: named})
        shutil.rmtree(compiled.parent)
    variables = {VARIABLE: f"{named}/below" if where == "above the store" else named}
    places = {"one Python": store / SITE.parent.name, "the environment": compiled.parent}
    spoil(places.get(where, store), target)
    reuse(tmp_path / "one", variables)
    keep(tmp_path / "one", variables)
    if where == "the environment":
        assert [path.read_text() for path in store.rglob("*-*")] == ["of abc"]
    else:
        assert compiled.read_text() == "of abc"


@pytest.fixture
def anyones() -> Iterator[Path]:
    """Give a directory that every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def without_privilege() -> Iterator[None]:
    """Run as a user that permissions hold for."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o555])
@pytest.mark.parametrize("of", ["the store", "one Python", "the environment's bytecode"])
def test_bytecode_is_left_alone_when_permissions_forbid(anyones: Path, of: str, mode: int) -> None:
    variables = {VARIABLE: str(anyones / "bytecode")}
    with without_privilege():
        compiled = by_hand(anyones / "one", "abc", 10)
        keep(anyones / "one", variables)
        compiled.unlink()
        store = anyones / "bytecode"
        place = {"the store": store, "one Python": store / SITE.parent.name}.get(of, compiled.parent)
        place.chmod(mode)
        reuse(anyones / "one", variables)
        keep(anyones / "one", variables)
        place.chmod(0o777)
    assert [path.read_text() for path in store.rglob("*-*")] == ["of abc"]


def test_bytecode_that_cannot_be_dropped_is_left_alone(tmp_path: Path, store: Path) -> None:
    compiled = by_hand(tmp_path / "one", "abc", 10)
    keep(tmp_path / "one", os.environ)
    place = next(store.rglob("*-*")).parent
    (place / "a").mkdir()
    os.utime(place / "a", (0, 0))
    (place / "b").symlink_to("nowhere")
    keep(tmp_path / "one", os.environ)
    assert compiled.exists()
