"""What uv's words mean: each cause from the real uv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from environments.lock import compile_requirements
from environments.sync import sync_environment
from environments.uv import run_uv
from model_side.base.errors import ReportedError, StepError, UsageError
from serving.rebuilt import rebuilt_environment
from tests.downloads.server import code, serving
from tests.wheels import NAME, write_index, write_wheels

COMPILE = ("pip", "compile", "-", "--quiet", "--no-header")
CLOSED = "http://127.0.0.1:9/simple"
NETWORK = "uv could not reach the package index: a network fault"


def fault(tmp_path: Path, given: str, env: Mapping[str, str], words: tuple[str, ...] = COMPILE) -> ReportedError:
    own = {"UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    with pytest.raises(ReportedError) as caught:
        run_uv(words, tmp_path, "requirements.in", given=given, env={**own, **env})
    return caught.value


@pytest.mark.parametrize("name", ["networkx", "dns-error", "operation-timed-out"])
@pytest.mark.parametrize("is_known", [True, False])
def test_pin_that_no_index_has_is_named_whatever_the_package_is_called(
    tmp_path: Path, name: str, is_known: bool
) -> None:
    index = write_index(tmp_path / "index", "1.0", name=name if is_known else NAME)
    error = fault(tmp_path, f"{name}==99.0", {"UV_DEFAULT_INDEX": index.as_uri()})
    assert isinstance(error, UsageError)
    assert f"no index or directory that uv knows has {name}{'==99.0' * is_known}. Correct its name or" in str(error)
    assert "UV_INDEX or UV_FIND_LINKS" in str(error)


@pytest.mark.parametrize(
    ("asked", "versions", "given", "said"),
    [
        ("outer==1.0", (), "inner>=2,<3", "inner"),
        ("outer", ("1.0",), "inner>=2,<3", "inner>=2,<3"),
        ("outer", ("1.0", "1.1"), "inner==2.0", "inner==2.0"),
        ("inner>=3", ("1.0",), "inner", "inner>=3"),
        ("inner>3,<4\nouter", ("1.0", "1.1", "2.0"), "inner", "inner>3,<4"),
    ],
)
def test_version_that_no_index_has_is_named_also_where_another_package_asks_for_it(
    tmp_path: Path, asked: str, versions: tuple[str, ...], given: str, said: str
) -> None:
    index = write_index(tmp_path / "index", "1.0", name="outer", metadata=f"Requires-Dist: {given}\n")
    if versions:
        write_index(index, *versions, name="inner")
    error = fault(tmp_path, asked, {"UV_DEFAULT_INDEX": index.as_uri()})
    assert isinstance(error, UsageError)
    assert f"no index or directory that uv knows has {said}. Correct" in str(error)


def test_contradiction_is_no_lack_of_an_index(tmp_path: Path) -> None:
    index = write_index(tmp_path / "index", "1.0", "2.0", name="inner")
    write_index(index, "1.0", name="outer", metadata="Requires-Dist: inner<2\n")
    error = fault(tmp_path, "outer\ninner>=2", {"UV_DEFAULT_INDEX": index.as_uri()})
    assert "uv refused it. uv's explanation is above" in str(error)


def test_wheel_of_the_authors_directory_is_named_where_that_is_not_set(tmp_path: Path) -> None:
    wheels, index = write_wheels(tmp_path / "wheels", "1.0"), write_index(tmp_path / "index", "1.0", name="other")
    env = {"UV_DEFAULT_INDEX": index.as_uri()}
    run_uv(COMPILE, tmp_path, "requirements.in", given=f"{NAME}==1.0", env={**env, "UV_FIND_LINKS": wheels.as_uri()})
    assert f"no index or directory that uv knows has {NAME}" in str(fault(tmp_path, f"{NAME}==1.0", env))


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"UV_DEFAULT_INDEX": CLOSED}, NETWORK),
        ({"UV_FIND_LINKS": CLOSED}, NETWORK),
        ({"UV_OFFLINE": "1"}, "uv is offline, and its cache lacks a package"),
    ],
)
def test_network_is_at_fault_when_it_is(tmp_path: Path, env: Mapping[str, str], said: str) -> None:
    error = fault(tmp_path, NAME, env)
    assert isinstance(error, StepError)
    assert said in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (500, StepError, NETWORK),
        (429, StepError, NETWORK),
        (401, UsageError, "an index refuses access: 401 Unauthorized"),
        (403, UsageError, "an index refuses access: 403 Forbidden"),
        (404, UsageError, f"no index or directory that uv knows has {NAME}"),
    ],
)
def test_answer_of_an_index_is_told(tmp_path: Path, status: int, kind: type[ReportedError], said: str) -> None:
    with serving() as server:
        server.put(f"/{NAME}/", b"", *[code(status)] * 9)
        error = fault(tmp_path, NAME, {"UV_DEFAULT_INDEX": server.address})
    assert isinstance(error, kind)
    assert said in str(error)


def test_address_of_wheels_that_is_not_there_is_no_fault_of_the_network(tmp_path: Path) -> None:
    with serving() as server:
        server.put("/wheels", b"", *[code(404)] * 9)
        error = fault(tmp_path, NAME, {"UV_FIND_LINKS": f"{server.address}/wheels"})
    assert isinstance(error, UsageError)
    assert "an address does not exist: 404 Not Found" in str(error)


def compiled(package: Path) -> None:
    (package / "requirements.in").write_text(f"{NAME}\n")
    compile_requirements(package)


def synced(package: Path) -> None:
    (package / "requirements.txt").write_text(f"{NAME}==1.0\n")
    sync_environment(package)


def rebuilt(package: Path) -> None:
    (package / "python_env.yaml").write_text("python: '3.8'\ndependencies: []\n")
    rebuilt_environment(package, {"MODEL_ENVIRONMENT_CACHE": str(package / "kept")})


UNREACHABLE = {"UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9", "UV_DEFAULT_INDEX": CLOSED}


@pytest.mark.parametrize("verb", [compiled, synced, rebuilt])
@pytest.mark.parametrize("env", [{"UV_OFFLINE": "1"}, UNREACHABLE, {**UNREACHABLE, "UV_PYTHON_DOWNLOADS": "never"}])
def test_missing_python_is_named_before_the_network_index_or_cache(
    verb: Callable[[Path], None], env: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"PATH": "/nowhere", "HOME": str(tmp_path), "UV_PYTHON_INSTALL_DIR": str(tmp_path), "UV_HTTP_RETRIES": "0"}
    for name, value in {**own, "UV_CACHE_DIR": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1", **env}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".python-version").write_text("3.8\n")
    with pytest.raises(StepError, match=r": Python 3\.8 is not installed, and uv ") as caught:
        verb(tmp_path)
    assert "Install it by `uv python install 3.8` where there is a network, or ask for another" in str(caught.value)


def test_network_alone_is_named_where_python_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(StepError, match=r"requirements\.in: uv is offline, and its cache lacks a package"):
        compiled(tmp_path)
