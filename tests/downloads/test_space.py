"""Disk space is checked before the first byte, and each byte is counted once: on a real, small file system."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from .conftest import SCRIPT, Model, sha256
from .server import Hostile, code, cut, cut_then_swap

MB = 1 << 20
WEIGHTS, OTHER = random.Random(1).randbytes(9 * MB), random.Random(2).randbytes(9 * MB)
RUN = """
mount -t tmpfs -o "size=$1" tmpfs "$2" || exit 77
shift 2
for turn in $TURNS; do "$@"; done
code=$?
cd model_data && find . -type f ! -name '.*' -exec sha256sum {} +
exit $code
"""


def run_on(size: str, model: Model, *flags: str, turns: int = 1) -> subprocess.CompletedProcess[str]:
    """Run it, several times over, with a model_data/ of this size; its output names what is there then."""
    model.data.mkdir(exist_ok=True)
    download = [sys.executable, str(SCRIPT), "--package", str(model.root), *flags]
    command = ["unshare", "-rm", "sh", "-c", RUN, "sh", size, str(model.data), *download]
    environment = {"TURNS": " ".join("x" * turns), "PATH": "/usr/bin:/bin", "MODEL_DATA_CACHE": str(model.cache)}
    try:
        done = subprocess.run(command, cwd=model.root, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no file system can be mounted here")
    return done


def want(model: Model, url: str, content: bytes, path: str = "w") -> str:
    return f'uri = "{url}"\npath = "{path}"\nsha256 = "{sha256(content)}"'


def test_file_that_starts_over_needs_its_space_once(model: Model, hostile: Hostile) -> None:
    url = hostile.put("/w", WEIGHTS, cut_then_swap(OTHER, 6 * MB))
    model.declare(want(model, url, OTHER))
    done = run_on("14m", model)
    assert done.returncode == 0, done.stderr
    assert sha256(OTHER) in done.stdout


def test_bytes_of_an_earlier_run_are_not_needed_again(model: Model, hostile: Hostile) -> None:
    url = hostile.put("/w", WEIGHTS, cut(6 * MB), *[code(404)])
    model.declare(want(model, url, WEIGHTS))
    done = run_on("10m", model, turns=2)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stderr
    assert sha256(WEIGHTS) in done.stdout


def test_space_of_an_earlier_run_is_there_for_what_starts_over(model: Model, hostile: Hostile) -> None:
    url = hostile.put("/w", WEIGHTS, cut_then_swap(OTHER, 6 * MB), *[code(404)])
    model.declare(f'uri = "{url}"\npath = "w"\nmutable = true')
    done = run_on("11m", model, turns=2)
    assert done.returncode == 0, done.stderr
    assert sha256(OTHER) in done.stdout


def test_space_of_a_source_that_failed_is_there_for_the_next(model: Model, hostile: Hostile) -> None:
    bad, good = hostile.put("/bad", WEIGHTS, cut(2 * MB), code(404)), hostile.put("/good", OTHER)
    model.declare(want(model, bad, WEIGHTS, "bad"), want(model, good, OTHER, "good"))
    done = run_on("14m", model, "--jobs", "1")
    assert "model_data/good: fetched" in done.stderr
    assert sha256(OTHER) in done.stdout


def test_two_sources_at_once_are_refused_where_only_one_fits(model: Model, hostile: Hostile) -> None:
    urls = [hostile.put(f"/w{n}", WEIGHTS) for n in range(2)]
    model.declare(*(want(model, url, WEIGHTS, f"w{n}") for n, url in enumerate(urls)))
    done = run_on("14m", model)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "not enough disk space: expected 9.4 MB, got" in done.stderr
    assert done.stdout.count(sha256(WEIGHTS)) == 1


@pytest.mark.parametrize(("size", "fits"), [("20m", True), ("14m", False)])
def test_archive_needs_its_own_space_and_that_of_what_it_holds(
    model: Model, hostile: Hostile, size: str, fits: bool
) -> None:
    ball = io.BytesIO()
    with tarfile.open(fileobj=ball, mode="w") as archive:
        entry = tarfile.TarInfo("inside")
        entry.size = len(WEIGHTS)
        archive.addfile(entry, io.BytesIO(WEIGHTS))
    content = ball.getvalue()
    model.declare(want(model, hostile.put("/w.tar", content), content) + "\nunpack = true")
    done = run_on(size, model)
    assert done.returncode == (0 if fits else 1), done.stderr
    assert ("not enough disk space" in done.stderr) != fits
    assert (sha256(WEIGHTS) in done.stdout) == fits


@pytest.mark.parametrize("inside", [True, False], ids=["same", "other"])
def test_cache_takes_no_space_that_the_files_need(model: Model, hostile: Hostile, tmp_path: Path, inside: bool) -> None:
    model = Model(model.root, model.data / ".cache" if inside else model.cache)
    model.declare(want(model, hostile.put("/w", WEIGHTS), WEIGHTS))
    for turns in (1, 2):
        done = run_on("10m", model, turns=turns)
        assert done.returncode == 0, done.stderr
        assert sha256(WEIGHTS) in done.stdout


def test_file_of_the_cache_is_refused_where_it_does_not_fit(model: Model, hostile: Hostile) -> None:
    model.declare(want(model, hostile.put("/w", WEIGHTS), WEIGHTS))
    assert model.actions() == ["fetched"]
    (model.data / "w").unlink()
    done = run_on("8m", model)
    assert done.returncode == 1
    assert "the disk refused: got No space left on device" in done.stderr
    assert len(hostile.asked) == 1
